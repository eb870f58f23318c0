"""Responses as rows: where they end, what a smaller set shares with a larger one, and distances measured on them."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from stagejax.data import Bytes, Stdlib
from stagejax.data.language.denoising import Denoiser, Denoising
from stagejax.data.tokenizers import CLS, SEP
from stagejax.inference.closeness import beside, beside_rows, distance
from stagejax.inference.prompts.responding import Responding, drawn_tokens, prompts_of, response_rows, responses
from stagejax.models.t5 import T5
from stagejax.result import Result
from stagejax.stage import variables
from stagejax.state import TrainState

NET = T5(vocab=260, embed=8, heads=2, head_dim=4, mlp=8, encoder_layers=1, decoder_layers=1)
TEXT = Denoising(
    source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=4, inputs=7, outputs=7, length=12,
    denoisers=(Denoiser("S", 0.0, 0.5),), mode_tokens=False,
)  # fmt: skip
LIMIT = 6


def trained(seed: int) -> Result:
    """A network as a stage would leave it, which often says SEP."""
    model = NET.build(nnx.Rngs(seed))
    model.tokens.table[...] = model.tokens.table[...].at[SEP].multiply(3.0)
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    state = TrainState(np.int32(0), params, variables(model), (), None)
    return Result(f"net/{seed}", "train", f"net{seed}", 1, NET, load=lambda: state)


def made(name: str, value: Any) -> Result:
    return Result(name, "make", name, 1, value=value)


@pytest.mark.slow
def test_rows_end_where_responses_do() -> None:
    rows = responses(trained(0), TEXT, (3, 143), Responding(LIMIT), 0)  # more than are drawn at once
    np.testing.assert_array_equal(rows["inputs"], TEXT.take(np.arange(3, 143))["inputs"])
    assert (rows["tokens"][:, 0] == CLS).all()
    lengths = rows["weights"].sum(1).astype(int)
    assert drawn_tokens(rows) == lengths.sum()
    assert 1 <= lengths.min() < lengths.max() == LIMIT
    for row, end in enumerate(lengths):
        assert SEP not in rows["targets"][row, : end - 1]
        assert end == LIMIT or rows["targets"][row, end - 1] == SEP
        assert rows["weights"][row, :end].all()
        np.testing.assert_array_equal(rows["tokens"][row, 1:end], rows["targets"][row, : end - 1])


@pytest.mark.slow
def test_a_smaller_set_is_part_of_a_larger_one() -> None:
    net = trained(0)
    one, three = (responses(net, TEXT, (0, 10), Responding(LIMIT, n), 5) for n in (1, 3))
    fewer = responses(net, TEXT, (2, 6), Responding(LIMIT, 3), 5)
    assert len(three["tokens"]) == 30
    np.testing.assert_array_equal(one["targets"], three["targets"][::3])
    np.testing.assert_array_equal(fewer["targets"], three["targets"][6:18])
    assert not np.array_equal(three["targets"][::3], three["targets"][1::3])
    other = responses(net, TEXT, (0, 10), Responding(LIMIT), 6)
    assert not np.array_equal(one["targets"], other["targets"])


def test_prompts_and_rows_are_data() -> None:
    alone = prompts_of(TEXT, (0, 8))
    rows = responses(trained(0), TEXT, (0, 8), Responding(LIMIT), 0)
    np.testing.assert_array_equal(alone["inputs"], rows["inputs"])
    batch = response_rows(made("rows", rows), 7, LIMIT, 8, 0).take(np.arange(8))
    assert sorted(map(tuple, batch["targets"])) == sorted(map(tuple, rows["targets"]))


@pytest.mark.slow
def test_a_network_is_at_no_distance_from_itself() -> None:
    nets = {name: trained(seed) for name, seed in (("teacher", 0), ("oracle", 1))}
    said = {name: made(name, responses(net, TEXT, (0, 8), Responding(LIMIT), 0)) for name, net in nets.items()}
    both = made("both", beside(tuple(said), *said.values()))
    data = beside_rows(both, tuple(said), 7, LIMIT, 4, 2)
    own = distance(nets["oracle"], nets["oracle"], ("golden", "oracle"), data)
    other = distance(nets["teacher"], nets["oracle"], ("golden", "oracle"), data)
    assert own["golden"] == pytest.approx(0, abs=1e-5)
    assert other["golden"] > 0.1
    model = {name: net.module() for name, net in nets.items()}
    rows = jax.tree.map(jax.numpy.asarray, both.value)
    ours, theirs = (
        jax.nn.log_softmax(model[who](rows["inputs"], rows["oracle_tokens"], mask=rows["mask"]))
        for who in ("teacher", "oracle")
    )
    nats = (np.exp(theirs) * (theirs - ours)).sum(-1) * rows["oracle_weights"]
    assert other["golden"] == pytest.approx(float(nats.sum() / rows["oracle_weights"].sum()), rel=1e-4)


def test_different_prompts_are_refused() -> None:
    rows = {"inputs": np.zeros((2, 3)), "mask": np.ones((2, 3)), "tokens": np.ones((2, 2)), "weights": np.ones((2, 2))}
    with pytest.raises(ValueError, match="different prompts"):
        beside(("a", "b"), made("a", rows), made("b", rows | {"inputs": np.ones((2, 3))}))

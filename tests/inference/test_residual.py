"""States of the stream are those that the model makes; a state put back brings back what follows from it alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.inference.knowledge.residual import (
    causal_trace,
    lens,
    logit_lens,
    reciprocal_ranks,
    residual_stream,
    resumed,
)
from stagejax.models import bert, gpt, llama

CLEAN, CHANGED = jnp.array([[5, 6, 7, 8], [3, 1, 2, 0]]), jnp.array([[5, 9, 7, 8], [3, 9, 2, 0]])
ANSWERS = jnp.array([4, 11])


@pytest.fixture(scope="module", params=[gpt, llama], ids=["unrolled", "scanned, rotary"])
def model(request: Any) -> Any:
    sizes = {"vocab": 12, "layers": 2, "embed": 8, "heads": 2, "mlp": 16, "length": 4, "init_std": 0.5}
    return request.param(**sizes, scan=request.param is llama).build(nnx.Rngs(0))


def test_states_are_those_of_the_model_and_it_can_go_on_from_each(model: Any) -> None:
    def both(tokens: Any) -> Any:
        states = residual_stream(model, tokens)
        wanted = model.embed(tokens, jnp.arange(4)[None], None), model.hidden(tokens, depth=1), model(tokens)
        resumes = [resumed(model, states[start], start) for start in range(3)]
        return (states[0], model.norm(states[1]), logit_lens(model, states)[-1], *resumes), wanted

    found, (embedded, first, logits) = jax.jit(both)(CLEAN)
    assert found[0].shape == (2, 4, 8)
    for own, wanted in zip(found, (embedded, first, *[logits] * 4), strict=True):
        np.testing.assert_allclose(own, wanted, atol=1e-5)


def test_reciprocal_ranks_are_those_of_sorting(model: Any) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 2, 7)).astype(np.float32)
    tokens = np.array([[0, 6], [3, 3], [5, 1]])
    order = (-logits).argsort(-1)
    ranks = (order == tokens[..., None]).argmax(-1) + 1
    np.testing.assert_allclose(reciprocal_ranks(jnp.array(logits), jnp.array(tokens)), 1 / ranks)
    rows = {"tokens": CLEAN, "wanted": jnp.stack([ANSWERS, CLEAN[:, 0]], axis=1)}
    found, logits = jax.jit(lambda rows: (lens(model, rows), model(rows["tokens"])))(rows)
    last = reciprocal_ranks(logits, jnp.broadcast_to(ANSWERS[:, None], (2, 4)))
    assert found.shape == (2, 2, 3, 4)
    np.testing.assert_allclose(found[:, 0, -1], last, atol=1e-6)


@pytest.mark.slow
def test_a_trace_is_a_run_with_one_state_put_back(model: Any) -> None:
    def chances(logits: Any) -> Any:
        return jax.nn.softmax(logits[:, -1])[jnp.arange(2), ANSWERS]

    def both(rows: Any) -> Any:
        states = residual_stream(model, rows["clean"]), residual_stream(model, rows["changed"])
        patched = states[1][1].at[:, 2].set(states[0][1][:, 2])
        wanted = [chances(model(rows[name])) for name in ("clean", "changed")]
        return causal_trace(model, rows), *wanted, chances(resumed(model, patched, 1))

    rows = {"clean": CLEAN, "changed": CHANGED, "answer": ANSWERS}
    found, clean, changed, by_hand = map(np.asarray, jax.jit(both)(rows))
    assert found.shape == (2, 3, 4)
    assert np.abs(clean - changed).min() > 1e-4  # float32 has 1e-8 here
    np.testing.assert_allclose(found[:, -1, -1], clean, atol=1e-6)  # the last state of the last token is the answer
    np.testing.assert_allclose(found[:, -1, :-1], np.stack([changed] * 3, axis=1), atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 1], clean, atol=1e-6)  # the embedding of the changed token is all there is
    np.testing.assert_allclose(found[:, :, 0], np.stack([changed] * 3, axis=1), atol=1e-6)  # before it nothing differs
    np.testing.assert_allclose(found[:, 1, 2], by_hand, atol=1e-6)


@pytest.mark.slow
def test_an_encoder_has_no_such_stream() -> None:
    with pytest.raises(ValueError, match="causal=True"):
        residual_stream(bert(vocab=12, layers=1, embed=8, heads=2, mlp=8, length=4).build(nnx.Rngs(0)), CLEAN)

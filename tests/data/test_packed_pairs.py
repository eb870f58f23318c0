"""Packing with two budgets: nothing lost, nothing longer, the same rows from anywhere, and the same loss."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings

from stagejax.data import Bytes, Stdlib
from stagejax.data.language.denoising import PREFIX, UL2, Denoising
from stagejax.data.language.packed_pairs import PackedPairs, fitting
from stagejax.data.language.seq2seq import TextToText
from stagejax.models.t5 import T5
from stagejax.objectives.language import seq2seq

TEXT = Stdlib(limit=50_000)
SHORT = Denoising(source=TEXT, tokenizer=Bytes(), batch=4, inputs=40, outputs=40, length=24, denoisers=(*UL2, *PREFIX))
DATA = PackedPairs(data=SHORT, batch=4, inputs=64, outputs=56)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 7)), min_size=1, max_size=60))
def test_rows_begin_where_the_next_sample_no_longer_fits(sizes: list[tuple[int, int]]) -> None:
    starts, expected, left = fitting(np.array(sizes, np.int64), (12, 8)).tolist(), [], (0, 0)
    for number, (n, m) in enumerate(sizes):
        if n > left[0] or m > left[1]:
            expected.append(number)
            left = (12, 8)
        left = left[0] - n, left[1] - m
    assert starts == expected


@pytest.mark.parametrize("data", [SHORT, replace(SHORT, length=None, seed=3)], ids=["short", "as long as fits"])
def test_sizes_are_known_without_the_text(data: Denoising) -> None:
    numbers = np.arange(200)
    batch = data.take(numbers)
    np.testing.assert_array_equal(data.sizes(numbers), np.stack([batch["mask"].sum(1), batch["weights"].sum(1)], 1))


def test_sizes_of_a_task_s_samples() -> None:
    task = TextToText(
        source=TEXT, tokenizer=Bytes(), learned_from=TEXT, batch=2, inputs=12, outputs=10, fields=("text", "name")
    )
    batch = task.take(np.arange(50))
    np.testing.assert_array_equal(
        task.sizes(np.arange(50)), np.stack([batch["mask"].sum(1), batch["weights"].sum(1)], 1)
    )
    row = PackedPairs(data=task, batch=1, inputs=48, outputs=48).take(np.arange(1))
    assert row["segments"].max() == 4


def test_every_sample_is_there_once_in_order_and_whole() -> None:
    rows, sample = DATA.take(np.arange(50)), 0
    single = SHORT.take(np.arange(400))
    for row in range(50):
        assert (rows["mask"][row] == (rows["input_segments"][row] > 0)).all()
        assert (rows["weights"][row] == (rows["segments"][row] > 0)).all()
        for segment in range(1, rows["segments"][row].max() + 1):
            of_input, of_target = rows["input_segments"][row] == segment, rows["segments"][row] == segment
            assert rows["inputs"][row][of_input].tolist() == single["inputs"][sample][single["mask"][sample]].tolist()
            for name in ("tokens", "targets"):
                assert rows[name][row][of_target].tolist() == single[name][sample][: of_target.sum()].tolist()
            assert of_target.sum() == single["weights"][sample].sum()
            sample += 1
    assert sample == DATA.starts(np.array([50]))[0] > 90
    assert DATA.tokens == pytest.approx(4 * (rows["mask"].sum() + rows["weights"].sum()) / 50, rel=0.05)


def test_rows_are_the_same_wherever_a_run_begins_and_on_two_processes() -> None:
    first = DATA.take(np.arange(3000, 3010))
    again = replace(DATA, batch=2)  # knows no starts yet
    assert again.starts(np.array([0]))[0] == 0
    for name, leaf in again.take(np.arange(3000, 3010)).items():
        np.testing.assert_array_equal(leaf, first[name])
    with DATA.batches({"step": 750}) as whole, DATA.batches({"step": 750}, shard=(1, 2)) as half:
        one, part = next(whole), next(half)
    np.testing.assert_array_equal(one["inputs"], first["inputs"][:4])
    np.testing.assert_array_equal(part["inputs"], one["inputs"][2:])


def test_an_epoch_s_rows_hold_its_samples() -> None:
    rows = DATA.size()
    assert DATA.starts(np.array([rows]))[0] <= SHORT.size() < DATA.starts(np.array([rows + 1]))[0]
    held = DATA.held_out(2)
    assert (held.count, held.data.source.split) == (2, "test")
    with pytest.raises(ValueError, match="epoch"):
        replace(DATA, count=rows).batches()


@pytest.mark.slow
def test_the_loss_of_packed_rows_is_that_of_the_samples_alone() -> None:
    """In the encoder, the decoder and between them; gradients too."""
    config = T5(vocab=SHORT.vocab, embed=16, encoder_layers=1, decoder_layers=1, heads=2, head_dim=8, mlp=32)
    graph, params = nnx.split(config.build(nnx.Rngs(0)))
    packed = DATA.take(np.arange(6))
    alone = SHORT.take(np.arange(DATA.starts(np.array([6]))[0]))

    @jax.jit
    def loss(params, batch):
        return jax.value_and_grad(lambda p: seq2seq(nnx.merge(graph, p), batch, None)[0])(params)

    batches = ({name: jnp.asarray(leaf) for name, leaf in batch.items()} for batch in (packed, alone))
    (one, moved), (other, moves) = (loss(params, batch) for batch in batches)
    assert float(one) == pytest.approx(float(other), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), moved, moves)
    mixed = {name: jnp.asarray(np.minimum(leaf, 1) if "segments" in name else leaf) for name, leaf in packed.items()}
    assert abs(float(loss(params, mixed)[0]) - float(one)) > 1e-3  # as one segment they would see each other


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sample 0 has \(9, 1\) tokens .* raise the budgets"):
        fitting(np.array([[9, 1]]), (8, 8))

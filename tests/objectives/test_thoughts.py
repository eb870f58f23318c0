"""Thoughts in slots: the loss against numpy, duplicates and wrong thoughts, and no gradient into the frozen model."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from stagejax.models import llama
from stagejax.models.text.slots import SlotReader, SlotWriter
from stagejax.objectives.contrastive import info_nce
from stagejax.objectives.text.slots import answer_behind_slot, thought_in_slot

RNG = np.random.RandomState(0)
NET = llama(vocab=10, embed=8, layers=1, heads=2, mlp=12, length=8, init_std=0.3)


def batch() -> dict[str, jax.Array]:
    tokens = RNG.randint(4, 10, (4, 6)).astype(np.int32)
    tokens[:, 2] = 3
    thought, wrong = (RNG.randint(4, 10, (4, 4)).astype(np.int32) for _ in range(2))
    thought[:, 3] = wrong[:, 3] = 3
    thought[2] = thought[0]
    weights = np.tile(np.float32([0, 0, 1, 1, 1, 0]), (4, 1))
    rows = {"tokens": tokens, "targets": np.roll(tokens, -1, 1), "thought": thought, "wrong": wrong}
    return {name: jnp.array(row) for name, row in (rows | {"weights": weights}).items()}


@pytest.mark.slow
def test_the_loss_is_that_of_the_thought_and_of_the_pairs() -> None:
    model, rows = SlotWriter(NET, 3, 5).build(nnx.Rngs(0)), batch()
    logits = log_softmax(np.asarray(model(rows["tokens"])), -1)
    own = -np.take_along_axis(logits, np.asarray(rows["targets"])[..., None], -1)[..., 0]
    said = (own * rows["weights"]).sum() / rows["weights"].sum()
    c, g, w = (np.asarray(model.summary(rows[x])) for x in ("tokens", "thought", "wrong"))
    near, others = c @ g.T / 0.2, c @ w.T / 0.2
    near[0, 2] = near[2, 0] = -np.inf  # the same thought
    for wrong in (False, True):
        by_row = log_softmax(np.concatenate([near, others], 1) if wrong else near, 1)[:, :4]
        pairs = -(np.trace(by_row) + np.trace(log_softmax(near, 0))) / 8
        how = {"contrast": 0.5, "temperature": 0.2, "wrong": wrong}
        loss, metrics = thought_in_slot(model, rows, None, **how)
        np.testing.assert_allclose(loss, said + 0.5 * pairs, rtol=1e-4)
        np.testing.assert_allclose(metrics["contrast"][0] / metrics["contrast"][1], pairs, rtol=1e-4)
        np.testing.assert_allclose(metrics["loss"][0] / metrics["loss"][1], said, rtol=1e-4)


@pytest.mark.slow
def test_without_contrast_the_summary_has_no_gradient() -> None:
    rows = batch()

    def norms(contrast: float) -> float:
        loss = nnx.grad(lambda m: thought_in_slot(m, rows, None, contrast=contrast)[0])
        grads = loss(SlotWriter(NET, 3, 5).build(nnx.Rngs(0)))
        return float(jnp.abs(grads["project"]["kernel"][...]).sum())

    assert norms(0.0) == 0
    assert norms(1.0) > 0


@pytest.mark.slow
def test_answers_teach_the_reader_alone() -> None:
    models = {"cot": SlotWriter(NET, 3, 5).build(nnx.Rngs(0)), "hcot": SlotReader(NET, 3, 8).build(nnx.Rngs(1))}
    rows = batch()
    grads = nnx.grad(lambda m: answer_behind_slot(m, rows, None)[0])(models)
    size = {name: sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(own)) for name, own in grads.items()}
    assert size["cot"] == 0
    assert size["hcot"] > 0
    assert float(jnp.abs(grads["hcot"]["inject"]["kernel"][...]).sum()) > 0


@pytest.mark.slow
def test_what_is_learned_is_said_behind_the_states_of_the_prefix() -> None:
    rows, seen = batch(), []
    cot = SimpleNamespace(hidden=lambda tokens: seen.append(tokens) or jnp.ones((*tokens.shape, 8)))
    hcot = partial(SlotReader(NET, 3, 8).build(nnx.Rngs(1)))
    answer_behind_slot({"cot": cot, "hcot": hcot}, rows, None)
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], rows["tokens"])


def test_further_negatives_are_those_of_the_rows() -> None:
    near, others = RNG.normal(size=(3, 3)).astype(np.float32), RNG.normal(size=(3, 5)).astype(np.float32)
    expected = -(np.trace(log_softmax(np.concatenate([near, others], 1), 1)[:, :3]) + np.trace(log_softmax(near, 0)))
    np.testing.assert_allclose(info_nce(jnp.array(near), jnp.array(others))[0], expected / 6, rtol=1e-5)

"""Votes of neighbours: against sums written out, over random similarities; and what may not vote."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.models.vision.feature_queue import EMPTY, FeatureQueue
from stagejax.objectives.pictures.neighbourhood import (
    ClassAmongMany,
    ItselfAmongMany,
    Narrowing,
    NeighbourVote,
    accuracy_of_vote,
    class_loss,
    instance_loss,
    vote_loss,
)
from stagejax.objectives.retrieval.neighbours import vote

B, Q, CLASSES = 5, 12, 3
VOTE = jax.jit(lambda s, same, others, k: vote_loss(s, same, others, k, 8)[0])
ALL = jax.jit(lambda s, same, others: vote_loss(s, same, others)[0])


def drawn(seed: int) -> tuple[Any, Any, Any]:
    """Similarities, which entries have the class, which may vote."""
    rng = np.random.default_rng(seed)
    same = rng.integers(CLASSES, size=Q) == rng.integers(CLASSES, size=(B, 1))
    return rng.normal(size=(B, Q)).astype(np.float32), same, rng.random((B, Q)) < 0.8


def gradient(s: Any, same: Any, others: Any, k: int) -> np.ndarray:
    return np.asarray(jax.grad(lambda s: vote_loss(s, jnp.asarray(same), jnp.asarray(others), k)[0])(jnp.asarray(s)))


def expected(s: np.ndarray, same: np.ndarray, others: np.ndarray, k: int) -> float:
    """The vote as the paper has it, image by image."""
    losses = []
    for row in range(len(s)):
        known = [q for q in np.argsort(-s[row], kind="stable") if others[row, q]]
        own = [q for q in known if same[row, q]]
        if own:
            chosen = known[:k]
            chosen += [] if set(chosen) & set(own) else own[:1]
            right = sum(np.exp(s[row, q]) for q in chosen if q in own)
            losses.append(-np.log(right / sum(np.exp(s[row, q]) for q in chosen)))
    return float(np.mean(losses)) if losses else 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_the_loss_is_the_vote_of_the_nearest(seed: int, k: int) -> None:
    s, same, others = drawn(seed)
    assert float(VOTE(s, same, others, k)) == pytest.approx(expected(s, same, others, k), abs=1e-5)
    assert float(ALL(s, same, others)) == pytest.approx(expected(s, same, others, Q), abs=1e-5)


def test_a_vote_without_the_class_is_joined_by_the_nearest_that_has_it() -> None:
    s = jnp.log(jnp.array([[4.0, 2.0, 1.0, 0.5]]))
    same, others = jnp.array([[False, False, True, True]]), jnp.ones((1, 4), bool)
    loss, metrics = vote_loss(s, same, others, 2)
    assert float(loss) == pytest.approx(np.log((4 + 2 + 1) / 1))
    assert float(metrics["joined"][0]) == 1
    assert np.isfinite(gradient(s, same, others, 2)).all()


def test_an_image_without_its_class_counts_for_nothing() -> None:
    s, same, others = drawn(3)
    same[0] = False
    grads = gradient(s, same, others, 4)
    assert not grads[0].any()
    assert grads[1:].any()
    nothing, metrics = vote_loss(jnp.asarray(s), jnp.zeros((B, Q), bool), jnp.asarray(others), 4)
    assert float(nothing) == 0 == float(metrics["loss"][1])


def test_only_the_chosen_get_a_gradient() -> None:
    s, same, others = drawn(5)
    grads = gradient(s, same, others, 3)
    nearest = np.argsort(-np.where(others, s, -np.inf), axis=1)[:, :3]
    for row in range(B):
        allowed = set(nearest[row]) | {int(np.argmax(np.where(same[row] & others[row], s[row], -np.inf)))}
        assert set(np.flatnonzero(grads[row])) <= allowed


def test_the_class_and_the_instance_by_their_sums() -> None:
    s, same, others = drawn(7)
    losses = []
    for row in range(B):
        positives = np.flatnonzero(same[row] & others[row])
        if len(positives):
            losses.append(np.mean(np.log(np.exp(s[row][others[row]]).sum()) - s[row, positives]))
    assert float(class_loss(*map(jnp.asarray, (s, same, others)))[0]) == pytest.approx(np.mean(losses), rel=1e-5)
    own = s[:, 0] + 1
    sums = [np.log(np.exp(own[r]) + np.exp(s[r][others[r]]).sum()) - own[r] for r in range(B)]
    assert float(instance_loss(*map(jnp.asarray, (s, own, others)))[0]) == pytest.approx(np.mean(sums), rel=1e-5)


def test_k_narrows_and_then_stays() -> None:
    ks = [int(Narrowing(10, 100, share=0.5)(jnp.array(p))["k"]) for p in np.linspace(0, 1, 9)]
    assert ks == sorted(ks, reverse=True)
    assert (ks[0], ks[4], ks[-1]) == (100, 10, 10)


def remembering() -> Any:
    """A model that passes its images through, with a queue of nine, one of them empty."""
    rng = np.random.default_rng(0)
    queue = FeatureQueue(9, 4)
    u = rng.normal(size=(8, 4)).astype(np.float32)
    queue.push(jnp.asarray(u / np.linalg.norm(u, axis=1, keepdims=True)), jnp.arange(8) % 2, jnp.arange(8))

    class Model:
        def __call__(self, images: Any, key: Any = None) -> Any:
            return images

    model = Model()
    model.queue = queue  # type: ignore[attr-defined]
    return model


def test_an_image_never_votes_on_itself() -> None:
    model = remembering()
    z = model.queue.features[...][:2]
    batch = {"image": z, "label": jnp.array([0, 1]), "record": jnp.array([0, 1]), "remembered": z}
    own = model.queue.others(batch["record"])
    assert not own[0, 0]
    assert not own[1, 1]
    assert not own[:, 8].any()  # nothing is there yet
    assert own.sum() == 2 * 7
    seen = float(NeighbourVote(1)(model, batch, None)[0])
    blind = float(NeighbourVote(1)(model, {k: v for k, v in batch.items() if k != "record"}, None)[0])
    assert blind == pytest.approx(0.0, abs=1e-6)  # its own feature is the nearest
    u, label = np.asarray(model.queue.features[...][:8]), np.arange(8) % 2
    s = u[:2] @ u.T / 0.1 - 1e9 * np.eye(2, 8)
    assert seen == pytest.approx(expected(s, label == label[:2, None], np.eye(2, 8) == 0, 1), abs=1e-4)
    for objective in (NeighbourVote(None), ClassAmongMany(), ItselfAmongMany()):
        loss, metrics = objective(model, batch, None)
        assert np.isfinite(float(loss))
        assert float(metrics["loss"][1]) == 2


def test_the_scored_vote_is_that_of_the_evaluator() -> None:
    model, rng = remembering(), np.random.default_rng(1)
    z = rng.normal(size=(6, 4)).astype(np.float32)
    batch = {"image": jnp.asarray(z), "label": jnp.asarray(rng.integers(2, size=6))}
    _, metrics = accuracy_of_vote(model, batch, None, k=3, classes=2, temperature=0.5)
    s = z @ np.asarray(model.queue.features[...][:8]).T / 0.5
    nearest = np.argsort(-s, axis=1)[:, :3]
    said = vote(np.asarray(model.queue.label[...])[nearest], np.take_along_axis(s, nearest, 1), 2, 1.0)
    assert float(metrics["accuracy"][0]) == (said == np.asarray(batch["label"])).sum()


def test_a_queue_forgets_the_oldest_and_refuses_what_does_not_fit() -> None:
    queue = FeatureQueue(5, 2)
    for first in (0, 3, 6):
        rows = jnp.arange(first, first + 3)
        queue.push(jnp.stack([rows, rows], 1).astype(jnp.float32), rows, rows)
    assert sorted(queue.record[...].tolist()) == [4, 5, 6, 7, 8]
    assert np.array_equal(queue.features[...][:, 0], queue.record[...])
    assert EMPTY not in queue.label[...]
    with pytest.raises(ValueError, match="a batch of 6 does not fit into a queue of 5"):
        queue.push(jnp.zeros((6, 2)), jnp.zeros(6, jnp.int32), jnp.zeros(6, jnp.int32))

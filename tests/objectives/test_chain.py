"""The linear chain against the sum and the maximum over all sequences of tags."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.text.chain import chain_loss, likeliest_chain
from stagejax.objectives.text.tagging import chain_tagging, tags_by_logits

RANDOM = np.random.default_rng(0)
B, T, K = 3, 5, 3
SCORES = jnp.asarray(2 * RANDOM.normal(size=(B, T, K)), jnp.float32)
MOVES = jnp.asarray(2 * RANDOM.normal(size=(K, K)), jnp.float32)
TAGS = jnp.asarray(RANDOM.integers(0, K, (B, T)))
WEIGHTS = jnp.array([[1.0, 1, 1, 1, 1], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]])


def score(row: int, tags: tuple[int, ...]) -> float:
    """Of a sequence of tags of a row's words."""
    words = np.flatnonzero(WEIGHTS[row])
    own = sum(float(SCORES[row, t, tag]) for t, tag in zip(words, tags, strict=True))
    return own + sum(float(MOVES[a, b]) for a, b in itertools.pairwise(tags))


def every(row: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(K), repeat=int(WEIGHTS[row].sum())))


def test_the_loss_is_that_of_the_sum_over_all_sequences() -> None:
    losses = jax.jit(chain_loss)(SCORES, MOVES, TAGS, WEIGHTS)
    for row in range(B):
        told = tuple(int(tag) for tag, weight in zip(TAGS[row], WEIGHTS[row], strict=True) if weight)
        total = np.logaddexp.reduce([score(row, tags) for tags in every(row)])
        assert float(losses[row]) == pytest.approx(total - score(row, told), abs=1e-4)
    assert float(losses[2]) == 0


def test_the_likeliest_chain_is_the_best_of_all() -> None:
    said = np.asarray(likeliest_chain(SCORES, MOVES, WEIGHTS))
    for row in range(2):
        best = max(every(row), key=lambda tags: score(row, tags))
        assert said[row, np.flatnonzero(WEIGHTS[row])].tolist() == list(best)
    assert said.shape == (B, T)


@pytest.mark.slow
def test_gradients_are_finite_where_nothing_is_tagged() -> None:
    grads = jax.grad(lambda s, m: chain_loss(s, m, TAGS, WEIGHTS).sum(), argnums=(0, 1))(SCORES, MOVES)
    assert all(np.isfinite(leaf).all() for leaf in grads)
    assert not np.asarray(grads[0][WEIGHTS == 0]).any()


def tagger(scores: Any = SCORES) -> Any:
    return SimpleNamespace(tags=lambda tokens, key: scores, moves=MOVES)


def batch(**more: Any) -> dict[str, Any]:
    return {"tokens": TAGS, "targets": TAGS, "weights": WEIGHTS, **more}


def test_chain_tagging_is_by_the_word() -> None:
    loss, metrics = chain_tagging(tagger(), batch(), None)
    assert float(loss) == pytest.approx(float(chain_loss(SCORES, MOVES, TAGS, WEIGHTS).sum()) / 8, rel=1e-5)
    right = (np.asarray(likeliest_chain(SCORES, MOVES, WEIGHTS)) == TAGS) * WEIGHTS
    assert [float(x) for x in metrics["accuracy"]] == [float(right.sum()), 8]


def test_a_teachers_logits_are_matched_on_words_and_targets_teach_nothing() -> None:
    same, _ = tags_by_logits(tagger(), batch(logits=SCORES + 3), None)
    assert float(same) == pytest.approx(0, abs=1e-6)
    logits = jnp.asarray(RANDOM.normal(size=(B, T, K)), jnp.float32)
    p, q = (np.asarray(jax.nn.log_softmax(x)) for x in (logits, SCORES))
    expected = ((np.exp(p) * (p - q)).sum(-1) * WEIGHTS).sum() / 8
    for targets in (TAGS, (TAGS + 1) % K):
        loss, _ = tags_by_logits(tagger(), batch(logits=logits) | {"targets": targets}, None)
        assert float(loss) == pytest.approx(float(expected), rel=1e-5)

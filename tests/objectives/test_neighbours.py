"""Exact neighbours against a full sort, whatever the blocks; and transfer between tasks by hand."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from stagejax.objectives.retrieval.neighbours import nearest, vote
from stagejax.objectives.tasks.transfer import transfer

RNG = np.random.RandomState(0)
QUERIES, KEYS = RNG.normal(size=(7, 5)).astype(np.float32), RNG.normal(size=(23, 5)).astype(np.float32)


def scores_of(by: str) -> np.ndarray:
    if by == "euclidean":
        return -np.square(QUERIES[:, None] - KEYS).sum(-1)
    scale = {"dot": (1, 1), "cosine": tuple(np.linalg.norm(x, axis=1) for x in (QUERIES, KEYS))}[by]
    return QUERIES @ KEYS.T / np.multiply.outer(*map(np.atleast_1d, scale))


@pytest.mark.parametrize("by", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("block", [4, 8, 100])
def test_they_are_those_of_a_full_sort(by: str, block: int) -> None:
    numbers, scores = nearest(QUERIES, KEYS, 4, by=by, block=block)
    expected = np.argsort(-scores_of(by), axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(numbers, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(scores_of(by), expected, 1), rtol=1e-5, atol=1e-5)


def test_of_equal_keys_the_first_is_found() -> None:
    assert nearest(KEYS[:1], np.repeat(KEYS[:1], 9, 0), 3, by="dot", block=4)[0].tolist() == [[0, 1, 2]]


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="24 neighbours of 23 keys"):
        nearest(QUERIES, KEYS, 24)
    with pytest.raises(ValueError, match="'cosine', 'dot' or 'euclidean'"):
        nearest(QUERIES, KEYS, 1, by="manhattan")


def test_near_neighbours_weigh_more() -> None:
    labels, scores = np.array([[0, 1, 1]]), np.array([[0.9, 0.5, 0.5]], np.float32)
    assert vote(labels, scores, 2, temperature=0.07).tolist() == [0]
    assert vote(labels, scores, 2, temperature=10.0).tolist() == [1]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10**6))
def test_forgetting_is_at_least_what_backward_transfer_loses(tasks: int, seed: int) -> None:
    scores = np.random.RandomState(seed).random_sample((tasks, tasks))
    found = transfer(scores, scores[0])
    by_hand = [max(scores[i, j] for i in range(j, tasks - 1)) - scores[-1, j] for j in range(tasks - 1)]
    assert found.forgetting == pytest.approx(np.mean(by_hand))
    assert found.forgetting >= -found.backward - 1e-9
    ahead = np.mean([scores[j - 1, j] - scores[0, j] for j in range(1, tasks)])
    assert found.forward == pytest.approx(ahead)
    assert found.average == pytest.approx(scores[-1].mean())


def test_a_matrix_is_wanted() -> None:
    with pytest.raises(ValueError, match="two or more stages"):
        transfer(np.ones((1, 1)))

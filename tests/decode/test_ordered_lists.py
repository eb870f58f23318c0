"""Lists matched in order, against all ways to match them; tau by pairs."""

import itertools

import numpy as np
import pytest

from stagejax.decode.ordered_lists import (
    equal,
    in_any_order,
    in_order,
    kendall_tau,
    list_score,
    order_tau,
    similarities,
)


def best_value(similar: np.ndarray, gap: float) -> float:
    """By trying all."""
    P, G = similar.shape
    values = []
    for k in range(min(P, G) + 1):
        for rows in itertools.combinations(range(P), k):
            for columns in itertools.combinations(range(G), k):
                values.append(similar[list(rows), list(columns)].sum() - gap * (P + G - 2 * k))
    return float(max(values))


@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_the_dynamic_program_finds_the_best_of_all_matchings(gap: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        P, G = rng.integers(0, 5, 2)
        similar = rng.uniform(-0.3, 1, (P, G))
        pairs = in_order(similar, gap)
        assert pairs == sorted(pairs)
        assert len({p for p, _ in pairs}) == len({g for _, g in pairs}) == len(pairs)
        value = sum(similar[pair] for pair in pairs) - gap * (P + G - 2 * len(pairs))
        assert value == pytest.approx(best_value(similar, gap))


def test_steps_unlike_all_stay_alone() -> None:
    assert in_order(np.zeros((2, 2))) == []
    assert in_order(-np.ones((2, 2)), gap=2.0) == [(0, 0), (1, 1)]  # alone they would cost more


def test_scores_by_hand() -> None:
    score = list_score(["a", "b", "x", "c"], ["a", "c", "b"])
    assert (score.precision, score.recall) == (2 / 4, 2 / 3)  # a, and b or c
    assert score.f1 == pytest.approx(2 * 2 / (4 + 3))
    assert list_score([], ["a"]) == (0.0, 0.0, 0.0)
    assert list_score(["a b"], ["a  b"]).f1 == 1.0
    half = list_score(["a"], ["b"], like=lambda one, other: 0.5)
    assert half == (0.5, 0.5, 0.5)


def test_similarities_of_empty_lists_have_a_shape() -> None:
    assert similarities([], ["a"]).shape == (0, 1)
    assert in_order(similarities([], ["a"])) == in_any_order(similarities(["a"], [])) == []
    assert similarities(["a"], ["a", "b"]).tolist() == [[1.0, 0.0]]
    assert equal("a", "b") == 0


def test_any_order_matches_what_order_forbids() -> None:
    turned = np.eye(3)[::-1]
    assert len(in_order(turned)) == 1
    assert len(in_any_order(turned)) == 3
    assert in_any_order(np.full((2, 2), 0.4), least=0.5) == []


def test_tau_by_pairs() -> None:
    rng = np.random.default_rng(1)
    for n in (2, 3, 5):
        order = rng.permutation(n)
        pairs = list(itertools.combinations(order.tolist(), 2))
        right = sum(1 if a < b else -1 for a, b in pairs) / len(pairs)
        assert kendall_tau(order.tolist()) == pytest.approx(right)
    assert np.isnan(kendall_tau([3]))
    assert order_tau(["c", "b", "a"], ["a", "b", "c"]) == -1
    assert np.isnan(order_tau(["a", "x"], ["a", "b"]))

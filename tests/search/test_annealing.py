"""Annealing: what it has found is never worse than its start, its first temperature is what is asked, it is random
only by its seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.search.annealing import Annealing, first_temperatures


def bumpy(x: np.ndarray) -> np.ndarray:
    """One least value, at 0, among local ones at other whole numbers."""
    return (0.1 * x**2 + 2 * (1 - np.cos(2 * np.pi * x))).sum(1)


def step(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x + rng.normal(0, 0.3, x.shape)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60))
def test_the_best_seen_is_no_worse_than_the_start_and_has_its_energy(seed: int, moves: int) -> None:
    start = np.random.default_rng(seed).normal(0, 4, (5, 2))
    before = start.copy()
    found = Annealing(moves)(start, bumpy, step, seed=seed)
    assert (found.energies <= bumpy(start)).all()
    np.testing.assert_array_equal(found.energies, bumpy(found.states))
    np.testing.assert_array_equal(start, before)


@pytest.mark.slow
def test_it_leaves_local_minima_that_descent_does_not() -> None:
    start = np.full((40, 1), 5.0)
    hot = Annealing(2000, each=20)(start, bumpy, step)
    cold = Annealing(2000, each=20, uphill=1e-9)(start, bumpy, step)
    assert np.mean(np.abs(hot.states) < 0.5) > 0.7
    assert np.mean(np.abs(cold.states) < 0.5) < 0.3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_the_first_temperature_lets_the_asked_share_of_uphill_moves_pass(seed: int, share: float) -> None:
    rises = np.random.default_rng(seed).normal(0, 10.0 ** np.random.default_rng(seed).uniform(-3, 3), (30, 3))
    for heat, own in zip(first_temperatures(rises, share), rises.T, strict=True):
        assert np.exp(-own[own > 0] / heat).mean() == pytest.approx(share, abs=1e-6)


def test_about_four_of_five_uphill_moves_are_made_at_first() -> None:
    """Counted on one long plane: every move up costs 1, and the first temperature stays."""
    seen: list[np.ndarray] = []

    def upward(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        seen.append(x.copy())
        return x + 1

    Annealing(moves=50, each=50)(np.zeros((400, 1)), lambda x: x[:, 0], upward)
    made = np.diff(np.concatenate(seen[50:], 1), axis=1)  # behind the probes
    assert made.mean() == pytest.approx(0.8, abs=0.02)


def test_a_chain_ends_when_its_best_state_is_done() -> None:
    start = np.array([[0.0], [6.0]])
    found = Annealing(500)(start, bumpy, step, lambda x: bumpy(x) < 0.5)
    assert found.moves[0] == 0
    np.testing.assert_array_equal(found.states[0], start[0])
    assert 0 < found.moves[1] <= 500


def test_the_seed_decides() -> None:
    start = np.full((3, 2), 3.0)
    one, same, other = (Annealing(100)(start, bumpy, step, seed=seed).states for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("wrong", [{"cooling": 1.0}, {"uphill": 0.0}])
def test_shares_are_between_0_and_1(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Annealing(**wrong)  # type: ignore[arg-type]

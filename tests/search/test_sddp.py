"""SDDP: cuts lie below the true cost to go, the bound rises to what decisions cost, and water is worth something."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.control.hydro import Cascade, Inflows
from stagejax.search.sddp import Cuts, made, no_cuts, operated, solves_of_iteration

T, CASE, TRIALS, ROUNDS = 3, Cascade(), 2, 8


@pytest.fixture(scope="module")
def trained() -> tuple[Any, Cuts, list[float]]:
    system, record = CASE.system(), CASE.inflows()[:T] * 0.5
    paths = Inflows(case=CASE, stages=T, batch=TRIALS).take(np.arange(TRIALS * ROUNDS))["inflow"] * 0.5
    cuts, found = made(system, record, paths, TRIALS)
    assert not found["failed"].any()
    return system, cuts, found["bounds"].tolist()


def everything() -> jax.Array:
    """All 27 paths of three stages, each as likely."""
    record = CASE.inflows()[:T] * 0.5
    return jnp.asarray([[record[t, s] for t, s in enumerate(which)] for which in itertools.product(range(3), repeat=T)])


@pytest.mark.slow
def test_the_bound_rises_and_meets_the_expected_cost_of_the_decisions(trained: Any) -> None:
    system, cuts, bounds = trained
    assert all(b >= a - 1e-2 * abs(a) * 1e-2 for a, b in itertools.pairwise(bounds))
    costs = jax.jit(partial(operated, system))(cuts, everything())[1]
    expected = float(costs.sum(1).mean())
    assert bounds[-1] == pytest.approx(expected, rel=1e-2)
    assert bounds[-1] <= expected * (1 + 1e-4)


@pytest.mark.slow
def test_decisions_with_cuts_cost_less_than_myopic_ones(trained: Any) -> None:
    system, cuts, _ = trained
    run = jax.jit(partial(operated, system))
    wise, myopic = (run(own, everything())[1].sum(1).mean() for own in (cuts, no_cuts(system, T, TRIALS * ROUNDS)))
    assert float(wise) < float(myopic)


def test_more_water_never_makes_the_future_dearer(trained: Any) -> None:
    _, cuts, _ = trained
    assert bool((cuts.slopes[:-1] <= 1e-3).all())
    assert not cuts.slopes[-1].any()
    assert solves_of_iteration(T, 3, TRIALS) == 2 * 3 + 2 * 2 * 3 + 3

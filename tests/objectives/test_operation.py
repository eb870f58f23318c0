"""Policies in operation: accounts add up, foresight is a bound, and slack at a high price is obeyed where it can be."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data.control.hydro import Cascade, Inflows
from stagejax.models.policy import RecurrentPolicy
from stagejax.objectives.control import dispatch, operation

T, B, CASE = 4, 8, Cascade()
INFLOW = jnp.asarray(Inflows(case=CASE, stages=T, batch=B).take(np.arange(B))["inflow"])
MODEL = RecurrentPolicy(plants=2, hidden=(4,)).build(nnx.Rngs(0))


@pytest.fixture(scope="module")
def accounts() -> dict[str, Any]:
    own = (operation.by_targets, operation.by_releases, operation.with_slack)
    system = CASE.system()
    found = {f.__name__: jax.jit(partial(f, MODEL, system))(INFLOW) for f in own}
    return found | {"with_foresight": jax.jit(partial(operation.with_foresight, system))(INFLOW)}


@pytest.mark.slow
def test_all_accounts_have_the_same_entries_and_no_program_fails(accounts: dict[str, Any]) -> None:
    for name, own in accounts.items():
        assert own["costs"].shape == own["shed"].shape == (B, T), name
        assert own["volumes"].shape == (T, 2), name
        assert float(own["failed"]) == 0, name
        assert 0 <= float(own["violated"]) <= 1, name


@pytest.mark.slow
def test_targets_within_reach_and_clipped_releases_are_done_as_decided(accounts: dict[str, Any]) -> None:
    assert float(accounts["by_targets"]["violated"]) == 0
    assert float(accounts["by_releases"]["violated"]) == 0
    dry = jax.jit(partial(operation.with_slack, MODEL, CASE.system()))(0.1 * INFLOW)
    assert float(dry["violated"]) > 0  # between the bounds is not within reach
    assert float(dry["failed"]) == 0


def test_no_policy_costs_less_than_foresight(accounts: dict[str, Any]) -> None:
    least = accounts["with_foresight"]["costs"].sum(1)
    for name in ("by_targets", "by_releases", "with_slack"):
        assert bool((accounts[name]["costs"].sum(1) >= least * (1 - 1e-4)).all()), name


def test_costs_of_targets_are_those_of_the_objective(accounts: dict[str, Any]) -> None:
    loss, metrics = jax.jit(partial(dispatch.strict_dispatch, case=CASE))(MODEL, {"inflow": INFLOW}, None)
    assert float(loss) == pytest.approx(float(accounts["by_targets"]["costs"].mean()), rel=1e-5)
    assert float(metrics["shed"]) == pytest.approx(float(accounts["by_targets"]["shed"].sum(1).mean()), abs=1e-5)


@pytest.mark.slow
def test_a_stage_that_missed_its_target_is_counted() -> None:
    """A reservoir that is to hold more than all water there is: its program fails, and its target is missed."""
    system = CASE.system()
    asked = jnp.broadcast_to(jnp.asarray(system.volume_start), (B, T, 2)).at[:, 0, 0].set(2.9)
    costs, found = jax.jit(partial(dispatch.carried_out, system))(asked, jnp.zeros_like(INFLOW))
    own = operation.account(system, jnp.zeros_like(INFLOW), asked, costs, found)
    assert float(own["failed"]) > 0
    assert float(own["violated"]) > 0

"""Dispatch: targets are within reach, gradients pass through the bounds, slack and strict agree where they must."""

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
from stagejax.objectives.control import dispatch
from stagejax.objectives.control.quadratic_program import solve

T, CASE = 4, Cascade(head=0.2)
MODEL = RecurrentPolicy(plants=2, hidden=(4,)).build(nnx.Rngs(0))


def paths(count: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(Inflows(case=CASE, stages=T, batch=count, seed=seed).take(np.arange(count))["inflow"])


def rolled(system: Any, proposals: Any, inflow: Any) -> Any:
    """Targets of given proposals (T, R)."""

    def stage(volume: Any, at: Any) -> Any:
        target = dispatch.attainable(system, volume, at[1], at[0])
        return target, target

    return jax.lax.scan(stage, system.volume_start, (proposals, inflow))[1]


def compared() -> tuple[float, float]:
    """Cosine and norm ratio for a dry path, on which reach binds."""
    proposals = 0.5 * np.random.default_rng(1).normal(size=(T, 2))
    found = dispatch.compared_gradient(CASE.system(), proposals, 0.5 * paths(1)[0])
    return found["cosine"], found["ratio"]


@pytest.mark.slow
def test_the_gradient_through_targets_and_bounds_is_that_of_differences() -> None:
    cosine, ratio = compared()
    assert cosine == pytest.approx(1, abs=1e-3)
    assert ratio == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_with_gradients_stopped_at_the_bounds_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    reachable, clamped = dispatch.reachable, dispatch.clamped

    def stopped(system: Any, volume: Any, inflow: Any) -> Any:
        return reachable(system, jax.lax.stop_gradient(volume), inflow)

    def stopped_clamp(system: Any, volume: Any, inflow: Any, wanted: Any) -> Any:
        return clamped(system, jax.lax.stop_gradient(volume), inflow, wanted)

    monkeypatch.setattr(dispatch, "reachable", stopped)
    monkeypatch.setattr(dispatch, "clamped", stopped_clamp)
    cosine, ratio = compared()
    assert abs(cosine - 1) > 1e-3
    assert abs(ratio - 1) > 1e-2


def test_targets_of_any_proposals_can_be_carried_out_without_shedding() -> None:
    system, inflow = CASE.system(), paths(32)
    proposals = 4 * np.random.default_rng(0).normal(size=(32, T, 2)).astype(np.float32)
    wanted = jax.vmap(partial(rolled, system))(proposals, inflow)
    _, found = jax.jit(partial(dispatch.carried_out, system))(wanted, inflow)
    assert bool(found.converged.all())
    assert int(found.trips.max()) < 40
    assert bool((wanted >= 0).all())
    assert bool((wanted <= system.volume_max + 1e-5).all())


def test_a_cascade_holds_no_more_than_what_the_plant_above_lets_through() -> None:
    """The plant above keeps all it can, so the pond below, which wants to be full, gets only its own inflow."""
    system = CASE.system()._replace(volume_max=np.array([30.0, 30.0], np.float32))
    volume, inflow = jnp.array([1.0, 0.2]), jnp.array([0.5, 0.1])
    wanted = jnp.array([1.5, 5.0])
    np.testing.assert_allclose(dispatch.clamped(system, volume, inflow, wanted)[1], 0.3, rtol=2e-3)
    low, high = dispatch.reachable(system, volume, inflow)
    np.testing.assert_allclose(high, [1.5, 0.3 + 1.2], rtol=1e-6)
    released = dispatch.clamped(system, volume, inflow, jnp.array([0.5, 5.0]))[1]
    np.testing.assert_allclose(released, 0.3 + 1.0, rtol=2e-3)
    flooding = jnp.array([0.0, 5.0])  # of 1.5 released, the turbines let 1.2 through, and spills do not reach the pond
    np.testing.assert_allclose(dispatch.clamped(system, volume, inflow, flooding)[1], 0.3 + 1.2, rtol=2e-3)
    assert bool((low <= high).all())


@pytest.mark.slow
def test_the_path_in_one_program_costs_what_its_stages_cost_between_its_own_volumes() -> None:
    """Perfect foresight's volumes, carried out stage by stage, cost what the whole program says, and no path less."""
    case = Cascade()
    system, inflow = case.system(), paths(4)
    start = jnp.asarray(system.volume_start)
    whole = jax.jit(jax.vmap(lambda w: solve(dispatch.free_program(system, start, w))))(inflow)
    volumes = dispatch.volumes_of(system, whole.x, T)
    programs = jax.vmap(lambda w: dispatch.free_program(system, start, w))(inflow)
    least = (programs.q * whole.x**2).sum(-1) / 2 + (programs.c * whole.x).sum(-1)
    costs, _ = jax.vmap(partial(dispatch.operating, system, stages=T))(programs, whole.x)
    np.testing.assert_allclose(costs.sum(1), least, rtol=1e-5)  # volumes cost nothing
    carry = jax.jit(partial(dispatch.carried_out, system))
    assert bool(whole.converged.all())
    again = jax.vmap(lambda v, w: rolled_to(system, v, w))(volumes, inflow)
    np.testing.assert_allclose(carry(again, inflow)[0].sum(1), least, rtol=1e-2)
    other = jax.vmap(partial(rolled, system))(jnp.zeros((4, T, 2)), inflow)
    assert bool((carry(other, inflow)[0].sum(1) >= least - 1e-2).all())


def rolled_to(system: Any, volumes: Any, inflow: Any) -> Any:
    """Given volumes (T, R), each moved into the inside of its reach."""

    def stage(volume: Any, at: Any) -> Any:
        target = dispatch.inside(system, volume, at[1], at[0])
        return target, target

    return jax.lax.scan(stage, jnp.asarray(system.volume_start), (volumes, inflow))[1]


@pytest.mark.slow
def test_the_slack_objective_has_the_gradient_of_its_own_value() -> None:
    case = Cascade()
    system, inflow = case.system(), jnp.asarray(paths(1)[0, :2])
    start, wanted = jnp.asarray(system.volume_start), jnp.array([[1.2, 0.3], [0.7, 0.2]])

    def value(x: Any) -> Any:
        return dispatch.optimal_value(dispatch.free_program(system, start, inflow, x, 1000.0))[0]

    exact = jax.jit(jax.grad(value))(wanted)
    shifts = 1e-2 * jnp.eye(4).reshape(4, 2, 2)
    ends = jax.jit(jax.vmap(value))(jnp.concatenate([wanted + shifts, wanted - shifts]))
    numeric = ((ends[:4] - ends[4:]) / 2e-2).reshape(2, 2)
    np.testing.assert_allclose(exact, numeric, rtol=2e-2, atol=2.0)


@pytest.mark.slow
def test_a_policy_learns_from_multipliers() -> None:
    """A few steps down the gradient of the objective lower the cost, and the recurrent part has a gradient."""
    batch = {"inflow": paths(8)}
    graphdef, params = nnx.split(MODEL)

    @jax.jit
    def step(params: Any) -> Any:
        (loss, metrics), grads = jax.value_and_grad(
            lambda p: dispatch.strict_dispatch(nnx.merge(graphdef, p), batch, None, case=CASE), has_aux=True
        )(params)
        return jax.tree.map(lambda p, g: p - 2e-3 * g, params, grads), loss, metrics, grads

    losses = []
    for _ in range(8):
        params, loss, metrics, grads = step(params)
        losses.append(float(loss))
        assert float(metrics["failed"]) == 0
    assert losses[-1] < losses[0]
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(grads["cells"]))


def test_the_penalty_rises_in_four_segments() -> None:
    steps = np.arange(24) / 24
    found = [float(dispatch.penalty_of(jnp.asarray(step))) for step in steps]
    np.testing.assert_allclose(found, [0.1] * 2 + [1] * 2 + [10] * 4 + [30] * 16)

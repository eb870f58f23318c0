"""A system in operation: what policies come to on paths of inflows, stage by stage, fed the volumes that come about.

Every function returns `costs` (B, T) without any price of missed targets, `shed` (B, T), the power not met, mean
`volumes` (T, R) at the ends of stages, and shares: `violated` of targets that are missed by more than 0.1 % of the
largest volume, `failed` of programs without a solution. Letters: B paths, T stages, R plants.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagejax.objectives.control.dispatch import (
    between_bounds,
    carried_out,
    free_program,
    operating,
    relative,
    shed_of,
    strict_program,
    targets,
    volumes_of,
)
from stagejax.objectives.control.quadratic_program import Solution, solve
from stagejax.objectives.control.releases import drawn_releases

MISSED = 1e-3  # of the largest volume


def account(
    system: Any,
    inflow_BTR: Float[Array, "B T R"],
    volumes_BTR: Float[Array, "B T R"],
    costs_BT: Float[Array, "B T"],
    found: Solution,
) -> dict[str, Array]:
    """Of stages that were to end at given volumes: a target counts as missed where the water balance misses it.

    Plants that hold no more than 0.001 hm3 miss nothing. Where a program failed its cost is 0.
    """
    start = jnp.broadcast_to(jnp.asarray(system.volume_start), volumes_BTR[:, :1].shape)
    before = jnp.concatenate([start, volumes_BTR[:, :-1]], axis=1)
    programs = jax.vmap(jax.vmap(partial(strict_program, system)))(before, inflow_BTR, volumes_BTR)
    off = jnp.abs(jnp.einsum("btmn,btn->btm", programs.A, found.x) - programs.b)[..., :-1]
    shares = {"violated": _missed(system, off).mean(), "failed": (~found.converged).mean()}
    return {"costs": costs_BT, "shed": shed_of(system, found), "volumes": volumes_BTR.mean(0)} | shares


def by_targets(model: Any, system: Any, inflow_BTR: Float[Array, "B T R"]) -> dict[str, Array]:
    """A policy whose targets are within reach."""
    volumes = jax.vmap(partial(targets, model, system))(inflow_BTR)
    return account(system, inflow_BTR, volumes, *carried_out(system, volumes, inflow_BTR))


def by_releases(model: Any, system: Any, inflow_BTR: Float[Array, "B T R"]) -> dict[str, Array]:
    """A policy of releases, none drawn; their volumes are clipped into reach before they are carried out."""
    drawn = jax.vmap(partial(drawn_releases, model, system, 0.0))(inflow_BTR, jnp.zeros_like(inflow_BTR))
    return account(system, inflow_BTR, drawn.after, *carried_out(system, drawn.after, inflow_BTR))


def with_slack(model: Any, system: Any, inflow_BTR: Float[Array, "B T R"], penalty: float = 30.0) -> dict[str, Array]:
    """A policy whose targets may be missed at the price of `slack_dispatch`, by default the last of `penalty_of`."""
    encodings = jax.vmap(model.encode)(relative(inflow_BTR, system.mean_inflow))

    def one(volume: Array, encoding: Any, inflow: Array) -> Any:
        target = between_bounds(system, model.propose(encoding, relative(volume, system.volume_max)))
        qp = free_program(system, volume, inflow[None], target[None], penalty * system.deficit_cost)
        found = solve(qp)
        cost, shed = operating(system, qp, found.x, 1)
        return cost[0], shed[0], volumes_of(system, found.x, 1)[0], target, found.converged

    def stage(volumes: Array, at: Any) -> Any:
        made = jax.vmap(one)(volumes, *at)
        return made[2], made

    start = jnp.broadcast_to(jnp.asarray(system.volume_start), inflow_BTR[:, 0].shape)
    by_stage = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), (encodings, inflow_BTR))
    costs, shed, volumes, wanted, converged = jax.lax.scan(stage, start, by_stage)[1]
    missed = _missed(system, jnp.abs(volumes - wanted))
    shares = {"violated": missed.mean(), "failed": (~converged).mean()}
    return {"costs": costs.T, "shed": shed.T, "volumes": volumes.mean(1)} | shares


def with_foresight(system: Any, inflow_BTR: Float[Array, "B T R"]) -> dict[str, Array]:
    """The least that each path could cost if it were known from the start: one program a path, production as in it."""
    T, start = inflow_BTR.shape[1], jnp.asarray(system.volume_start)
    programs = jax.vmap(partial(free_program, system, start))(inflow_BTR)
    found = jax.vmap(solve)(programs)
    costs, shed = jax.vmap(partial(operating, system, stages=T))(programs, found.x)
    failed = (~found.converged).mean()
    volumes = volumes_of(system, found.x, T).mean(0)
    return {"costs": costs, "shed": shed, "volumes": volumes, "violated": jnp.zeros(()), "failed": failed}


def _missed(system: Any, off: Float[Array, "*B R"]) -> Bool[Array, "*B R"]:
    """Which distances are misses; those that are not finite are."""
    return ~(off <= MISSED * system.volume_max) & (system.volume_max > 1e-3)

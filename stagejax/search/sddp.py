"""Stochastic dual dynamic programming for dispatch: what water is worth at each stage, as cuts made of stage duals.

The cost to go after stage t is at least `intercept + slope . v` for each of its cuts. Letters: T stages, S scenarios,
R plants, C cuts of a stage, N trial paths of an iteration, B paths.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagejax.objectives.control.dispatch import carried_out, free_program, inside, volumes_of
from stagejax.objectives.control.quadratic_program import QP, Solution, optimal_value, solve_flops


class Cuts(NamedTuple):
    """Lower bounds of the cost to go after each stage; those not made yet bind nowhere."""

    slopes: Float[Array, "T C R"]
    intercepts: Float[Array, "T C"]


def no_cuts(system: Any, stages: int, most: int) -> Cuts:
    """Room for `most` cuts of every stage: with none of them made, decisions are myopic."""
    return Cuts(jnp.zeros((stages, most, len(system.volume_max))), jnp.full((stages, most), -_dearest(system, stages)))


def stage_with_cuts(system: Any, start: Array, inflow: Array, slopes: Array, intercepts: Array, top: Any) -> QP:
    """One stage whose end is free, and the cost to go: min c(x) + a with a >= intercept + slope . v, 0 <= a <= top."""
    qp = free_program(system, start, inflow[None])
    G = jnp.pad(slopes, ((0, 0), (0, 1)), constant_values=-1.0)  # of the volumes at the end and the cost to go
    A = jnp.pad(qp.A.own[0], ((0, 0), (0, 1)))
    c, q, lower, upper = (jnp.append(*both) for both in ((qp.c, 1.0), (qp.q, 0.0), (qp.lower, 0.0), (qp.upper, top)))
    return QP(q, c, A, qp.b, G, -intercepts, lower, upper)


def iteration(
    system: Any, record: Float[Array, "T S R"], cuts: Cuts, paths: Float[Array, "N T R"], first: Any
) -> tuple[Cuts, Float[Array, ""], Float[Array, ""]]:
    """Trial volumes forward along N paths, then a cut at each of them from the last stage to the second.

    A cut is the mean over all scenarios of value and water duals. Where a solve failed there is no cut.

    Args:
      first: number of the first cut to make; N are made at every stage but the last.

    Returns:
      The cuts, the lower bound of the expected cost over all stages, and the share of solves that failed.

    Reference: Pereira and Pinto, Multi-stage stochastic optimization applied to energy planning, Mathematical
    Programming 52, 1991.
    """
    top = _dearest(system, len(record))
    start = jnp.broadcast_to(jnp.asarray(system.volume_start), paths[:, 0].shape)

    def forward(volumes: Array, at: Any) -> Any:
        inflows, slopes, intercepts = at
        found = jax.vmap(lambda v, w: _solved(system, v, w, slopes, intercepts, top)[1])(volumes, inflows)
        ended = volumes_of(system, found.x[:, :-1], 1)[:, 0]
        return ended, (volumes, ~found.converged)

    _, (before, failed) = jax.lax.scan(forward, start, (paths.swapaxes(0, 1), *cuts))

    def backward(carry: Any, at: Any) -> Any:
        slopes, intercepts = carry  # of this stage, new ones among them
        volumes, inflows, earlier_slopes, earlier_intercepts = at
        each = jax.vmap(lambda w, v: _solved(system, v, w, slopes, intercepts, top), (0, None))
        values, found = jax.vmap(each, (None, 0))(inflows, volumes)
        made, base = _cut(volumes, values, found, top)
        earlier_slopes = jax.lax.dynamic_update_slice_in_dim(earlier_slopes, made, first, 0)
        earlier_intercepts = jax.lax.dynamic_update_slice_in_dim(earlier_intercepts, base, first, 0)
        return (earlier_slopes, earlier_intercepts), (slopes, intercepts, ~found.converged)

    last = (cuts.slopes[-1], cuts.intercepts[-1])
    rest = (before[1:], record[1:], cuts.slopes[:-1], cuts.intercepts[:-1])
    (slopes, intercepts), (later_slopes, later_intercepts, unsolved) = jax.lax.scan(backward, last, rest, reverse=True)
    own = Cuts(jnp.concatenate([slopes[None], later_slopes]), jnp.concatenate([intercepts[None], later_intercepts]))
    values, _ = jax.vmap(lambda w: _solved(system, start[0], w, slopes, intercepts, top))(record[0])
    return own, values.mean(), (failed.sum() + unsolved.sum()) / (failed.size + unsolved.size)


def made(
    system: Any, record: Float[np.ndarray, "T S R"], paths: Float[np.ndarray, "M T R"], trials: int
) -> tuple[Cuts, dict[str, np.ndarray]]:
    """All cuts of M / `trials` iterations, with `bounds` and the share of solves that `failed` in each of them."""
    step = jax.jit(partial(iteration, system, jnp.asarray(record)))
    cuts, bounds, failed = no_cuts(system, len(record), len(paths)), [], []
    for first in range(0, len(paths), trials):
        cuts, bound, lost = step(cuts, jnp.asarray(paths[first : first + trials]), first)
        bounds.append(bound)
        failed.append(lost)
    return cuts, {"bounds": np.asarray(bounds), "failed": np.asarray(failed)}


def solves_of_iteration(stages: int, scenarios: int, trials: int) -> int:
    """Programs of one iteration: N T forward, N (T - 1) S backward, S for the bound.

    >>> solves_of_iteration(stages=3, scenarios=2, trials=4)
    30
    """
    return trials * stages + trials * (stages - 1) * scenarios + scenarios


def flops_of_a_solve(system: Any, cuts: int, trips: int) -> float:
    """Of one stage with room for that many cuts; see `solve_flops`."""
    plants = len(system.volume_max)
    return solve_flops(3 * plants + len(system.thermal_max) + 2, plants + 1, cuts, plants + 1, trips=trips)


def operated(
    system: Any, cuts: Cuts, inflow_BTR: Float[Array, "B T R"]
) -> tuple[Float[Array, "B T R"], Float[Array, "B T"], Solution]:
    """Volumes that the cuts choose along paths, stage by stage, and what ending there truly costs.

    The choice is made with production at the middle volume; it is then carried out with production as it is.
    """
    top = _dearest(system, inflow_BTR.shape[1])

    def stage(volumes_BR: Array, at: Any) -> Any:
        inflow_BR, slopes, intercepts = at
        found = jax.vmap(lambda v, w: _solved(system, v, w, slopes, intercepts, top)[1])(volumes_BR, inflow_BR)
        wanted = volumes_of(system, found.x[:, :-1], 1)[:, 0]
        target = jax.vmap(lambda v, w, x: inside(system, v, w, x))(volumes_BR, inflow_BR, wanted)
        return target, target

    start = jnp.broadcast_to(jnp.asarray(system.volume_start), inflow_BTR[:, 0].shape)
    volumes = jax.lax.scan(stage, start, (inflow_BTR.swapaxes(0, 1), *cuts))[1].swapaxes(0, 1)
    return volumes, *carried_out(system, volumes, inflow_BTR)


def _solved(system: Any, start: Array, inflow: Array, slopes: Array, intercepts: Array, top: Any) -> Any:
    return optimal_value(stage_with_cuts(system, start, inflow, slopes, intercepts, top))


def _cut(volumes: Array, values: Array, found: Solution, top: Any) -> tuple[Array, Array]:
    """Slopes (N, R) and intercepts (N,) from values (N, S) and their solutions."""
    plants = volumes.shape[-1]
    slopes = found.y[..., :plants].mean(1)
    sound = found.converged.all(1)
    intercepts = values.mean(1) - (slopes * volumes).sum(-1)
    return jnp.where(sound[:, None], slopes, 0.0), jnp.where(sound, intercepts, -top)


def _dearest(system: Any, stages: int) -> Array:
    """More than any cost to go: all stages without a unit of power."""
    dear = jnp.maximum(jnp.asarray(system.deficit_cost), jnp.asarray(system.thermal_cost).max())
    return 1.1 * stages * dear * system.demand

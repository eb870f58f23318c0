"""Hydrothermal dispatch: targets for reservoirs within reach, the programs that carry them out, gradients from duals.

A system is a structure of arrays as `data.control.hydro.System`. Letters: B paths, T stages, R plants, J thermal units.
Columns of a stage's program: turbined flows q (R), spilled volumes s (R), thermal power p (J), demand not met (1);
where the volumes at the end are decided too, their distances above and below a target (R, R), and these v (R).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.control.quadratic_program import QP, Chain, Solution, optimal_value

MARGIN = 1e-3  # share of the reachable set that targets keep from its ends, so that programs have interior points
CURVATURE = 0.01  # marginal costs rise by this share from nothing to full output

Metrics = dict[str, Any]


def reachable(
    system: Any, volume: Float[Array, " R"], inflow: Float[Array, " R"]
) -> tuple[Float[Array, " R"], Float[Array, " R"]]:
    """Volumes between which each plant can end the stage, if those above release as much as they can.

    u = min(v_max, v + K w - K q_min + sum_up K q_max),  l = max(v_min, v + K w - K q_max - s_max); u is at least l.
    """
    unit = system.flow_volume
    held = volume + unit * inflow
    above = unit * jnp.maximum(system.turbine_links, system.spill_links) @ system.turbine_max
    high = jnp.minimum(system.volume_max, held - unit * system.turbine_min + above)
    low = jnp.maximum(system.volume_min, held - unit * system.turbine_max - system.spill_max)
    return low, jnp.maximum(low, high)


def attainable(
    system: Any, volume: Float[Array, " R"], inflow: Float[Array, " R"], proposal: Float[Array, " R"]
) -> Float[Array, " R"]:
    """The targets of proposals z: l + (u - l) sigma(z), then no more than what the targets above let through.

    R_u = max(0, K w_u + v_u - x_u) is the release of a plant with target x_u; by turbines alone it is at most K q_max.
    The gradient passes through all bounds, which depend on the volumes before.
    """
    low, high = reachable(system, volume, inflow)
    share = MARGIN + (1 - 2 * MARGIN) * jax.nn.sigmoid(proposal)
    return clamped(system, volume, inflow, low + (high - low) * share)


def clamped(
    system: Any, volume: Float[Array, " R"], inflow: Float[Array, " R"], wanted: Float[Array, " R"]
) -> Float[Array, " R"]:
    """Wanted volumes lowered, from upstream down, to what arrives if those above end at theirs."""
    unit = system.flow_volume
    held, target = volume + unit * inflow, wanted
    by_turbines = system.turbine_links * (1 - system.spill_links)
    for _ in range(system.depth):
        released = jnp.maximum(0.0, held - target)
        arrives = system.spill_links @ released + by_turbines @ jnp.minimum(unit * system.turbine_max, released)
        most = system.volume_min + (1 - MARGIN) * (held - unit * system.turbine_min + arrives - system.volume_min)
        target = jnp.minimum(wanted, most)
    return target


def inside(
    system: Any, volume: Float[Array, " R"], inflow: Float[Array, " R"], wanted: Float[Array, " R"]
) -> Float[Array, " R"]:
    """Wanted volumes moved into the inside of what can be reached and what the cascade lets through."""
    low, high = reachable(system, volume, inflow)
    room = MARGIN * (high - low)
    return clamped(system, volume, inflow, jnp.clip(wanted, low + room, high - room))


def targets(model: Any, system: Any, inflow_TR: Float[Array, "T R"]) -> Float[Array, "T R"]:
    """A policy's targets along a path, each from the inflows so far and the target before."""
    encodings = model.encode(relative(inflow_TR, system.mean_inflow))

    def stage(volume: Array, at: Any) -> tuple[Array, Array]:
        encoding, inflow = at
        proposal = model.propose(encoding, relative(volume, system.volume_max))
        target = attainable(system, volume, inflow, proposal)
        return target, target

    return jax.lax.scan(stage, jnp.asarray(system.volume_start), (encodings, inflow_TR))[1]


def strict_program(system: Any, before: Array, inflow: Array, after: Array) -> QP:
    """One stage between given volumes: the least cost of releasing what must leave and meeting demand.

    With head-dependent production the power of a flow depends on the volumes, which are given: it stays convex.
    """
    A, b, c, q, upper = _stage(system, (before + after) / 2)
    plants = len(system.volume_max)
    b = b.at[:plants].set(before + system.flow_volume * inflow - after)
    lower = jnp.zeros_like(upper).at[:plants].set(system.turbine_min)
    return QP(q, c, A, b, jnp.zeros((0, 0)), jnp.zeros(0), lower, upper)


def free_program(
    system: Any, start: Array, inflow_TR: Array, targets_TR: Array | None = None, penalty: Any = 0.0
) -> QP:
    """T stages in one, whose volumes are decided too: the deterministic equivalent of a path.

    With targets, v_t + below_t - above_t = target_t at the cost `penalty` (|distance| + distance^2 / 2), distances in
    units of the largest volume; without them it is what perfect foresight would do. Production is that at the middle
    volume, so the program is convex; where production depends on the head it is only a model of the truth.
    """
    T, plants = inflow_TR.shape
    A0, b0, c0, q0, upper0 = _stage(system, jnp.asarray((system.volume_min + system.volume_max) / 2))
    apart = 0 if targets_TR is None else 2 * plants  # distances come before the volumes
    eye = jnp.eye(plants)
    A = jnp.pad(A0, ((0, 0), (0, apart + plants))).at[:plants, len(c0) + apart :].set(eye)
    b = jnp.tile(b0, (T, 1)).at[:, :plants].set(system.flow_volume * inflow_TR).at[0, :plants].add(start)
    size = jnp.maximum(system.volume_max, 1e-6)
    parts = [(c0, q0, _lower(system, upper0), upper0)]
    if targets_TR is not None:
        none = jnp.zeros((plants, len(c0)))
        A = jnp.concatenate([A, jnp.concatenate([none, -eye, eye, eye], 1)])
        b = jnp.concatenate([b, targets_TR], 1)
        slope = jnp.broadcast_to(penalty, (plants,)) / size
        parts += 2 * [(slope, slope / size, jnp.zeros(plants), 2 * size)]
    parts += [(jnp.zeros(plants), jnp.zeros(plants), system.volume_min, system.volume_max)]
    c, q, lower, upper = (jnp.concatenate([part[i] for part in parts]) for i in range(4))
    c, q, lower, upper = (jnp.tile(value, T) for value in (c, q, lower, upper))
    before = jnp.zeros((len(A), plants)).at[:plants].set(-eye)
    chain = Chain(*(jnp.broadcast_to(rows, (T, *rows.shape)) for rows in (A, before)))
    return QP(q, c, chain, b.reshape(-1), jnp.zeros((0, 0)), jnp.zeros(0), lower, upper)


def volumes_of(system: Any, x: Float[Array, "... n"], stages: int) -> Float[Array, "... T R"]:
    """The volumes at the ends of stages in a solution of `free_program`."""
    return x.reshape(*x.shape[:-1], stages, -1)[..., -len(system.volume_max) :]


def operating(system: Any, qp: QP, x: Float[Array, " n"], stages: int) -> tuple[Float[Array, " T"], Float[Array, " T"]]:
    """Cost without the price of distances, and power not met, of each stage in a solution of `free_program`."""
    own = 2 * len(system.volume_max) + len(system.thermal_max) + 1
    cost = (qp.q * x**2 / 2 + qp.c * x).reshape(stages, -1)[:, :own].sum(1)
    return cost, x.reshape(stages, -1)[:, own - 1]


def compared_gradient(system: Any, proposals_TR: Any, inflow_TR: Any, step: float = 1e-5) -> dict[str, float]:
    """Cosine and norm ratio of a path's gradient by its proposals to that of central differences, in float64.

    Both are 1 where steps stay within an affine piece of the bounds; with gradients stopped at the bounds they are not.
    """
    with jax.enable_x64(True):
        numbers = (x if isinstance(x, int) else jnp.asarray(x, jnp.float64) for x in system)
        system, inflow = type(system)(*numbers), jnp.asarray(inflow_TR, jnp.float64)
        z = jnp.asarray(proposals_TR, jnp.float64)

        def cost(z: Array) -> Array:
            def stage(volume: Array, at: Any) -> tuple[Array, Array]:
                target = attainable(system, volume, at[1], at[0])
                return target, target

            volumes = jax.lax.scan(stage, system.volume_start, (z, inflow))[1]
            return carried_out(system, volumes[None], inflow[None])[0].sum()

        moves = step * jnp.eye(z.size, dtype=jnp.float64).reshape(-1, *z.shape)
        exact = jax.jit(jax.grad(cost))(z).reshape(-1)
        ends = jax.jit(jax.vmap(cost))(jnp.concatenate([z + moves, z - moves]))
        numeric = (ends[: z.size] - ends[z.size :]) / (2 * step)
        sizes = jnp.linalg.norm(exact), jnp.linalg.norm(numeric)
        return {"cosine": float(exact @ numeric / sizes[0] / sizes[1]), "ratio": float(sizes[0] / sizes[1])}


def carried_out(
    system: Any, targets_BTR: Float[Array, "B T R"], inflow_BTR: Float[Array, "B T R"]
) -> tuple[Float[Array, "B T"], Solution]:
    """Costs of ending every stage at its target, whose gradients are the programs' multipliers, and the solutions."""
    start = jnp.broadcast_to(jnp.asarray(system.volume_start), targets_BTR[:, :1].shape)
    before = jnp.concatenate([start, targets_BTR[:, :-1]], axis=1)
    programs = jax.vmap(jax.vmap(partial(strict_program, system)))(before, inflow_BTR, targets_BTR)
    return jax.vmap(jax.vmap(optimal_value))(programs)


def shed_of(system: Any, found: Solution) -> Float[Array, "..."]:
    """The power not met, of solutions of `strict_program`."""
    return found.x[..., -1]


def strict_dispatch(model: Any, batch: Any, key: Any, *, case: Any) -> tuple[Array, Metrics]:
    """Mean cost of a stage when a policy's targets, all within reach, are carried out exactly.

    As every stage ends at its target, the volumes of a path are its targets, and one program over all stages falls
    apart into those of the stages: closed loop, open loop and deterministic equivalent are the same.

    Reference: Rosemberg et al., Efficiently Training Deep-Learning Parametric Policies using Lagrangian Duality, 2024,
    https://arxiv.org/abs/2405.14973, section 3.
    """
    system = case.system()
    inflow_BTR = jnp.asarray(batch["inflow"])
    wanted = jax.vmap(partial(targets, model, system))(inflow_BTR)
    costs, found = carried_out(system, wanted, inflow_BTR)
    return costs.mean(), metrics_of(found, costs, shed_of(system, found))


def slack_dispatch(
    model: Any, batch: Any, key: Any, *, case: Any, penalty: float | Array = 1.0
) -> tuple[Array, Metrics]:
    """Mean cost of a stage of the deterministic equivalent in which targets may be missed at a price.

    Targets are anywhere between the volumes' bounds, each from the target before. `penalty` is in units of the largest
    cost coefficient; the gradient is the multiplier of v_t + below_t - above_t = target_t. The metric `cost` is without
    the price of what is missed, which is in the loss; `missed` is the mean distance in units of the largest volumes.

    Reference: as `strict_dispatch`; its penalty is raised in stages over the run (`penalty_of`).
    """
    system = case.system()
    inflow_BTR = jnp.asarray(batch["inflow"])
    wanted = jax.vmap(partial(free_targets, model, system))(inflow_BTR)
    start = jnp.asarray(system.volume_start)
    programs = jax.vmap(lambda w, x: free_program(system, start, w, x, penalty * system.deficit_cost))(
        inflow_BTR, wanted
    )
    costs, found = jax.vmap(optimal_value)(programs)
    T = inflow_BTR.shape[1]
    missed = jnp.abs(relative(volumes_of(system, found.x, T) - wanted, system.volume_max)).mean()
    own_costs, shed = jax.vmap(partial(operating, system, stages=T))(programs, found.x)
    return costs.mean() / T, metrics_of(found, own_costs, shed) | {"missed": missed}


def free_targets(model: Any, system: Any, inflow_TR: Float[Array, "T R"]) -> Float[Array, "T R"]:
    """A policy's targets between the volumes' bounds, within reach or not."""
    encodings = model.encode(relative(inflow_TR, system.mean_inflow))

    def stage(volume: Array, encoding: Any) -> tuple[Array, Array]:
        target = between_bounds(system, model.propose(encoding, relative(volume, system.volume_max)))
        return target, target

    return jax.lax.scan(stage, jnp.asarray(system.volume_start), encodings)[1]


def between_bounds(system: Any, proposal: Float[Array, "*B R"]) -> Float[Array, "*B R"]:
    """The targets of proposals z where they may be missed: v_min + (v_max - v_min) sigma(z)."""
    return system.volume_min + (system.volume_max - system.volume_min) * jax.nn.sigmoid(proposal)


def penalty_of(progress: Float[Array, ""]) -> Float[Array, ""]:
    """The penalty's factor over a run: 0.1, 1, 10, 30 in segments of 2 : 2 : 4 : 16.

    >>> [float(penalty_of(jnp.asarray(p))) for p in (0.0, 0.1, 0.2, 0.9)]
    [0.10000000149011612, 1.0, 10.0, 30.0]
    """
    return jnp.array([0.1, 1.0, 10.0, 30.0])[jnp.searchsorted(jnp.array([2, 4, 8]) / 24, progress, side="right")]


def metrics_of(found: Solution, costs_BT: Float[Array, "B T"], shed_BT: Float[Array, "B T"]) -> Metrics:
    """What objectives say of programs: mean cost of a path and power not met in it, failed share and mean trips."""
    cost, shed, failed = costs_BT.sum(1).mean(), shed_BT.sum(1).mean(), (~found.converged).mean()
    return {"cost": cost, "shed": shed, "failed": failed, "trips": found.trips.mean()}


def relative(values: Float[Array, "*B R"], size: Any) -> Float[Array, "*B R"]:
    """Values in units of each plant's size, also where that is 0."""
    return values / jnp.maximum(size, 1e-6)


def _lower(system: Any, upper: Array) -> Array:
    return jnp.zeros_like(upper).at[: len(system.turbine_min)].set(system.turbine_min)


def _stage(system: Any, volume: Array) -> tuple[Array, Array, Array, Array, Array]:
    """A (water rows, then power), b (demand alone), c, q and upper bounds of one stage at a mean volume.

    Each marginal cost rises by the share `CURVATURE` (of at least 1) up to the upper bound, so that duals are unique.
    """
    plants, thermals, unit = len(system.volume_max), len(system.thermal_max), system.flow_volume
    power = system.production * (1 + system.head * (volume / jnp.maximum(system.volume_max, 1e-6) - 0.5))
    eye = jnp.eye(plants)
    water = [unit * (eye - system.turbine_links), eye - system.spill_links, jnp.zeros((plants, thermals + 1))]
    balance = jnp.concatenate([power, jnp.zeros(plants), jnp.ones(thermals + 1)])
    A = jnp.concatenate([jnp.concatenate(water, 1), balance[None]])
    b = jnp.zeros(plants + 1).at[-1].set(system.demand)
    shed = jnp.asarray(system.deficit_cost)[None]
    c = jnp.concatenate([system.hydro_cost * system.production, system.spill_cost, system.thermal_cost, shed])
    demand = jnp.asarray(system.demand)[None]
    upper = jnp.concatenate([system.turbine_max, system.spill_max, system.thermal_max, demand])
    return A, b, c, CURVATURE * jnp.maximum(c, 1.0) / upper, upper

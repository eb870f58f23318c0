"""Hydrothermal dispatch: targets for reservoirs within reach, the programs that carry them out, gradients from duals.

A system is a structure of arrays as `data.hydro.System`. Letters: B paths, T stages, R plants, J thermal units.
Columns of a stage's program: turbined flows q (R), spilled volumes s (R), thermal power p (J), demand not met (1);
where the volumes at the end are decided too, these v (R), and their distances above and below a target (R, R).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.quadratic_program import QP, Chain, Solution, optimal_value

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
    encodings = model.encode(inflow_TR / jnp.maximum(system.mean_inflow, 1e-6))
    size = jnp.maximum(system.volume_max, 1e-6)

    def stage(volume: Array, at: Any) -> tuple[Array, Array]:
        encoding, inflow = at
        target = attainable(system, volume, inflow, model.propose(encoding, volume / size))
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
    own = len(c0) + plants  # columns of a stage without distances
    apart = 0 if targets_TR is None else 2 * plants
    A = jnp.pad(A0, ((0, 0), (0, plants + apart))).at[:plants, len(c0) : own].set(jnp.eye(plants))
    b = jnp.tile(b0, (T, 1)).at[:, :plants].set(system.flow_volume * inflow_TR).at[0, :plants].add(start)
    size = jnp.maximum(system.volume_max, 1e-6)
    parts = [(c0, q0, _lower(system, upper0), upper0)]
    parts += [(jnp.zeros(plants), jnp.zeros(plants), system.volume_min, system.volume_max)]
    if targets_TR is not None:
        eye, none = jnp.eye(plants), jnp.zeros((plants, len(c0)))
        A = jnp.concatenate([A, jnp.concatenate([none, eye, eye, -eye], 1)])
        b = jnp.concatenate([b, targets_TR], 1)
        slope = jnp.broadcast_to(penalty, (plants,)) / size
        parts += 2 * [(slope, slope / size, jnp.zeros(plants), 2 * size)]
    c, q, lower, upper = (jnp.concatenate([part[i] for part in parts]) for i in range(4))
    c, q, lower, upper = (jnp.tile(value, T) for value in (c, q, lower, upper))
    before = jnp.zeros_like(A).at[:plants, len(c0) : own].set(-jnp.eye(plants))
    chain = Chain(*(jnp.broadcast_to(rows, (T, *rows.shape)) for rows in (A, before)))
    return QP(q, c, chain, b.reshape(-1), jnp.zeros((0, 0)), jnp.zeros(0), lower, upper)


def volumes_of(system: Any, x: Float[Array, "... n"], stages: int) -> Float[Array, "... T R"]:
    """The volumes at the ends of stages in a solution of `free_program`."""
    plants = len(system.volume_max)
    first = 2 * plants + len(system.thermal_max) + 1
    return x.reshape(*x.shape[:-1], stages, -1)[..., first : first + plants]


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


def account(
    system: Any,
    inflow_BTR: Float[Array, "B T R"],
    volumes_BTR: Float[Array, "B T R"],
    costs_BT: Float[Array, "B T"],
    found: Solution,
) -> dict[str, Array]:
    """What a simulation comes to: costs and power not met by path and stage, mean volumes, shares of misses.

    `violated` is the share of targets that the water balance misses by more than 0.1 % of the largest volume (of plants
    that hold more than 0.001 hm3); `failed` that of programs without a solution.
    """
    start = jnp.broadcast_to(jnp.asarray(system.volume_start), volumes_BTR[:, :1].shape)
    before = jnp.concatenate([start, volumes_BTR[:, :-1]], axis=1)
    programs = jax.vmap(jax.vmap(partial(strict_program, system)))(before, inflow_BTR, volumes_BTR)
    off = jnp.abs(jnp.einsum("btmn,btn->btm", programs.A, found.x) - programs.b)[..., :-1]
    missed = (off > 1e-3 * system.volume_max) & (system.volume_max > 1e-3)
    shares = {"violated": missed.mean(), "failed": (~found.converged).mean(), "trips": found.trips.mean()}
    return {"costs": costs_BT, "shed": shed_of(system, found), "volumes": volumes_BTR.mean(0)} | shares


def shed_of(system: Any, found: Solution) -> Float[Array, ...]:
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
    return costs.mean(), _metrics(found, costs, shed_of(system, found).sum(-1).mean())


def slack_dispatch(
    model: Any, batch: Any, key: Any, *, case: Any, penalty: float | Array = 1.0
) -> tuple[Array, Metrics]:
    """Mean cost of a stage of the deterministic equivalent in which targets may be missed at a price.

    Targets are anywhere between the volumes' bounds, each from the target before. `penalty` is in units of the largest
    cost coefficient; the gradient is the multiplier of v_t + below_t - above_t = target_t.

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
    missed = jnp.abs(volumes_of(system, found.x, inflow_BTR.shape[1]) - wanted) / jnp.maximum(system.volume_max, 1e-6)
    return costs.mean() / inflow_BTR.shape[1], _metrics(found, costs, jnp.zeros(())) | {"missed": missed.mean()}


def free_targets(model: Any, system: Any, inflow_TR: Float[Array, "T R"]) -> Float[Array, "T R"]:
    """A policy's targets between the volumes' bounds, within reach or not."""
    encodings = model.encode(inflow_TR / jnp.maximum(system.mean_inflow, 1e-6))
    size = jnp.maximum(system.volume_max, 1e-6)

    def stage(volume: Array, encoding: Any) -> tuple[Array, Array]:
        share = jax.nn.sigmoid(model.propose(encoding, volume / size))
        target = system.volume_min + (system.volume_max - system.volume_min) * share
        return target, target

    return jax.lax.scan(stage, jnp.asarray(system.volume_start), encodings)[1]


def slack_rollout(
    model: Any, system: Any, inflow_BTR: Float[Array, "B T R"], penalty: float
) -> tuple[Float[Array, "T B"], Float[Array, "T B R"], Float[Array, "T B R"], Solution]:
    """Stage by stage with slack, the policy fed the realised volumes: costs without slack, targets, volumes, solutions.

    `penalty` is in units of the shedding cost, as in `slack_dispatch`.
    """
    encodings = jax.vmap(model.encode)(inflow_BTR / jnp.maximum(system.mean_inflow, 1e-6))
    size, plants = jnp.maximum(system.volume_max, 1e-6), len(system.volume_max)

    def one(volume: Array, encoding: Any, inflow: Array) -> Any:
        share = jax.nn.sigmoid(model.propose(encoding, volume / size))
        target = system.volume_min + (system.volume_max - system.volume_min) * share
        qp = free_program(system, volume, inflow[None], target[None], penalty * system.deficit_cost)
        found = optimal_value(qp)[1]
        own = jnp.arange(len(qp.c)) < len(qp.c) - 2 * plants
        cost = jnp.where(own, qp.q * found.x**2 / 2 + qp.c * found.x, 0.0).sum()
        return cost, target, volumes_of(system, found.x, 1)[0], found

    def stage(volumes: Array, at: Any) -> Any:
        made = jax.vmap(one)(volumes, *at)
        return made[2], made

    start = jnp.broadcast_to(jnp.asarray(system.volume_start), inflow_BTR[:, 0].shape)
    by_stage = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), (encodings, inflow_BTR))
    return jax.lax.scan(stage, start, by_stage)[1]


def penalty_of(progress: Float[Array, ""]) -> Float[Array, ""]:
    """The penalty's factor over a run: 0.1, 1, 10, 30 in segments of 2 : 2 : 4 : 16.

    >>> [float(penalty_of(jnp.asarray(p))) for p in (0.0, 0.1, 0.2, 0.9)]
    [0.10000000149011612, 1.0, 10.0, 30.0]
    """
    return jnp.array([0.1, 1.0, 10.0, 30.0])[jnp.searchsorted(jnp.array([2, 4, 8]) / 24, progress, side="right")]


def release_policy_gradient(
    model: Any, batch: Any, key: Any, *, case: Any, spread: float = 0.1, penalty: float = 1.0
) -> tuple[Array, Metrics]:
    """REINFORCE on releases that are drawn around the policy's and clipped to what is possible.

    The release of a plant is max(0, K q_max (sigma(z) + spread e)) with e ~ N(0, 1); the volume it leaves is clipped
    into reach and to the cascade, at the cost `penalty` (in units of the shedding cost) by each volume's share that
    was clipped. The return of a stage is what follows it, less the batch's mean at that stage, by its deviation. The
    programs give costs; no multiplier is read.

    Reference: Williams 1992, Simple statistical gradient-following algorithms, Machine Learning 8.
    """
    system = case.system()
    inflow_BTR = jnp.asarray(batch["inflow"])
    noise = jax.random.normal(key, inflow_BTR.shape) if key is not None else jnp.zeros(inflow_BTR.shape)
    wanted, logp, clipped = jax.vmap(partial(drawn_releases, model, system, spread))(inflow_BTR, noise)
    costs, found = carried_out(system, jax.lax.stop_gradient(wanted), inflow_BTR)
    paid = jax.lax.stop_gradient(costs + penalty * system.deficit_cost * clipped)
    to_go = jnp.cumsum(paid[:, ::-1], axis=1)[:, ::-1]
    advantage = (to_go - to_go.mean(0)) / (to_go.std(0) + 1e-6)
    shed = shed_of(system, found).sum(-1).mean()
    return (logp * advantage).mean(), _metrics(found, costs, shed) | {"clipped": clipped.mean()}


def drawn_releases(
    model: Any, system: Any, spread: float, inflow_TR: Array, noise_TR: Array
) -> tuple[Array, Array, Array]:
    """Volumes (T, R) that drawn releases leave, their log densities (T,) up to a constant, and shares clipped (T,)."""
    encodings = model.encode(inflow_TR / jnp.maximum(system.mean_inflow, 1e-6))
    size, most = jnp.maximum(system.volume_max, 1e-6), system.flow_volume * system.turbine_max
    links = jnp.maximum(system.turbine_links, system.spill_links)

    def stage(volume: Array, at: Any) -> Any:
        encoding, inflow, noise = at
        mean = jax.nn.sigmoid(model.propose(encoding, volume / size))
        action = jax.lax.stop_gradient(mean + spread * noise)
        logp = -(((action - mean) / spread) ** 2).sum() / 2
        release = jnp.maximum(0.0, most * action)
        left = volume + system.flow_volume * inflow + links @ release - release
        target = jax.lax.stop_gradient(inside(system, volume, inflow, left))
        return target, (target, logp, (jnp.abs(left - target) / size).clip(0, 1).mean())

    return jax.lax.scan(stage, jnp.asarray(system.volume_start), (encodings, inflow_TR, noise_TR))[1]


def _metrics(found: Solution, costs: Array, shed: Array) -> Metrics:
    failed = (~found.converged).mean()
    return {
        "cost": costs.reshape(len(costs), -1).sum(1).mean(),
        "shed": shed,
        "failed": failed,
        "trips": found.trips.mean(),
    }


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

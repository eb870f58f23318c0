"""Model-free learning of hydrothermal dispatch: releases are drawn around a policy's, clipped and priced.

The programs of `objectives.control.dispatch` say what a stage costs; no multiplier is read. Letters: B paths, T stages,
R plants.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.control.dispatch import Metrics, carried_out, inside, metrics_of, relative, shed_of
from stagejax.objectives.rewards.policy_gradient import clipped_error, clipped_surrogate, gae, kl_estimate, whitened


class Drawn(NamedTuple):
    """Releases along a path, and where they lead."""

    before: Float[Array, "T R"]  # volumes at the beginnings of stages
    shares: Float[Array, "T R"]  # of the turbines' flow: the actions
    after: Float[Array, "T R"]  # volumes at the ends, inside of reach
    clipped: Float[Array, " T"]  # how far the releases' own volumes were out of it, as a mean share of the largest


def drawn_releases(
    model: Any, system: Any, spread: Any, inflow_TR: Float[Array, "T R"], noise_TR: Float[Array, "T R"]
) -> Drawn:
    """Shares a_t = sigma(z_t) + spread e_t, releases max(0, K q_max a_t), and volumes clipped into reach; no gradient.

    z_t is what the policy proposes from the inflows so far and the volumes that it has brought about.
    """
    encodings = model.encode(relative(inflow_TR, system.mean_inflow))
    most = system.flow_volume * system.turbine_max
    links = jnp.maximum(system.turbine_links, system.spill_links)

    def stage(volume: Array, at: Any) -> Any:
        encoding, inflow, noise = at
        share = jax.nn.sigmoid(model.propose(encoding, relative(volume, system.volume_max))) + spread * noise
        release = jnp.maximum(0.0, most * share)
        left = volume + system.flow_volume * inflow + links @ release - release
        after = inside(system, volume, inflow, left)
        clipped = jnp.abs(relative(left - after, system.volume_max)).clip(0, 1).mean()
        return after, Drawn(volume, share, after, clipped)

    start = jnp.asarray(system.volume_start)
    return jax.lax.stop_gradient(jax.lax.scan(stage, start, (encodings, inflow_TR, noise_TR))[1])


def log_density(
    model: Any, system: Any, spread: Any, inflow_TR: Array, before_TR: Array, shares_TR: Array
) -> Float[Array, " T"]:
    """-|a_t - sigma(z_t)|^2 / (2 spread^2): that of the normal distribution around a policy's shares but a constant."""
    encodings = model.encode(relative(inflow_TR, system.mean_inflow))
    means = jax.nn.sigmoid(jax.vmap(model.propose)(encodings, relative(before_TR, system.volume_max)))
    return -(((shares_TR - means) / spread) ** 2).sum(-1) / 2


def release_policy_gradient(
    model: Any, batch: Any, key: Any, *, case: Any, spread: float = 0.1, penalty: float = 1.0
) -> tuple[Float[Array, ""], Metrics]:
    """REINFORCE: the mean of log pi(a_t) times what stage t and those after it cost, whitened among the batch's paths.

    Volumes out of reach cost `penalty` (in units of the shedding cost) by `Drawn.clipped`. Without a key nothing is
    drawn: the policy's own releases are priced.

    Reference: Williams 1992, Simple statistical gradient-following algorithms, Machine Learning 8.
    """
    system, inflow_BTR = case.system(), jnp.asarray(batch["inflow"])
    drawn, paid_BT, metrics = _priced(model, system, inflow_BTR, key, spread, penalty)
    logprobs = jax.vmap(partial(log_density, model, system, spread))(inflow_BTR, drawn.before, drawn.shares)
    return (logprobs * _by_stage(_to_go(paid_BT))).mean(), metrics


def drawn_for_ppo(
    models: Mapping[str, Any], batch: Any, key: Any, *, case: Any, spread: float, penalty: float, lam: float = 0.95
) -> tuple[dict[str, Array], Metrics]:
    """What PPO's two losses read of paths drawn by models["policy"], all of them (B, T) or (B, T, R).

    models["value"] says what is still to be paid, in standard deviations from the batch's mean at each stage, so values
    of a stage are of one size however the policy changes. Advantages are GAE's, whitened among the paths of each stage:
    with lam = 1 and a critic that is 0 they are the weights of `release_policy_gradient`.

    Reference: Schulman et al. 2015, https://arxiv.org/abs/1506.02438, and 2017, https://arxiv.org/abs/1707.06347.
    """
    system, inflow_BTR = case.system(), jnp.asarray(batch["inflow"])
    drawn, paid_BT, metrics = _priced(models["policy"], system, inflow_BTR, key, spread, penalty)
    logprobs = jax.vmap(partial(log_density, models["policy"], system, spread))(inflow_BTR, drawn.before, drawn.shares)
    values = jax.vmap(partial(_values, models["value"], system))(inflow_BTR, drawn.before)
    to_go = _to_go(paid_BT)
    mean, deviation = to_go.mean(0), to_go.std(0) + 1e-6
    dearer = gae(paid_BT, mean + deviation * values, jnp.ones_like(values), lam=lam)
    made = {"inflow": inflow_BTR, "before": drawn.before, "shares": drawn.shares, "logprobs": logprobs}
    made |= {"advantages": -_by_stage(dearer), "values": values, "returns": values + dearer / deviation}
    return jax.lax.stop_gradient(made), metrics


def clipped_releases(
    model: Any, batch: Any, key: Any, *, case: Any, spread: float, clip: float = 0.2
) -> tuple[Float[Array, ""], Metrics]:
    """PPO's loss of a policy on what `drawn_for_ppo` gave; an action is all plants' shares at a stage.

    Metrics: `held`, the share of actions at which the ratio is held, and `moved`, the k3 estimate of KL(pi_old || pi).
    """
    density = partial(log_density, model, case.system(), spread)
    logprobs = jax.vmap(density)(batch["inflow"], batch["before"], batch["shares"])
    each, held = clipped_surrogate(logprobs, batch["logprobs"], batch["advantages"], clip)
    return each.mean(), {"held": held.mean(), "moved": kl_estimate(batch["logprobs"], logprobs, "k3").mean()}


def clipped_costs(
    model: Any, batch: Any, key: Any, *, case: Any, clip: float = 0.2
) -> tuple[Float[Array, ""], Metrics]:
    """PPO's loss of a critic on what `drawn_for_ppo` gave: half the clipped squared error.

    Metric: `explained`, 1 - the mean square of what is not explained over that of returns.
    """
    values = jax.vmap(partial(_values, model, case.system()))(batch["inflow"], batch["before"])
    each, returns = clipped_error(values, batch["values"], batch["returns"], clip), batch["returns"]
    return each.mean() / 2, {"explained": 1 - ((values - returns) ** 2).mean() / (returns**2).mean()}


def _values(critic: Any, system: Any, inflow_TR: Array, before_TR: Array) -> Float[Array, " T"]:
    return critic(relative(inflow_TR, system.mean_inflow), relative(before_TR, system.volume_max))


def _priced(
    model: Any, system: Any, inflow_BTR: Array, key: Any, spread: float, penalty: float
) -> tuple[Drawn, Float[Array, "B T"], Metrics]:
    """Draws, what each stage of them costs with its penalty, and metrics."""
    noise = jnp.zeros(inflow_BTR.shape) if key is None else jax.random.normal(key, inflow_BTR.shape)
    drawn = jax.vmap(partial(drawn_releases, model, system, spread))(inflow_BTR, noise)
    costs, found = carried_out(system, drawn.after, inflow_BTR)
    metrics = metrics_of(found, costs, shed_of(system, found)) | {"clipped": drawn.clipped.mean()}
    return drawn, jax.lax.stop_gradient(costs + penalty * system.deficit_cost * drawn.clipped), metrics


def _to_go(paid_BT: Array) -> Float[Array, "B T"]:
    """What a stage and all after it cost."""
    return jnp.cumsum(paid_BT[:, ::-1], axis=1)[:, ::-1]


def _by_stage(values_BT: Array) -> Float[Array, "B T"]:
    """Whitened among the paths of each stage."""
    return jax.vmap(whitened, (1, 1), 1)(values_BT, jnp.ones_like(values_BT))

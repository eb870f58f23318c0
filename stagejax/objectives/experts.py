"""Auxiliary losses and statistics of mixtures of experts, around any objective of a language model.

objective = partial(with_experts, causal_lm, balance=1e-2, z=1e-3)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.language import Batch
from stagejax.objectives.loss import Metrics


def with_experts(
    objective: Callable[..., tuple[Array, Metrics]],
    model: Any,
    batch: Batch,
    key: Array | None,
    *,
    balance: float = 0.0,
    z: float = 0.0,
    max_z: float = 0.0,
    **options: Any,
) -> tuple[Float[Array, ""], Metrics]:
    """The objective's loss, plus `balance · load_balance + z · mean(logsumexp²) + max_z · mean(max²)` of the routers.

    The metric `loss` stays the objective's own, so that models with and without experts compare.

    Args:
      objective: of a model that is called for logits, such as `causal_lm`.
      model: `model.routed(tokens, key=key, ...)` gives logits and statistics with the fields of
        `stagejax.models.RouterStatistics`, each with a leading axis of layers.
      batch, key, options: as the objective takes them.
      balance, z, max_z: weights of the three losses, each a mean over layers.

    Returns:
      The loss, and the objective's metrics with `balance`, `router_z`, `router_max_z`, `router_entropy` (nats, of one
      token's softmax), `load_entropy` (of the experts' shares, divided by log X: 1 is even), `load_max` (the largest
      share times X), `dropped` (share of choices) and `load/e` (the share of expert e, mean over layers).

    References: Fedus et al. 2021 (Switch), https://arxiv.org/abs/2101.03961, equations 4-6; Zoph et al. 2022 (z-loss),
    https://arxiv.org/abs/2202.08906, equation 5; Yang et al. 2023 (max-z, there of the head's logits),
    https://arxiv.org/abs/2309.10305, section 2.

    >>> from functools import partial
    >>> from flax import nnx
    >>> from stagejax.models import llama
    >>> from stagejax.objectives import causal_lm
    >>> model = llama(vocab=8, embed=8, heads=2, mlp=8, layers=1, experts=4).build(nnx.Rngs(0))
    >>> batch = {"tokens": jnp.arange(8)[None]}
    >>> loss, metrics = partial(with_experts, causal_lm, balance=0.01)(model, batch, None)
    >>> float(metrics["dropped"]), sorted(name for name in metrics if "load/" in name)
    (0.0, ['load/0', 'load/1', 'load/2', 'load/3'])
    """
    caught: list[Any] = []

    def logits(*args: Any, **context: Any) -> Array:
        y, routers = model.routed(*args, **context)
        caught.append(routers)
        return y

    loss, metrics = objective(logits, batch, key, **options)
    routers = caught[0]
    even, z_mean, max_z_mean = load_balance(routers.load, routers.probability), routers.z.mean(), routers.max_z.mean()
    loss = loss + balance * even + z * z_mean + max_z * max_z_mean
    experts = routers.load.shape[-1]
    found = {
        "balance": even,
        "router_z": z_mean,
        "router_max_z": max_z_mean,
        "router_entropy": routers.entropy.mean(),
        "load_entropy": load_entropy(routers.load),
        "load_max": experts * routers.load.max(),
        "dropped": routers.dropped.mean(),
    }
    shares = routers.load.mean(tuple(range(routers.load.ndim - 1)))
    return loss, {**metrics, **found, **{f"load/{e}": shares[e] for e in range(experts)}}


def load_balance(load: Float[Array, "*layers X"], probability: Float[Array, "*layers X"]) -> Float[Array, ""]:
    """`X · sum over experts of f_e P_e`, mean over layers: 1 where both are even, X where one expert has everything.

    Args:
      load: f, the share of choices that fell on each expert; it sums to 1 whatever the number of choices of a token.
      probability: P, the mean probability that the router gave to each.

    Reference: Fedus et al. 2021, https://arxiv.org/abs/2101.03961, equation 4.

    >>> even = jnp.full((2, 4), 0.25)
    >>> float(load_balance(even, even))
    1.0
    """
    return jnp.mean(load.shape[-1] * jnp.sum(load * probability, axis=-1))


def load_entropy(load: Float[Array, "*layers X"]) -> Float[Array, ""]:
    """The entropy of the experts' shares over that of even ones, mean over layers: 1 is even, 0 is one expert.

    >>> float(load_entropy(jnp.array([1.0, 0.0, 0.0])))
    0.0
    """
    terms = jnp.where(load > 0, load * jnp.log(jnp.where(load > 0, load, 1)), 0)
    return jnp.mean(0.0 - terms.sum(-1)) / jnp.log(max(2, load.shape[-1]))

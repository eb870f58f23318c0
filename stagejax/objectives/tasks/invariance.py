"""Objectives over several environments: what is learned should serve each of them alike."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import cross_entropy


def risks(
    logits_BC: Float[Array, "B C"], labels_B: Int[Array, " B"], environments_B: Int[Array, " B"], number: int
) -> Float[Array, " environments"]:
    """The mean cross entropy of each environment, in nats; 0 of one without examples.

    >>> risks(jnp.zeros((3, 2)), jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), 2).round(4)
    Array([0.6931, 0.6931], dtype=float32)
    """
    losses_B, _ = cross_entropy(logits_BC, labels_B)
    own = (environments_B[:, None] == jnp.arange(number)).astype(losses_B.dtype)
    return losses_B @ own / jnp.maximum(own.sum(0), 1)


def vrex(risks_E: Float[Array, " E"], weight: Float[Array, ""] | float) -> Float[Array, ""]:
    """Mean of the risks + weight * their variance. Krueger et al. 2020, https://arxiv.org/abs/2003.00688, equation 8.

    >>> float(vrex(jnp.array([1.0, 3.0]), 10.0))
    12.0
    """
    return risks_E.mean() + weight * risks_E.var()

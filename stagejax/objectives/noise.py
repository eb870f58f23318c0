"""Classification whose examples weigh by chance: the noise of a small batch in a large one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, cross_entropy, weighted


def noisy_classification(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    variance: float,
    inputs: str = "image",
    targets: str = "label",
) -> tuple[Float[Array, ""], Metrics]:
    """1/B sum over examples of z_n loss_n, z_n ~ N(1, variance); its gradient is 1/B sum of z_n times each gradient.

    The mean gradient stays as it is. Its covariance over batches and noise, (C + variance E[g gᵀ]) / B, is that of a
    batch of B / (1 + variance) where the gradients g of single examples are large beside their mean. So a batch of
    B_L has the covariance of one of B_S with `variance = B_L / B_S - 1`.

    Args:
      key: draws the noise, and what the model draws; None in evaluation, where all weights are 1.

    Returns:
      The loss, and the metrics of `classification`, without the noise.

    Reference: Hoffer et al. 2017, https://arxiv.org/abs/1705.08741, section 4 (noise in proportion to the batch).

    >>> import jax.numpy as jnp
    >>> batch = {"image": jnp.zeros((2, 4)), "label": jnp.array([0, 1])}
    >>> model = lambda image, key: jnp.zeros((2, 3))
    >>> loss, metrics = noisy_classification(model, batch, jax.random.key(0), variance=0.0)
    >>> bool(jnp.isclose(loss, jnp.log(3))), bool(jnp.isclose(metrics["loss"][0], 2 * jnp.log(3)))
    (True, True)
    """
    if key is None:
        return weighted(model(batch[inputs], key=None), batch[targets])
    own, noise = jax.random.split(key)
    logits = model(batch[inputs], key=own)
    losses, _ = cross_entropy(logits, batch[targets])
    weights = 1 + variance**0.5 * jax.random.normal(noise, losses.shape, losses.dtype)
    return (weights * losses).mean(), weighted(logits, batch[targets])[1]

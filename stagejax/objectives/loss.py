"""The cross entropy of integer targets, and its sums over a batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

#: Scalars, and pairs (total, count) that are averaged as sum(total) / sum(count) over batches; `Macro` is the mean of
#: several such ratios.
Metrics = dict[str, Any]


class Macro(NamedTuple):
    """A macro average: the mean over the last axis of sum(totals) / sum(counts), without what was never counted.

    >>> float(Macro(jnp.array([1.0, 3.0, 0.0]), jnp.array([2.0, 3.0, 0.0])).value())
    0.75
    """

    totals: Any
    counts: Any

    def value(self) -> Any:
        """The mean of these ratios; NaN where nothing was counted at all."""
        counted = self.counts > 0
        return (self.totals / (self.counts + ~counted) * counted).sum(-1) / counted.sum(-1)


def cross_entropy(
    logits: Float[Array, "*batch classes"], targets: Int[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    """`log Z - logits[target]` in nats with `log Z = logsumexp(logits)`, and `log Z`; both in at least float32.

    A target outside of the classes gives NaN.

    >>> loss, _ = cross_entropy(jnp.zeros((1, 4)), jnp.array([2]))
    >>> bool(jnp.allclose(loss, jnp.log(4)))
    True
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_z = jax.nn.logsumexp(logits, axis=-1)
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1, mode="fill", fill_value=jnp.nan)
    return log_z - chosen[..., 0], log_z


def smoothed(
    logits: Float[Array, "*batch classes"], targets: Int[Array, "*batch"], smoothing: float
) -> Float[Array, "*batch"]:
    """The cross entropy with targets that give `smoothing` of their weight to all classes alike, in nats.

    Reference: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, section 7.

    >>> smoothed(jnp.array([[2.0, 0.0]]), jnp.array([0]), 0.0) < smoothed(jnp.array([[2.0, 0.0]]), jnp.array([0]), 0.1)
    Array([ True], dtype=bool)
    """
    losses, log_z = cross_entropy(logits, targets)
    return (1 - smoothing) * losses + smoothing * (log_z - logits.astype(log_z.dtype).mean(-1))


def weighted(
    logits: Float[Array, "*batch classes"],
    targets: Int[Array, "*batch"],
    weights: Float[Array, "*batch"] | None = None,
    *,
    z_loss: float = 0.0,
) -> tuple[Float[Array, ""], Metrics]:
    """The weighted mean of `cross_entropy + z_loss * (log Z)^2`, and the metrics `loss` and `accuracy`.

    Each metric is a pair (weighted sum, sum of weights). Where a weight is zero the target is not looked at. Without a
    single weight the loss is 0. With a z-loss, the pair `cross_entropy` gives the loss without it.

    Reference of the z-loss: Chowdhery et al. 2022 (PaLM), https://arxiv.org/abs/2204.02311, section 5.

    >>> loss, metrics = weighted(jnp.eye(3), jnp.array([0, 1, 0]), jnp.array([1.0, 1.0, 0.0]))
    >>> metrics["accuracy"]
    (Array(2., dtype=float32), Array(2., dtype=float32))
    """
    losses, log_z = cross_entropy(logits, targets)
    weights = jnp.ones_like(losses) if weights is None else weights.astype(losses.dtype)

    def total(values: Array) -> Array:
        return jnp.sum(jnp.where(weights == 0, 0, weights * values))

    count = weights.sum()
    metrics: Metrics = {"loss": (total(losses), count)}
    metrics["accuracy"] = (total((logits.argmax(-1) == targets).astype(losses.dtype)), count)
    if z_loss:
        metrics["cross_entropy"] = metrics["loss"]
        metrics["loss"] = (total(losses + z_loss * log_z**2), count)
    return metrics["loss"][0] / jnp.where(count == 0, 1, count), metrics

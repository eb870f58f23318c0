"""Training for certified robustness: the loss of the worst case that interval bounds leave open, and an attack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.intervals import Interval, margins, propagate
from stagejax.objectives.loss import Metrics, cross_entropy

_TINY = 1e-6  # radius where none is asked for, so that widths can be compared


def around(images: Float[Array, "B ..."], radius: Float[Array, ""] | float) -> Interval:
    """All images within `radius` in every pixel, pixels from 0 to 1."""
    return Interval(jnp.maximum(images - radius, 0.0), jnp.minimum(images + radius, 1.0))


def smoothed(progress: Float[Array, ""] | float, middle: float = 0.25, power: int = 4) -> Float[Array, ""]:
    """From 0 to 1 over progress p: k p^power up to `middle`, then a straight line of the same slope.

    Reference: Shi et al. 2021, https://arxiv.org/abs/2103.17268, appendix; Xu et al. 2020, arXiv 2002.12920.

    >>> [round(float(smoothed(p)), 4) for p in (0.0, 0.25, 1.0)]
    [0.0, 0.0769, 1.0]
    """
    p = jnp.clip(jnp.asarray(progress), 0.0, 1.0)
    start = middle**power
    slope = power * middle ** (power - 1)
    scale = 1 / (start + slope * (1 - middle))
    return scale * jnp.where(p <= middle, p**power, start + slope * (p - middle))


def tightness(relus: Sequence[Interval], width: Float[Array, ""], tau: float = 0.5) -> Float[Array, ""]:
    """1/(tau m) sum_i relu(tau - d_0 / d_i): no ReLU's mean radius d_i should be wider than d_0 / tau.

    Reference: Shi et al. 2021, https://arxiv.org/abs/2103.17268, equation 9.
    """
    terms = [jax.nn.relu(tau - width / jnp.maximum(box.radius.mean(), 1e-12)) for box in relus]
    return sum(terms, jnp.zeros(())) / (tau * len(terms))


def balance(relus: Sequence[Interval], tau: float = 0.5) -> Float[Array, ""]:
    """1/(tau m) sum_i relu(tau - r_i) + relu(tau - q_i): active and inactive ReLUs should weigh alike.

    Over active units (l > 0) and inactive ones (u < 0) with centres c, r is the ratio, the smaller to the larger, of
    the sums of |c|, and q that of the sums of (c - mean c)². Terms without an active or an inactive unit are left out.

    Reference: Shi et al. 2021, https://arxiv.org/abs/2103.17268, equation 11.
    """
    total = jnp.zeros(())
    for box in relus:
        centre, active, inactive = box.centre, box.lower > 0, box.upper < 0
        spread = jnp.square(centre - centre.mean())
        both = active.any() & inactive.any()
        for on, off in ((centre, -centre), (spread, spread)):
            a, b = jnp.where(active, on, 0.0).mean(), jnp.where(inactive, off, 0.0).mean()
            a, b = (jnp.where(both, jnp.maximum(x, 1e-12), 1.0) for x in (a, b))
            ratio = jnp.minimum(a / b, b / a)
            total = total + jnp.where(both, jax.nn.relu(tau - ratio), 0.0)
    return total / (tau * len(relus))


def certified(
    model: Any,
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    radius: Float[Array, ""] | float,
    weight: Float[Array, ""] | float | None = None,
    tau: float = 0.5,
    std: float = 1.0,
) -> tuple[Float[Array, ""], Metrics]:
    """log(1 + sum_j exp(-low_j)) + weight (tightness + balance), low_j the lower bound of z_y - z_j within `radius`.

    Args:
      model: `features(images)`; a last dense layer `heads["label"].output`; and `measured(images, key)`: itself with
        the statistics of these images in its norms, which the bounds use as they are.
      batch: "image" with pixels from 0 to 1, and "label".
      key: None in evaluation, with running statistics.
      weight: of the regularisers; None: without them.
      tau: see `tightness` and `balance`.
      std: what the model divides pixels by: widths are compared with that of its scaled input.

    Returns:
      The loss, and the pairs `verified_error` (share of images with a low_j < 0) and `error` (without a perturbation),
      and `width`, the mean radius before the last ReLU to that of the scaled input.

    Reference: Shi et al. 2021, https://arxiv.org/abs/2103.17268, section 3; Gowal et al. 2018, arXiv 1810.12715.
    """
    images, labels = batch["image"], batch["label"]
    still = model if key is None else model.measured(images, key)
    box = around(images, jnp.maximum(radius, _TINY))
    features, relus = propagate(still.features, box)
    output = still.heads["label"].output
    kernel, bias = output.kernel[...], output.bias[...]
    low = margins(features, kernel, bias, labels)
    losses = jax.nn.logsumexp(-low, axis=-1)
    count = jnp.asarray(len(labels), losses.dtype)
    logits = still.features(images) @ kernel + bias
    clean, _ = cross_entropy(logits, labels)
    metrics: Metrics = {
        "loss": (losses.sum(), count),
        "verified_error": ((low < 0).any(-1).sum().astype(losses.dtype), count),
        "error": ((logits.argmax(-1) != labels).sum().astype(losses.dtype), count),
        "clean_loss": (clean.sum(), count),
    }
    loss, width = losses.mean(), box.radius.mean() / std
    metrics |= {"width": relus[-1].radius.mean() / width, "radius": jnp.asarray(radius)}
    if weight is not None:
        tight, even = tightness(relus, width, tau), balance(relus, tau)
        loss = loss + weight * (tight + even)
        metrics |= {"tightness": tight, "balance": even, "weight": jnp.asarray(weight), "loss": loss}
    return loss, metrics


def attacked(
    logits_of: Callable[[Array], Array],
    images: Float[Array, "B ..."],
    labels: Int[Array, " B"],
    key: Array,
    *,
    radius: float,
    steps: int = 20,
) -> Float[Array, "B ..."]:
    """PGD: from a random point of the box, `steps` steps of radius / 4 along the sign of the loss' gradient, each
    projected onto the box. Madry et al. 2018, https://arxiv.org/abs/1706.06083.
    """
    box = around(images, radius)

    def step(x: Array, _: None) -> tuple[Array, None]:
        gradient = jax.grad(lambda x: cross_entropy(logits_of(x), labels)[0].sum())(x)
        return jnp.clip(x + radius / 4 * jnp.sign(gradient), box.lower, box.upper), None

    start = box.lower + jax.random.uniform(key, images.shape) * (box.upper - box.lower)
    return jax.lax.scan(step, start, None, length=steps)[0]

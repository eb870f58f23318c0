"""Autoencoding: a reconstruction from a posterior near a standard normal, or from a few patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Metrics


@dataclass(frozen=True)
class Autoencoding:
    """|decoded - data| + squared |decoded - data|² + kl KL(N(mean, exp(logvar)) || N(0, 1)); an objective.

    Each is a mean over its coordinates.

    The model gives (decoded, mean, logvar) of (data, key). Metrics: `loss`, `l1`, `l2` (squared) and `kl` in nats a
    coordinate. Where most of the data is black, so is the best constant of absolute errors, and training stays at it;
    squared ones lead away.

    Reference: Kingma and Welling 2014, https://arxiv.org/abs/1312.6114, appendix B; absolute errors and the small
    weight as in Rombach et al. 2022, https://arxiv.org/abs/2112.10752, appendix G.

    >>> loss, _ = Autoencoding("x")(lambda x, key: (x, 0 * x, 0 * x), {"x": jnp.ones(3)}, None)
    >>> float(loss)
    0.0
    """

    inputs: str = "video"
    kl: float = 1e-4
    squared: float = 0.0

    def __call__(
        self, model: Callable[..., Any], batch: Mapping[str, Any], key: Array | None
    ) -> tuple[Float[Array, ""], Metrics]:
        data = jnp.asarray(batch[self.inputs], jnp.float32)
        decoded, mean, logvar = model(data, key)
        l1, l2 = jnp.abs(decoded - data).mean(), ((decoded - data) ** 2).mean()
        kl = 0.5 * (mean**2 + jnp.exp(logvar) - 1 - logvar).mean()
        loss = l1 + self.squared * l2 + self.kl * kl
        return loss, {"loss": loss, "l1": l1, "l2": l2, "kl": kl}


def masked_pixels(
    model: Any, batch: Mapping[str, Any], key: Array | None, *, inputs: str = "image"
) -> tuple[Float[Array, ""], Metrics]:
    """The mean squared error of the hidden patches' pixels, which are normalised within each patch.

    Args:
      model: a `MaskedAutoencoder`'s: it gives every patch of images (B, Y, X, P) from those at `seen` (B, K).
      key: draws which patches are seen, uniformly; None: the same ones always.

    Returns:
      The loss; `loss`, which is 1 for the constant that is best.

    Reference: He et al. 2022 (MAE), https://arxiv.org/abs/2111.06377, section 3.
    """
    images, (hidden, pixels) = batch[inputs], (model.config.patches - model.config.shown, model.pixels_of)
    seen_BK, rest_BH = _drawn(key, len(images), model.config.shown, hidden)
    true = pixels(images)
    true = (true - true.mean(-1, keepdims=True)) / jnp.sqrt(true.var(-1, keepdims=True) + 1e-6)
    errors_BT = jnp.square(model.completed(images, seen_BK) - true).mean(-1)
    loss = jnp.take_along_axis(errors_BT, rest_BH, axis=1).mean()
    return loss, {"loss": loss}


def _drawn(key: Array | None, images: int, seen: int, hidden: int) -> tuple[Int[Array, "B K"], Int[Array, "B H"]]:
    """For each image the patches that are seen, and the others."""
    key = jax.random.key(0) if key is None else key
    order = jax.vmap(lambda own: jax.random.permutation(own, seen + hidden))(jax.random.split(key, images))
    return order[:, :seen], order[:, seen:]

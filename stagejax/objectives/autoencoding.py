"""Autoencoding: a reconstruction, and a posterior that stays near a standard normal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

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

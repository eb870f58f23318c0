"""An autoencoder against a discriminator of frames: what it decodes is to look real, and not only to be near.

Each objective sees the other model of its stage by name in `others`: "autoencoder", a function (video, key) ->
(decoded, mean, logvar), and "discriminator", from images (B, ...) to logits (B,), above 0 for real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics
from stagejax.objectives.pictures.autoencoding import Autoencoding


def frames_of(video: Float[Array, "B F *pixel"]) -> Float[Array, " N *pixel"]:
    """All frames of all clips as images.

    >>> frames_of(jnp.zeros((2, 3, 4, 4, 1))).shape
    (6, 4, 4, 1)
    """
    return video.reshape(-1, *video.shape[2:])


@dataclass(frozen=True)
class Realistic:
    """base + weight · mean of softplus(-D(frames that are decoded)): the autoencoder's objective.

    Metrics are those of `base`, and `unreal`, the mean that is added.

    Reference: Esser et al. 2021 (VQGAN), https://arxiv.org/abs/2012.09841, equations 5 and 6, with a constant weight;
    non-saturating as in Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3.

    >>> others = {"discriminator": lambda frames: jnp.zeros(len(frames))}
    >>> objective, same = Realistic(Autoencoding(), 2.0), lambda x, key: (x, 0 * x, 0 * x)
    >>> objective(same, {"video": jnp.ones((1, 2, 4, 4, 1))}, None, others=others)[0].round(4)
    Array(1.3863, dtype=float32)
    """

    base: Autoencoding
    weight: float = 0.05

    def __call__(
        self, model: Any, batch: Mapping[str, Any], key: Array | None, *, others: Mapping[str, Any]
    ) -> tuple[Float[Array, ""], Metrics]:
        made = model(jnp.asarray(batch[self.base.inputs], jnp.float32), key)
        near, metrics = self.base(lambda *_: made, batch, key)
        unreal = jax.nn.softplus(-others["discriminator"](frames_of(made[0]))).mean()
        loss = near + self.weight * unreal
        return loss, metrics | {"loss": loss, "unreal": unreal}


def real_or_decoded(
    model: Any, batch: Mapping[str, Any], key: Array | None, *, others: Mapping[str, Any], inputs: str = "video"
) -> tuple[Float[Array, ""], Metrics]:
    """The discriminator's: mean of softplus(-D(x)) over frames + mean of softplus(D(y)) over the same ones decoded.

    Returns:
      The loss, and how often each kind is told right: `real`, `decoded`.
    """
    video = jnp.asarray(batch[inputs], jnp.float32)
    real_N, decoded_N = (model(frames_of(x)) for x in (video, others["autoencoder"](video, key)[0]))
    loss = jax.nn.softplus(-real_N).mean() + jax.nn.softplus(decoded_N).mean()
    return loss, {"loss": loss, "real": (real_N > 0).mean(), "decoded": (decoded_N < 0).mean()}

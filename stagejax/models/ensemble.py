"""Several models of one kind as one model, along an axis `ensemble`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.models.block import Key
from stagejax.models.stack import stack


@dataclass(frozen=True)
class Ensemble:
    """`size` classifiers of one kind, each from its own initial values, and one head on all their features.

    Args:
      member: their config: a `ConvNet`, a `ResNet` or a `ViT`.

    >>> from stagejax.models.convnet import ConvNet
    >>> Ensemble(ConvNet(), 5, features=32).sizes()["ensemble"]
    5
    """

    member: Any
    size: int
    features: int  # of a member
    classes: int = 10

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {"ensemble": self.size, "features": self.features, **self.member.sizes()}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Members` with their initial parameters, drawn from `rngs.params`; the common head starts at zero."""
        return Members(self, rngs)


class Members(nnx.Module):
    """Models that share nothing, under one `vmap`; batch statistics are each member's own.

    Letters: B batch, N members, Y, X and P rows, columns and channels of pixels, E features of a member, C classes.

    >>> from stagejax.models.convnet import ConvNet
    >>> model = Ensemble(ConvNet(image=8, channels=(4, 6)), 3, features=6).build(nnx.Rngs(0))
    >>> images = jnp.zeros((2, 8, 8, 1))
    >>> model(jnp.stack([images] * 3, axis=1)).shape, model.features(images).shape, model.joint(images).shape
    ((2, 3, 10), (2, 3, 6), (2, 10))
    """

    def __init__(self, config: Ensemble, rngs: nnx.Rngs) -> None:
        self.config = config
        self.members = stack(config.member.build, config.size, rngs, "ensemble")
        zeros = jnp.zeros((config.size, config.features, config.classes))
        self.kernel = axes.param(zeros, reads=("ensemble", "features"), writes=("classes",))
        self.bias = axes.param(jnp.zeros(config.classes), writes=("classes",))

    def __call__(self, images_BNYXP: Float[Array, "B N Y X P"], key: Key | None = None) -> Float[Array, "B N C"]:
        """The logits of each member for images of its own."""
        return self._each("__call__", images_BNYXP, 1, key)

    def features(self, images_BYXP: Float[Array, "B Y X P"], key: Key | None = None) -> Float[Array, "B N E"]:
        """What each member makes of the same images; concatenated, they are `reshape(B, -1)`."""
        return self._each("features", images_BYXP, None, key)

    def joint(self, images_BYXP: Float[Array, "B Y X P"], key: Key | None = None) -> Float[Array, "B C"]:
        """The logits of the head on the concatenated features."""
        return jnp.tensordot(self.features(images_BYXP, key), self.kernel[...], axes=2) + self.bias[...]

    def _each(self, method: str, images: Array, of: int | None, key: Key | None) -> Array:
        graphdef, params, rest = nnx.split(self.members, nnx.Param, ...)
        keys = None if key is None else jax.random.split(key, self.config.size)

        def one(params: Any, rest: Any, key: Key | None, images: Array) -> tuple[Array, Any]:
            member = nnx.merge(graphdef, params, rest)
            y = getattr(type(member), method)(member, images, key=key)
            return y, nnx.state(member, nnx.Not(nnx.Param))

        y, rest = jax.vmap(one, in_axes=(0, 0, None if key is None else 0, of), out_axes=(1, 0))(
            params, rest, keys, images
        )
        nnx.update(self.members, rest)
        return y

"""Pictures as codes: a small convolutional autoencoder with a codebook in its middle (VQ-VAE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.conv import Conv
from stagejax.models.generative.quantizer import Quantized, Quantizer, revive


@dataclass(frozen=True)
class ImageTokenizer:
    """A picture of `pixels` x `pixels` becomes a grid of codes, one for each 4 x 4 pixels, row by row.

    Raises:
      ValueError: the pixels are no multiple of four.

    Reference: van den Oord et al. 2017, https://arxiv.org/abs/1711.00937.

    >>> ImageTokenizer(pixels=16).count
    16
    """

    pixels: int = 16
    channels: int = 3  # of a pixel
    hidden: int = 32  # channels of the convolutions
    embed: int = 16  # size of a code's vector
    codes: int = 128

    def __post_init__(self) -> None:
        if self.pixels % 4:
            raise ValueError(f"pixels={self.pixels} is not divided by 4: each code stands for 4 x 4 pixels")

    @property
    def count(self) -> int:
        """Codes of a picture."""
        return (self.pixels // 4) ** 2

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {f"channels.{name}": self.hidden for name in ("1", "2", "up.1", "up.2")}
        taps = {"kernel_row": 3, "kernel_column": 3, "kernel_row.1": 1, "kernel_column.1": 1}
        return taps | {"pixel": self.channels, "embed": self.embed, "codes": self.codes} | own

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ImageCodec` with its initial parameters, drawn from `rngs.params`."""
        return built(ImageCodec, self, rngs.params())


class ImageCodec(nnx.Module):
    """The module of `ImageTokenizer`.

    Letters: B batch, Y and X rows and columns, P pixel channels, y and x those of the grid of codes, E embed.

    >>> model = ImageTokenizer().build(nnx.Rngs(0))
    >>> codes = model.encode(jnp.zeros((2, 16, 16, 3)))
    >>> codes.shape, model.decode(codes).shape
    ((2, 16), (2, 16, 16, 3))
    """

    def __init__(self, config: ImageTokenizer, rngs: nnx.Rngs) -> None:
        self.config = c = config
        h, one = c.hidden, ("kernel_row.1", "kernel_column.1")
        how: dict[str, Any] = {"implementation": "patches", "rngs": rngs}
        self.down = nnx.List(
            [
                Conv(("pixel", c.channels), ("channels.1", h), size=3, stride=2, **how),
                Conv(("channels.1", h), ("channels.2", h), size=3, stride=2, **how),
                Conv(("channels.2", h), ("embed", c.embed), size=1, taps=one, **how),
            ]
        )
        self.quantizer = Quantizer(c.codes, c.embed, rngs=rngs)
        self.up = nnx.List(
            [
                Conv(("embed", c.embed), ("channels.up.1", h), size=3, **how),
                Conv(("channels.up.1", h), ("channels.up.2", h), size=3, **how),
                Conv(("channels.up.2", h), ("pixel", c.channels), size=3, **how),
            ]
        )
        self.bias = axes.param(jnp.full(c.channels, -2.0), writes=("pixel",))

    def __call__(
        self, images_BYXP: Float[Array, "B Y X P"], key: Any = None
    ) -> tuple[Float[Array, "B Y X P"], Quantized]:
        """The reconstruction, and what was quantized."""
        found = self.quantizer(self.latent(images_BYXP))
        return self.pictures(found.vectors), found

    def latent(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B y x E"]:
        """The vectors that codes stand for."""
        x = images_BYXP
        for layer in self.down[:-1]:
            x = jax.nn.relu(layer(x))
        return self.down[-1](x)

    def pictures(self, x_ByxE: Float[Array, "B y x E"]) -> Float[Array, "B Y X P"]:
        """From vectors back to pixels between 0 and 1."""
        x = jax.nn.relu(self.up[0](x_ByxE))
        x = jax.nn.relu(self.up[1](_twice(x)))
        return jax.nn.sigmoid(self.up[2](_twice(x)) + self.bias[...])

    def encode(self, images_BYXP: Float[Array, "B Y X P"]) -> Int[Array, "B n"]:
        """The codes of pictures, row by row."""
        return self.quantizer.nearest(self.latent(images_BYXP)).reshape(images_BYXP.shape[0], -1)

    def decode(self, codes_Bn: Int[Array, "B n"]) -> Float[Array, "B Y X P"]:
        """The pictures of codes."""
        side = self.config.pixels // 4
        return self.pictures(self.quantizer.vectors(codes_Bn.reshape(-1, side, side)))

    def revive(self, batch: Mapping[str, Any], key: Array) -> None:
        """Codes that no patch of the batch has are put at patches."""
        x = self.latent(batch["image"]).reshape(-1, self.config.embed)
        used = jnp.bincount(self.quantizer.nearest(x), length=self.config.codes) / len(x)
        self.quantizer.table[...] = revive(self.quantizer.table[...], used, x, key, 1e-9)


def _twice(x: Float[Array, "B y x C"]) -> Float[Array, "B Y X C"]:
    return x.repeat(2, axis=1).repeat(2, axis=2)

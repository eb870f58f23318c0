"""A diffusion transformer that writes: noise, a map of glyphs beside it, and the words of the prompt to a velocity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.conv import Conv, Convolution
from stagejax.models.generative.dit import DiT, velocity_to
from stagejax.models.linear import Table


@dataclass(frozen=True)
class GlyphDiT:
    """A `DiT` between two small convolutional networks of pixels, which see what crosses the borders of patches.

    Image and map, side by side, become `net.channels` features of each pixel; the DiT turns these into as many others;
    and from those, the image and the map comes the image x that it predicts. The velocity is
    (x - x_t) / max(1 - t, 0.05): noise need not pass through the network. The DiT attends to the characters of the
    prompt, each with its place in its word and the number of its word.

    Args:
      net: its channels are features of a pixel.
      pixels, glyphs: channels of an image and of a map.
      fine: features of a pixel behind the DiT.
      vocab, places, words: kinds of characters, characters of a word and words of a prompt; kind 0 is no character.

    Raises:
      ValueError: a DiT without text.

    References: the conditioning of Chen et al. 2023 (TextDiffuser), https://arxiv.org/abs/2305.10855, section 3.2;
    predicting x under a loss of velocities: Li and He 2025, https://arxiv.org/abs/2511.13720.

    >>> GlyphDiT(DiT(channels=8, patch=4, text=32, layers=1)).sizes()["given"]
    3
    """

    net: DiT
    pixels: int = 1
    glyphs: int = 2
    fine: int = 16
    vocab: int = 11
    places: int = 9
    words: int = 9
    convolution: Convolution = "patches"

    def __post_init__(self) -> None:
        if not self.net.text:
            raise ValueError("net.text=0: give the DiT a width of text, for the characters of the prompt")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        given = self.pixels + self.glyphs
        own = {"kernel_row": 3, "kernel_column": 3, "given": given, "features": self.net.channels, "fine": self.fine}
        own |= {"features.given": self.net.channels + given, "image": self.pixels}
        return self.net.sizes() | own | {"vocab": self.vocab, "position": self.places, "types": self.words}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `GlyphDiTModel` with its initial parameters, drawn from `rngs.params`."""
        return built(GlyphDiTModel, self, rngs.params())


class GlyphDiTModel(nnx.Module):
    """Noisy images, time, maps of glyphs and prompts to a velocity of the images' shape.

    >>> config = GlyphDiT(DiT(channels=8, patch=4, text=32, layers=1))
    >>> image, prompt = jnp.zeros((2, 8, 12, 1)), jnp.ones((2, 5, 3), int)
    >>> velocity = lambda: config.build(nnx.Rngs(0))(image, jnp.zeros(2), jnp.zeros((2, 8, 12, 2)), prompt)
    >>> nnx.eval_shape(velocity).shape
    (2, 8, 12, 1)
    """

    def __init__(self, config: GlyphDiT, rngs: nnx.Rngs) -> None:
        self.config = c = config
        sizes, how = c.sizes(), {"size": 3, "implementation": c.convolution, "rngs": rngs}

        def conv(reads: str, writes: str) -> Conv:
            return Conv((reads, sizes[reads]), (writes, sizes[writes]), **how)  # type: ignore[arg-type]

        self.stem, self.refine, self.last = (
            conv("given", "features"),
            conv("features.given", "fine"),
            conv("fine", "image"),
        )
        self.stem_bias, self.refine_bias = (
            axes.param(jnp.zeros(sizes[name]), writes=(name,)) for name in ("features", "fine")
        )
        tables = {"vocab": (c.vocab, 1.0), "position": (c.places, 0.5), "types": (c.words, 0.5)}
        self.characters, self.positions, self.numbers = (
            axes.renamed(Table(name, size, c.net.text, std=std, rngs=rngs), {"embed": "text"})
            for name, (size, std) in tables.items()
        )
        self.net = c.net.build(rngs)

    def __call__(
        self,
        image_BYXC: Float[Array, "B Y X C"],
        t_B: Float[Array, " B"],
        glyphs: Float[Array, "B Y X G"],
        prompt: Int[Array, "B S 3"],
    ) -> Float[Array, "B Y X C"]:
        """The velocity at time t. Of each character of a prompt: its kind from 1, its place, its word."""
        text_BSW = self.characters(prompt[..., 0]) + self.positions(prompt[..., 1]) + self.numbers(prompt[..., 2])
        given: Any = jnp.concatenate([image_BYXC, glyphs.astype(image_BYXC.dtype)], -1)
        features = jax.nn.gelu(self.stem(given) + self.stem_bias[...])
        seen = self.net(features[:, None], t_B, text_BSW, text_mask_BS=prompt[..., 0] > 0)[:, 0]
        fine = jax.nn.gelu(self.refine(jnp.concatenate([seen, given], -1)) + self.refine_bias[...])
        return velocity_to(self.last(fine), image_BYXC, t_B)

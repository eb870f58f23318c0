"""A diffusion transformer that writes: noise, a map of glyphs beside it, and the words of the prompt to a velocity."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.dit import DiT
from stagejax.models.linear import Table

_LEAST = 0.05  # of 1 - t


@dataclass(frozen=True)
class GlyphDiT:
    """A `DiT` of one frame, whose first `pixels` channels are the image and whose others are the map of glyphs.

    It attends to the characters of the prompt, each with its place in its word and the number of its word. The network
    predicts the image x, and the velocity is (x - x_t) / max(1 - t, 0.05): noise need not pass through it.

    Args:
      net: its channels are those of the image and of the map together; what it says of the map is left out.
      pixels: channels of an image.
      vocab, places, words: kinds of characters, characters of a word and words of a prompt; 0 of each is no character.

    Raises:
      ValueError: a DiT without text, or without channels for a map.

    References: the conditioning of Chen et al. 2023 (TextDiffuser), https://arxiv.org/abs/2305.10855, section 3.2;
    predicting x under a loss of velocities: Li and He 2025, https://arxiv.org/abs/2511.13720.

    >>> GlyphDiT(DiT(channels=3, patch=4, text=32, layers=1)).sizes()["vocab"]
    11
    """

    net: DiT
    pixels: int = 1
    vocab: int = 11
    places: int = 9
    words: int = 9

    def __post_init__(self) -> None:
        if not self.net.text or self.net.channels <= self.pixels:
            raise ValueError(
                f"net.text={self.net.text}, net.channels={self.net.channels}: give the DiT a width of text, and more "
                f"channels than the {self.pixels} of an image"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.net.sizes() | {"vocab": self.vocab, "position": self.places, "types": self.words}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `GlyphDiTModel` with its initial parameters, drawn from `rngs.params`."""
        return built(GlyphDiTModel, self, rngs.params())


class GlyphDiTModel(nnx.Module):
    """Noisy images, time, maps of glyphs and prompts to a velocity of the images' shape.

    >>> config = GlyphDiT(DiT(channels=3, patch=4, text=32, layers=1))
    >>> image, prompt = jnp.zeros((2, 8, 12, 1)), jnp.ones((2, 5, 3), int)
    >>> velocity = lambda: config.build(nnx.Rngs(0))(image, jnp.zeros(2), jnp.zeros((2, 8, 12, 2)), prompt)
    >>> nnx.eval_shape(velocity).shape
    (2, 8, 12, 1)
    """

    def __init__(self, config: GlyphDiT, rngs: nnx.Rngs) -> None:
        self.config = c = config
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
        inputs = jnp.concatenate([image_BYXC, glyphs.astype(image_BYXC.dtype)], -1)[:, None]
        x_BYXC = self.net(inputs, t_B, text_BSW, text_mask_BS=prompt[..., 0] > 0)[:, 0, ..., : self.config.pixels]
        return (x_BYXC - image_BYXC) / jnp.maximum(1 - t_B, _LEAST)[:, None, None, None]

"""A causal text tower and an image network that are trained against each other (CLIP): the tower's states are read on.

Letters: B pictures, N texts, S tokens, W width of the text tower, J joint space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.multimodal.dual_encoder import MOST_SCALE
from stagejax.models.transformer import Transformer
from stagejax.models.vision.cnn import CNN, ConvLayer, ConvolutionalClassifier


def _tower() -> Transformer:
    return Transformer(vocab=14, embed=64, layers=2, heads=4, mlp=128, length=12, init_std=0.1)


def _eye() -> CNN:
    layers = (ConvLayer(16, pool=True), ConvLayer(32, pool=True), ConvLayer(32))
    return CNN((16, 24, 3), layers, heads=(("label", (64, 64)),), convolution="patches")


@dataclass(frozen=True)
class TextImagePair:
    """A text is what a causal transformer says at its first end token; a picture what a small network says of it.

    As the tower is causal, each state knows all words before it, and the end tokens know all: what is trained is the
    vector at the first end, the states of the words are as they come.

    Args:
      text, image: the towers; the image's classes are as many as the joint space has coordinates.
      end: the token that ends a text, and fills it up.
      temperature: of the softmax at first; it is learned.

    Raises:
      ValueError: a text tower that sees what comes, or has one block.

    Reference: Radford et al. 2021 (CLIP), https://arxiv.org/abs/2103.00020, section 2.4.

    >>> TextImagePair().joint
    64
    """

    text: Transformer = field(default_factory=_tower)
    image: CNN = field(default_factory=_eye)
    end: int = 2
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if not self.text.causal:
            raise ValueError("causal=False: the text is read at its end, give it a causal tower")
        if self.text.layers < 2:
            raise ValueError(
                "layers=1 of the text tower: its states are read before the last block, give it two or more"
            )

    @property
    def joint(self) -> int:
        """Coordinates of the joint space."""
        return self.image.heads[0][1][-1]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.text.sizes() | self.image.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TextImagePairModel` with its initial parameters, drawn from `rngs.params`."""
        return built(TextImagePairModel, self, rngs.params())


class TextImagePairModel(nnx.Module):
    """Pictures and texts to their scaled cosines.

    >>> model = TextImagePair().build(nnx.Rngs(0))
    >>> jax.eval_shape(model, jnp.zeros((2, 16, 24, 3)), jnp.ones((5, 12), int)).shape
    (2, 5)
    """

    def __init__(self, config: TextImagePair, rngs: nnx.Rngs) -> None:
        self.config = c = config
        self.text, self.image = LanguageModel(c.text, rngs), ConvolutionalClassifier(c.image, rngs)
        width = c.text.embed
        self.projection = Dense({"embed": width}, {"classes": c.joint}, std=width**-0.5, bias=False, rngs=rngs)
        self.log_scale = axes.param(jnp.asarray(-math.log(c.temperature), jnp.float32))

    def __call__(
        self, images: Float[Array, "B Y X C"], tokens: Int[Array, "N S"], key: Any = None
    ) -> Float[Array, "B N"]:
        """`scale * cos(image, text)` of every picture and every text; the key draws nothing."""
        ends_N = (tokens == self.config.end).argmax(1)
        last_NW = jnp.take_along_axis(self.text.hidden(tokens), ends_N[:, None, None], axis=1)[:, 0]
        scale = jnp.minimum(jnp.exp(self.log_scale[...]), MOST_SCALE)
        return scale * unit(self.image(images)) @ unit(self.projection(last_NW)).T

    def states(self, tokens: Int[Array, "N S"]) -> Float[Array, "N S W"]:
        """What a generator attends to: the stream before the last block, at every token, each of length √W.

        Reference: the penultimate layer, as in Podell et al. 2023 (SDXL), https://arxiv.org/abs/2307.01952.
        """
        x_NSW = self.text.hidden(tokens, depth=self.config.text.layers - 1)
        return x_NSW.shape[-1] ** 0.5 * unit(x_NSW)


def unit(x: Float[Array, "... J"]) -> Float[Array, "... J"]:
    """Vectors of length 1."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-12)

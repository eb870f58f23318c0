"""Two value heads on what is read and what is seen: the lower of two estimates is trusted."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class DoubleCritic:
    """Two networks of two hidden layers with ReLU on the mean of a text encoder's stream and on given features.

    Their classes are failure and success. As the two differ only by their initial values, the lower probability is an
    estimate that neither of them has to be too hopeful about.

    Args:
      text: an encoder. In the paper it is pre-trained and stays as it is: `trainable=heads_only`.
      features: how many numbers are given beside the text.
      mlp: width of both hidden layers.

    Raises:
      ValueError: the text model is a decoder, whose first tokens have not seen the others.

    Reference: Bai et al. 2024 (DigiRL), https://arxiv.org/abs/2406.11896, and its released code.

    >>> from stagejax.models import bert
    >>> DoubleCritic(bert(layers=1, embed=16, heads=2), features=6).sizes()["inputs"]
    22
    """

    text: Transformer
    features: int
    mlp: int = 64

    def __post_init__(self) -> None:
        if self.text.causal:
            raise ValueError("text: causal=True is a decoder; give it an encoder such as bert(...)")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {"inputs": self.text.embed + self.features, "hidden.1": self.mlp, "hidden.2": self.mlp, "classes": 2}
        return self.text.sizes() | own

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `DoubleValue` with its initial parameters, drawn from `rngs.params`."""
        return built(DoubleValue, self, rngs.params())


class ValueHead(nnx.Module):
    """Inputs to the logits of failure and success."""

    def __init__(self, config: DoubleCritic, rngs: nnx.Rngs) -> None:
        sizes = config.sizes()
        names = ("inputs", "hidden.1", "hidden.2", "classes")
        self.layers = nnx.List(
            Dense({a: sizes[a]}, {b: sizes[b]}, std=sizes[a] ** -0.5, bias=True, rngs=rngs)
            for a, b in itertools.pairwise(names)
        )

    def __call__(self, x_BI: Float[Array, "B I"]) -> Float[Array, "B 2"]:
        for layer in self.layers[:-1]:
            x_BI = jax.nn.relu(layer(x_BI))
        return self.layers[-1](x_BI)


class DoubleValue(nnx.Module):
    """The module of `DoubleCritic`.

    >>> from stagejax.models import bert
    >>> critic = DoubleCritic(bert(layers=1, embed=16, heads=2), features=6).build(nnx.Rngs(0))
    >>> tokens, features = jnp.array([[5, 6]]), jnp.ones((1, 6))
    >>> critic(tokens, features).shape, critic.value(tokens, features).shape
    ((1, 2, 2), (1,))
    """

    def __init__(self, config: DoubleCritic, rngs: nnx.Rngs) -> None:
        self.text = LanguageModel(config.text, rngs)
        self.first, self.second = ValueHead(config, rngs), ValueHead(config, rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], features_BF: Float[Array, "B F"]) -> Float[Array, "B 2 2"]:
        """Logits of both heads: (B, head, class)."""
        x_BI = jnp.concatenate([self.text.hidden(tokens_BT).mean(1), features_BF], axis=1)
        return jnp.stack([self.first(x_BI), self.second(x_BI)], axis=1)

    def value(self, tokens_BT: Int[Array, "B T"], features_BF: Float[Array, "B F"]) -> Float[Array, " B"]:
        """The lower of both probabilities of success."""
        return jax.nn.softmax(self(tokens_BT, features_BF), axis=-1)[..., 1].min(1)


def heads_only(path: str, leaf: object) -> bool:
    """The trained part where the text encoder is frozen.

    >>> heads_only("first/layers/0/kernel", None), heads_only("text/tokens/table", None)
    (True, False)
    """
    return not path.startswith("text/")

"""A decoder with a scalar head: values of states for PPO, rewards of answers for a reward model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class Critic:
    """The network of `base` with a number instead of logits; else its parameters have the same paths.

    >>> Critic(Transformer()).sizes()["score"]
    1
    """

    base: Transformer

    def __post_init__(self) -> None:
        if not self.base.causal:
            raise ValueError("causal=False: a value behind each token must not see later ones. Set causal=True.")

    def sizes(self) -> dict[str, int]:
        """Those of the base, and one score."""
        return self.base.sizes() | {"score": 1}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ScoringModel` with its initial parameters."""
        return built(ScoringModel, self, rngs.params())


class ScoringModel(LanguageModel):
    """Tokens to one number behind each: what is read from the stream there.

    >>> import jax.numpy as jnp
    >>> Critic(Transformer(layers=2)).build(nnx.Rngs(0))(jnp.zeros((1, 8), int)).shape
    (1, 8)
    """

    def __init__(self, config: Critic, rngs: nnx.Rngs) -> None:
        super().__init__(config.base, rngs)
        del self.head  # nothing would read it
        embed = config.base.embed
        self.score = Dense({"embed": embed}, {"score": 1}, std=embed**-0.5, bias=True, rngs=rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T"]:
        """Scores; the options are those of `LanguageModel.hidden`."""
        return self.score(self.hidden(tokens_BT, **options))[..., 0]


def from_policy(path: str, leaf: axes.Axes) -> str:
    """The hand-over of parameters from a language model to its critic: all but the heads.

    >>> from_policy("blocks/mlp/up/kernel", axes.Axes((), ())), from_policy("score/kernel", axes.Axes((), ()))
    ('carry', 'reset')
    """
    return "reset" if path.startswith("score/") else "drop" if path.startswith("head/") else "carry"

"""A decoder with a two-layer scalar head in place of its language-model head: a reward model of answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class RewardModel:
    """The network of `base`, and behind each token r = score(relu(inner(h))); else its parameters have the same paths.

    Raises:
      ValueError: the base is not causal.

    Reference: Yang et al. 2024 (Qwen2.5-Math), https://arxiv.org/abs/2409.12122, section 3.2.

    >>> RewardModel(Transformer(embed=32)).sizes()["reward_hidden"]
    32
    """

    base: Transformer

    def __post_init__(self) -> None:
        if not self.base.causal:
            raise ValueError("causal=False: a score behind each token must not see later ones. Set causal=True.")

    def sizes(self) -> dict[str, int]:
        """Those of the base, of the head's hidden layer, as wide as the stream, and one score."""
        return self.base.sizes() | {"reward_hidden": self.base.embed, "score": 1}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `RewardingModel` with its initial parameters."""
        return built(RewardingModel, self, rngs.params())


class RewardingModel(LanguageModel):
    """Tokens to one score behind each.

    >>> import jax.numpy as jnp
    >>> RewardModel(Transformer(layers=2)).build(nnx.Rngs(0))(jnp.zeros((1, 8), int)).shape
    (1, 8)
    """

    def __init__(self, config: RewardModel, rngs: nnx.Rngs) -> None:
        super().__init__(config.base, rngs)
        del self.head  # nothing would read it
        embed, hidden = config.base.embed, {"reward_hidden": config.base.embed}
        self.inner = Dense({"embed": embed}, hidden, std=(2 / embed) ** 0.5, bias=True, rngs=rngs)
        self.score = Dense(hidden, {"score": 1}, std=embed**-0.5, bias=True, rngs=rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T"]:
        """Scores; the options are those of `LanguageModel.hidden`."""
        return self.score(jax.nn.relu(self.inner(self.hidden(tokens_BT, **options))))[..., 0]


def from_language_model(path: str, leaf: axes.Axes) -> str:
    """The hand-over of parameters from a language model to its reward model: all but the heads.

    >>> own = axes.Axes((), ())
    >>> [from_language_model(path, own) for path in ("blocks/mlp/up/kernel", "inner/kernel", "head/output/kernel")]
    ['carry', 'reset', 'drop']
    """
    return "reset" if path.startswith(("inner/", "score/")) else "drop" if path.startswith("head/") else "carry"

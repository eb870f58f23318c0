"""What a diffusion transformer is told: by its own encoder of captions, or by a language model through an adapter.

Letters: B batch, S tokens, F width of a state of the language model, W width of the condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer

Condition = dict[str, Array]  # "context" (B, S, W), "there" (B, S) and "pooled" (B, W)


def visual_blend(
    states_BSF: Float[Array, "B S F"],
    visual_BSF: Float[Array, "B S F"],
    seen_BS: Bool[Array, "B S"],
    ratio_B: Float[Array, " B"],
) -> Float[Array, "B S F"]:
    """(1 - r) h + r v at the tokens of pictures, h the language model's last state and v what it was given there.

    A high ratio keeps pixels, a low one meaning; other tokens stay.

    Reference: Chen et al. 2025 (Dream Engine), https://arxiv.org/abs/2502.20172, section 3.

    >>> h, v = jnp.zeros((1, 2, 1)), jnp.ones((1, 2, 1))
    >>> visual_blend(h, v, jnp.array([[True, False]]), jnp.array([0.25]))[0, :, 0].tolist()
    [0.25, 0.0]
    """
    ratio_BS1 = jnp.where(seen_BS, ratio_B[:, None], 0.0)[..., None].astype(states_BSF.dtype)
    return (1 - ratio_BS1) * states_BSF + ratio_BS1 * visual_BSF


def mean_of(x_BSF: Float[Array, "B S F"], there_BS: Bool[Array, "B S"]) -> Float[Array, "B F"]:
    """The mean of the tokens that there are; 0 of none.

    >>> mean_of(jnp.array([[[1.0], [3.0]]]), jnp.array([[False, True]])).tolist()
    [[3.0]]
    """
    there = there_BS[..., None].astype(x_BSF.dtype)
    return (x_BSF * there).sum(1) / jnp.maximum(there.sum(1), 1)


@dataclass(frozen=True)
class ConditionAdapter:
    """Two networks of two layers: c_s = W2 silu(W1 h_s) for each token, and p = W2' silu(W1' mean_s h_s) for all.

    Args:
      reads: F.
      hidden: units of each network.
      writes: W.

    Reference: Chen et al. 2025 (Dream Engine), https://arxiv.org/abs/2502.20172, section 3.

    >>> ConditionAdapter(reads=48).sizes()["states"]
    48
    """

    reads: int = 64
    hidden: int = 256
    writes: int = 64

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {"states": self.reads, "mlp": self.hidden, "width": self.writes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ConditionAdapterNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(ConditionAdapterNetwork, self, rngs.params())


class ConditionAdapterNetwork(nnx.Module):
    """The module of `ConditionAdapter`.

    >>> x, seen = jnp.ones((2, 3, 64)), jnp.ones((2, 3), bool)
    >>> adapter = ConditionAdapter(writes=32).build(nnx.Rngs(0))
    >>> told = adapter({"states": x, "visual": x, "seen": seen}, seen, jnp.ones(2))
    >>> {name: x.shape for name, x in told.items()}
    {'context': (2, 3, 32), 'there': (2, 3), 'pooled': (2, 32)}
    """

    def __init__(self, config: ConditionAdapter, rngs: nnx.Rngs) -> None:
        self.config = c = config
        states, hidden, width = {"states": c.reads}, {"mlp": c.hidden}, {"width": c.writes}

        def pair() -> tuple[Dense, Dense]:
            first = Dense(states, hidden, std=c.reads**-0.5, bias=True, rngs=rngs)
            return first, Dense(hidden, width, std=(2 / c.hidden) ** 0.5, bias=True, rngs=rngs)

        (self.inner, self.outer), (self.pooled_inner, self.pooled_outer) = pair(), pair()

    def __call__(self, prompt: Mapping[str, Any], there: Bool[Array, "B S"], ratio_B: Float[Array, " B"]) -> Condition:
        """Of a prompt's `states` and `visual` vectors (B, S, F), blended by the ratio at the tokens `seen` (B, S).

        Args:
          there: tokens that the transformer is told of; a part of the prompt where the rest is dropped.
        """
        wide = self.inner.kernel[...].dtype
        h = visual_blend(prompt["states"].astype(wide), prompt["visual"].astype(wide), prompt["seen"], ratio_B)
        pooled = self.pooled_outer(jax.nn.silu(self.pooled_inner(mean_of(h, there))))
        return {"context": self.outer(jax.nn.silu(self.inner(h))), "there": there, "pooled": pooled}


@dataclass(frozen=True)
class CaptionEncoder:
    """A transformer that reads captions in both directions, and a linear map of the mean of its states.

    Raises:
      ValueError: the transformer is a decoder.

    >>> CaptionEncoder(Transformer(causal=False, embed=32, heads=2)).sizes()["width"]
    32
    """

    net: Transformer

    def __post_init__(self) -> None:
        if self.net.causal:
            raise ValueError("net: causal=True is a decoder; captions are read in both directions. Set causal=False.")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.net.sizes() | {"width": self.net.embed}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `CaptionEncoderModel` with its initial parameters, drawn from `rngs.params`."""
        return built(CaptionEncoderModel, self, rngs.params())


class CaptionEncoderModel(nnx.Module):
    """The module of `CaptionEncoder`: called as an adapter is, it reads the prompt's `words`.

    >>> words = jnp.array([[5, 6, 0]])
    >>> model = CaptionEncoder(Transformer(causal=False)).build(nnx.Rngs(0))
    >>> model({"words": words}, words > 0, jnp.ones(1))["pooled"].shape
    (1, 64)
    """

    def __init__(self, config: CaptionEncoder, rngs: nnx.Rngs) -> None:
        embed = config.net.embed
        self.config, self.net = config, LanguageModel(config.net, rngs)
        self.pool = Dense({"embed": embed}, {"width": embed}, std=embed**-0.5, bias=True, rngs=rngs)

    def __call__(self, prompt: Mapping[str, Any], there: Bool[Array, "B S"], ratio_B: Float[Array, " B"]) -> Condition:
        """Of a caption's `words` (B, S); it has no picture to blend, and what is not there is not read."""
        real = there | ~there.any(1, keepdims=True)  # a row of nothing reads itself, and is not there
        context = self.net.hidden(prompt["words"], mask=real)
        return {"context": context, "there": there, "pooled": self.pool(mean_of(context, there))}

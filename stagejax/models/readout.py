"""A pre-trained network of any family, read token by token and as a whole: decoder, encoder or encoder-decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.t5 import T5
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class Readout:
    """What such a network is: one that may be pre-trained under this configuration, and a linear head on its states.

    A decoder whose whole input is a prefix is an encoder: a `Transformer` serves causal, masked and prefix models,
    which differ in what they see (`prefix`) and not in a parameter.

    Raises:
      ValueError: a `Transformer` that is no decoder, or no classes.

    >>> from stagejax.models import gpt
    >>> model = Readout(gpt(layers=1, embed=16, heads=2), classes=3).build(nnx.Rngs(0))
    >>> tokens = jnp.array([[1, 9, 2, 0, 0]])
    >>> model(tokens).shape, model.answers(tokens).shape
    ((1, 5, 512), (1, 6, 3))
    """

    net: Transformer | T5
    classes: int
    pad: int = 0  # token id that is no text

    def __post_init__(self) -> None:
        if (isinstance(self.net, Transformer) and not self.net.causal) or self.classes < 1:
            raise ValueError(
                f"causal={getattr(self.net, 'causal', True)}, classes={self.classes}: give a decoder, which sees both "
                "ways where `prefix` says so, or a T5, and at least one class"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.net.sizes() | {"classes": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ReadNetwork`."""
        return built(ReadNetwork, self, rngs.params())


class ReadNetwork(nnx.Module):
    """The module of `Readout`: `net` and `head`. Letters: B batch, T tokens, E embed, C classes."""

    def __init__(self, config: Readout, rngs: nnx.Rngs) -> None:
        self.config = config
        self.net = config.net.build(rngs)
        self.head = Dense({"embed": config.net.embed}, {"classes": config.classes}, std=0.02, bias=True, rngs=rngs)

    def __call__(self, *tokens: Int[Array, "B _"], **options: Any) -> Float[Array, "B _ vocab"]:
        """Logits of the bare network, for its pre-training and for what it says."""
        return self.net(*tokens, **options)

    def states(
        self, tokens_BT: Int[Array, "B T"], prefix_BT: Bool[Array, "B T"] | None = None
    ) -> Float[Array, "B T E"]:
        """The stream of every token; an encoder-decoder reads the text on both sides, and the decoder's is meant.

        Args:
          prefix_BT: of a decoder: where a token is seen by all; none where absent. An encoder sees both ways anyway.

        Reference: Lewis et al. 2020 (BART), https://arxiv.org/abs/1910.13461, section 3.
        """
        real_BT = tokens_BT != self.config.pad
        if isinstance(self.config.net, T5):
            return self.net.decode(tokens_BT, self.net.encode(tokens_BT, mask=real_BT), mask=real_BT)
        return self.net.hidden(tokens_BT, **({} if prefix_BT is None else {"prefix": prefix_BT & real_BT}))

    def features(
        self, tokens_BT: Int[Array, "B T"], prefix_BT: Bool[Array, "B T"] | None = None
    ) -> Float[Array, "B T+1 E"]:
        """The states of all tokens and, behind them, their mean over the text, without padding."""
        x_BTE, real_BT = self.states(tokens_BT, prefix_BT), tokens_BT != self.config.pad
        share_BT = (real_BT / jnp.maximum(real_BT.sum(1, keepdims=True), 1)).astype(x_BTE.dtype)
        return jnp.concatenate([x_BTE, jnp.einsum("BT,BTE->BE", share_BT, x_BTE)[:, None]], 1)

    def answers(
        self, tokens_BT: Int[Array, "B T"], prefix_BT: Bool[Array, "B T"] | None = None
    ) -> Float[Array, "B T+1 C"]:
        """The head's logits of every token and, behind them, of the text."""
        return self.head(self.features(tokens_BT, prefix_BT))

"""A text encoder with a linear classifier on each token, as it is trained to tag."""

from __future__ import annotations

from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class TokenClassifier:
    """What a tagger is: an encoder, which may be pre-trained under the same configuration, and a linear head.

    Raises:
      ValueError: the encoder is a decoder.

    >>> import jax.numpy as jnp
    >>> from stagejax.models import bert
    >>> model = TokenClassifier(bert(layers=1, embed=16, heads=2), classes=3).build(nnx.Rngs(0))
    >>> model.answers(jnp.array([[1, 9, 2, 0, 0]])).shape
    (1, 5, 3)
    """

    encoder: Transformer
    classes: int
    pad: int = 0  # token id that is no text

    def __post_init__(self) -> None:
        if self.encoder.causal:
            raise ValueError("causal=True: a tagger sees the whole sentence, give it bert(...)")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.encoder.sizes() | {"classes": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TaggingEncoder`."""
        return built(TaggingEncoder, self, rngs.params())


class TaggingEncoder(nnx.Module):
    """The module of `TokenClassifier`: `encoder` and `head`. Letters: B batch, T tokens, C classes."""

    def __init__(self, config: TokenClassifier, rngs: nnx.Rngs) -> None:
        c = config
        self.config = c
        self.encoder = LanguageModel(c.encoder, rngs)
        reads, writes = {"embed": c.encoder.embed}, {"classes": c.classes}
        self.head = Dense(reads, writes, std=c.encoder.init_std, bias=True, rngs=rngs)

    def answers(self, tokens_BT: Int[Array, "B T"], key: jax.Array | None = None) -> Float[Array, "B T C"]:
        """Logits of every token."""
        return self.head(self.encoder.hidden(tokens_BT, mask=tokens_BT != self.config.pad, key=key))

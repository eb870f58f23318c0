"""A text encoder with a classifier on the mean of its tokens, as it is fine-tuned from a few labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import Key, dropout
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class TextClassifier:
    """What a text classifier is: an encoder, which may be pre-trained under the same configuration, and a linear head.

    Raises:
      ValueError: the encoder is a decoder, whose tokens have not seen the whole text.

    >>> from stagejax.models import bert
    >>> model = TextClassifier(bert(layers=1, embed=16, heads=2), classes=3).build(nnx.Rngs(0))
    >>> tokens = jnp.array([[1, 9, 2, 0, 0]])
    >>> model.embeddings(tokens).shape, model.answers(tokens).shape
    ((1, 16), (1, 3))
    """

    encoder: Transformer
    classes: int
    dropout: float = 0.0  # probability; of the vector that the head reads
    pad: int = 0  # token id that is no text

    def __post_init__(self) -> None:
        if self.encoder.causal or not 0.0 <= self.dropout < 1.0:
            raise ValueError(
                f"causal={self.encoder.causal}, dropout={self.dropout}: give it an encoder such as bert(...), and a "
                "probability below 1"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.encoder.sizes() | {"classes": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ClassifyingEncoder`."""
        return built(ClassifyingEncoder, self, rngs.params())


class ClassifyingEncoder(nnx.Module):
    """The module of `TextClassifier`: `encoder` and `head`. Letters: B batch, T tokens, E embed, C classes, V vocab."""

    def __init__(self, config: TextClassifier, rngs: nnx.Rngs) -> None:
        c = config
        self.config = c
        self.encoder = LanguageModel(c.encoder, rngs)
        reads, writes = {"embed": c.encoder.embed}, {"classes": c.classes}
        self.head = Dense(reads, writes, std=c.encoder.init_std, bias=True, rngs=rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T V"]:
        """Logits of the bare encoder for its pre-training, as `LanguageModel` gives them."""
        return self.encoder(tokens_BT, **options)

    def embeddings(self, tokens_BT: Int[Array, "B T"], key: Key | None = None) -> Float[Array, "B E"]:
        """The mean of the stream over the tokens of each text, without padding; the key draws the encoder's dropout."""
        real_BT = tokens_BT != self.config.pad
        x_BTE = self.encoder.hidden(tokens_BT, mask=real_BT, key=key)
        share_BT = real_BT / jnp.maximum(real_BT.sum(1, keepdims=True), 1)
        return (x_BTE * share_BT[..., None].astype(x_BTE.dtype)).sum(1)

    def classify(self, x_BE: Float[Array, "B E"], key: Key | None = None) -> Float[Array, "B C"]:
        """Logits of embeddings; the key draws the head's dropout."""
        return self.head(dropout(x_BE, self.config.dropout, key))

    def answers(self, tokens_BT: Int[Array, "B T"], key: Key | None = None) -> Float[Array, "B C"]:
        """Logits of texts; one key draws all dropout."""
        body, head = (None, None) if key is None else jax.random.split(key)
        return self.classify(self.embeddings(tokens_BT, body), head)

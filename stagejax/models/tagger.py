"""A text encoder with a classifier on every token, as it is fine-tuned to tag words."""

from __future__ import annotations

from dataclasses import dataclass

from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.observed import Observed, observed
from stagejax.models.text_classifier import ClassifyingEncoder, TextClassifier


@dataclass(frozen=True)
class Tagger(TextClassifier):
    """`TextClassifier`, whose head reads every token in the place of the mean.

    Raises:
      ValueError: the encoder is a decoder, whose tokens have not seen the whole text.

    >>> import jax.numpy as jnp
    >>> from stagejax.models import bert
    >>> model = Tagger(bert(layers=1, embed=16, heads=2), classes=3).build(nnx.Rngs(0))
    >>> model.tags(jnp.array([[1, 9, 2, 0, 0]])).shape
    (1, 5, 3)
    """

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TaggingEncoder`."""
        return built(TaggingEncoder, self, rngs.params())


class TaggingEncoder(ClassifyingEncoder):
    """The module of `Tagger`: `encoder` and `head`. Letters: B batch, T tokens, C classes."""

    def tags(self, tokens_BT: Int[Array, "B T"], key: Key | None = None) -> Float[Array, "B T C"]:
        """Logits of every token's tag; padding is not seen. The key draws the encoder's dropout."""
        return self.head(self.encoder.hidden(tokens_BT, mask=tokens_BT != self.config.pad, key=key))

    def observed(self, tokens_BT: Int[Array, "B T"]) -> Observed:
        """States and attentions of the encoder; `head(states[-1])` are the logits that `tags` gives."""
        return observed(self.encoder, tokens_BT, tokens_BT != self.config.pad)

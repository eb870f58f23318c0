"""A text encoder with a classifier on every token, as it is fine-tuned to tag words."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.observed import Observed, observed
from stagejax.models.text.text_classifier import ClassifyingEncoder, TextClassifier


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


@dataclass(frozen=True)
class ChainTagger(Tagger):
    """`Tagger` with a score for every pair of neighbouring tags, as a conditional random field has them.

    >>> import jax.numpy as jnp
    >>> from stagejax.models import bert
    >>> model = ChainTagger(bert(layers=1, embed=16, heads=2), classes=3).build(nnx.Rngs(0))
    >>> model.tags(jnp.array([[1, 9, 2, 0, 0]])).shape, model.moves[...].shape
    ((1, 5, 3), (3, 3))
    """

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return super().sizes() | {"previous": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ChainTaggingEncoder`."""
        return built(ChainTaggingEncoder, self, rngs.params())


class ChainTaggingEncoder(TaggingEncoder):
    """The module of `ChainTagger`: also `moves`, the score of a tag after a tag, which begins at 0."""

    def __init__(self, config: ChainTagger, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs)
        count = config.classes
        self.moves = axes.param(jnp.zeros((count, count)), reads=("previous",), writes=("classes",))

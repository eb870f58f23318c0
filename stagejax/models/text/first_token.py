"""A text encoder with a linear head on its first token, as BERT is fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass

from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.text.text_classifier import ClassifyingEncoder, TextClassifier


@dataclass(frozen=True)
class FirstTokenClassifier(TextClassifier):
    """`TextClassifier`, whose head reads the first token ([CLS]) in the place of the mean.

    Reference: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, section 3.2.

    >>> import jax.numpy as jnp
    >>> from stagejax.models import bert
    >>> model = FirstTokenClassifier(bert(layers=1, embed=16, heads=2), classes=3).build(nnx.Rngs(0))
    >>> model.answers(jnp.array([[1, 9, 2, 0, 0]])).shape
    (1, 3)
    """

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `FirstTokenEncoder`."""
        return built(FirstTokenEncoder, self, rngs.params())


class FirstTokenEncoder(ClassifyingEncoder):
    """The module of `FirstTokenClassifier`."""

    def embeddings(self, tokens_BT: Int[Array, "B T"], key: Key | None = None) -> Float[Array, "B E"]:
        """The stream at the first token; padding is not seen."""
        return self.encoder.hidden(tokens_BT, mask=tokens_BT != self.config.pad, key=key)[:, 0]

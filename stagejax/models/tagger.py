"""A text encoder with a classifier on every token, as it is fine-tuned to tag words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.observed import Observed, observed
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class Tagger:
    """What a tagger is: an encoder, which may be pre-trained under the same configuration, and a linear head.

    Raises:
      ValueError: the encoder is a decoder, whose tokens have not seen the whole text.

    >>> import jax.numpy as jnp
    >>> from stagejax.models import bert
    >>> model = Tagger(bert(layers=1, embed=16, heads=2), classes=3).build(nnx.Rngs(0))
    >>> model.tags(jnp.array([[1, 9, 2, 0, 0]])).shape
    (1, 5, 3)
    """

    encoder: Transformer
    classes: int
    pad: int = 0  # token id that is no text

    def __post_init__(self) -> None:
        if self.encoder.causal:
            raise ValueError("causal=True: give it an encoder such as bert(...), which sees the whole text")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.encoder.sizes() | {"classes": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TaggingEncoder`."""
        return built(TaggingEncoder, self, rngs.params())


class TaggingEncoder(nnx.Module):
    """The module of `Tagger`: `encoder` and `head`. Letters: B batch, T tokens, E embed, C classes, V vocab."""

    def __init__(self, config: Tagger, rngs: nnx.Rngs) -> None:
        c = config
        self.config = c
        self.encoder = LanguageModel(c.encoder, rngs)
        reads, writes = {"embed": c.encoder.embed}, {"classes": c.classes}
        self.head = Dense(reads, writes, std=c.encoder.init_std, bias=True, rngs=rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T V"]:
        """Logits of the bare encoder for its pre-training, as `LanguageModel` gives them."""
        return self.encoder(tokens_BT, **options)

    def tags(self, tokens_BT: Int[Array, "B T"], key: Key | None = None) -> Float[Array, "B T C"]:
        """Logits of every token's tag; padding is not seen. The key draws the encoder's dropout."""
        return self.head(self.encoder.hidden(tokens_BT, mask=tokens_BT != self.config.pad, key=key))

    def observed(self, tokens_BT: Int[Array, "B T"]) -> Observed:
        """States and attentions of the encoder; `head(states[-1])` are the logits that `tags` gives."""
        return observed(self.encoder, tokens_BT, tokens_BT != self.config.pad)

"""Extractive question answering: an encoder that says where an answer begins and where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.text.cross_encoder import shared_tokens
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class SpanReader:
    """An encoder of `[CLS] question [SEP] context [SEP]`, which may be pre-trained under the same configuration.

    Token types tell question and context apart, where the encoder has two of them; one with four is also told which
    tokens stand on both sides, what a large one finds by itself. Without types (RoBERTa, DistilBERT) it has the [SEP].

    Raises:
      ValueError: the encoder is a decoder, or has another number of token types.

    References: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, section 4.2; exact matches as marks: Boualili et
    al. 2020 (MarkedBERT), SIGIR.

    >>> from stagejax.models import bert
    >>> SpanReader(bert(layers=1, embed=16, heads=2, types=2)).sizes()["ends"]
    2
    """

    encoder: Transformer
    pad: int = 0  # token id that is no text

    def __post_init__(self) -> None:
        if self.encoder.causal or self.encoder.types not in (0, 2, 4):
            raise ValueError(
                f"causal={self.encoder.causal}, types={self.encoder.types}: give it an encoder such as bert(...) with "
                "0, 2 or 4 types"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.encoder.sizes() | {"ends": 2}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ReadingEncoder`."""
        return built(ReadingEncoder, self, rngs.params())


class ReadingEncoder(nnx.Module):
    """The module of `SpanReader`: `encoder` and `ends`. Letters: B batch, T tokens, V vocab."""

    def __init__(self, config: SpanReader, rngs: nnx.Rngs) -> None:
        c = config
        self.config = c
        self.encoder = LanguageModel(c.encoder, rngs)
        self.ends = Dense({"embed": c.encoder.embed}, {"ends": 2}, std=c.encoder.init_std, bias=True, rngs=rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T V"]:
        """Logits of the bare encoder for its pre-training, as `LanguageModel` gives them."""
        return self.encoder(tokens_BT, **options)

    def places(
        self, tokens_BT: Int[Array, "B T"], types_BT: Int[Array, "B T"], key: Key | None = None
    ) -> Float[Array, "B T 2"]:
        """Logits of where the answer begins and of where it ends, of every token; padding is not seen."""
        c, options = self.config.encoder, {}
        if c.types:
            marks = 2 * shared_tokens(tokens_BT, types_BT, c.vocab) if c.types == 4 else 0
            options["types"] = types_BT + marks
        return self.ends(self.encoder.hidden(tokens_BT, mask=tokens_BT != self.config.pad, key=key, **options))

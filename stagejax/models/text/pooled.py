"""BERT as it is pre-trained on sentence pairs and fine-tuned: a head on the pooled first token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.text.text_classifier import ClassifyingEncoder, TextClassifier


@dataclass(frozen=True)
class PooledClassifier(TextClassifier):
    """`TextClassifier`, whose head reads tanh(dense([CLS])): the pooler, which pre-training on sentence pairs trains.

    With two classes it is BERT in pre-training: whether the second sentence is a random one, and the language head.

    Reference: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, and its released code.

    >>> from stagejax.models import bert
    >>> model = PooledClassifier(bert(layers=1, embed=16, heads=2, types=2), classes=2).build(nnx.Rngs(0))
    >>> tokens = jnp.array([[1, 9, 2, 8, 2, 0]])
    >>> masked, pair = model.both(tokens, jnp.array([[0, 0, 0, 1, 1, 0]]), places_BM=jnp.array([[1, 3]]))
    >>> masked.shape, pair.shape
    ((1, 2, 512), (1, 2))
    """

    def sizes(self) -> dict[str, int]:
        return super().sizes() | {"pooled": self.encoder.embed}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `PooledEncoder`."""
        return built(PooledEncoder, self, rngs.params())


class PooledEncoder(ClassifyingEncoder):
    """The module of `PooledClassifier`: `encoder`, `pooler` and `head`. Letters: B, T, E, C, V; M masked places."""

    def __init__(self, config: PooledClassifier, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs)
        c = config.encoder
        self.pooler = Dense({"embed": c.embed}, {"pooled": c.embed}, std=c.init_std, bias=True, rngs=rngs)
        self.head = Dense({"pooled": c.embed}, {"classes": config.classes}, std=c.init_std, bias=True, rngs=rngs)

    def embeddings(self, tokens_BT: Int[Array, "B T"], key: Key | None = None) -> Float[Array, "B E"]:
        """The pooled first token of texts that are all of the first type; padding is not seen."""
        return self._pooled(self.encoder.hidden(tokens_BT, mask=tokens_BT != self.config.pad, key=key))

    def both(
        self,
        tokens_BT: Int[Array, "B T"],
        types_BT: Int[Array, "B T"],
        *,
        places_BM: Int[Array, "B M"],
        key: Key | None = None,
    ) -> tuple[Float[Array, "B M V"], Float[Array, "B C"]]:
        """Logits of the language head at some places alone, and those of the pair; the key draws dropout."""
        options: dict[str, Any] = {"types": types_BT} if self.config.encoder.types else {}
        x_BTE = self.encoder.hidden(tokens_BT, mask=tokens_BT != self.config.pad, key=key, **options)
        masked_BME = jnp.take_along_axis(x_BTE, places_BM[..., None], axis=1)
        return self.encoder.logits(masked_BME), self.head(self._pooled(x_BTE))

    def _pooled(self, x_BTE: Float[Array, "B T E"]) -> Float[Array, "B E"]:
        return jnp.tanh(self.pooler(x_BTE[:, 0]))

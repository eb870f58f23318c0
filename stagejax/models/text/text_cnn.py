"""A convolutional text classifier: what the strongest window of each width says."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.block import Key, dropout
from stagejax.models.build import built
from stagejax.models.linear import Dense, Table


@dataclass(frozen=True)
class TextCNN:
    """Embeddings, filters over windows of several widths, ReLU, the largest value of each filter, and a linear head.

    Reference: Kim 2014, https://arxiv.org/abs/1408.5882, section 2.

    Raises:
      ValueError: no widths, one twice, or a dropout that is no probability.

    >>> TextCNN(vocab=100, embed=8, filters=6, classes=3, widths=(2, 3)).sizes()["span.3"]
    3
    """

    vocab: int
    classes: int
    embed: int = 64
    filters: int = 64  # of each width
    widths: tuple[int, ...] = (2, 3, 4)  # tokens of a window
    dropout: float = 0.5  # probability, of what the head reads
    pad: int = 0  # token id that is no text

    def __post_init__(self) -> None:
        if not self.widths or len(set(self.widths)) < len(self.widths) or not 0.0 <= self.dropout < 1.0:
            raise ValueError(
                f"widths={self.widths}, dropout={self.dropout}: give one width or more, all different, and a "
                "probability below 1"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {"vocab": self.vocab, "embed": self.embed, "filters": self.filters, "classes": self.classes}
        return own | {"widths": len(self.widths)} | {f"span.{width}": width for width in self.widths}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ConvolutionalTextClassifier` with its initial parameters, drawn from `rngs.params`."""
        return built(ConvolutionalTextClassifier, self, rngs.params())


class ConvolutionalTextClassifier(nnx.Module):
    """The module of `TextCNN`. A key draws dropout; without one nothing is random.

    Windows that begin behind a text's last token count for nothing, so padding does not change the logits.

    Letters: B batch, T tokens, E embed, W widths, F filters, C classes.

    >>> model = TextCNN(vocab=100, embed=8, filters=6, classes=3).build(nnx.Rngs(0))
    >>> model(jnp.array([[5, 6, 7, 0, 0]])).shape
    (1, 3)
    """

    def __init__(self, config: TextCNN, rngs: nnx.Rngs) -> None:
        self.config = c = config
        self.table = Table("vocab", c.vocab, c.embed, std=c.embed**-0.5, rngs=rngs)
        self.windows = nnx.Dict({str(width): self._filters(width, rngs) for width in c.widths})
        reads = {"widths": len(c.widths), "filters": c.filters}
        self.head = Dense(reads, {"classes": c.classes}, std=(len(c.widths) * c.filters) ** -0.5, bias=True, rngs=rngs)

    def _filters(self, width: int, rngs: nnx.Rngs) -> Dense:
        c = self.config
        reads = {f"span.{width}": width, "embed": c.embed}
        return Dense(reads, {"filters": c.filters}, std=(2 / width) ** 0.5, bias=True, rngs=rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], key: Key | None = None) -> Float[Array, "B C"]:
        return self.head(dropout(self.features(tokens_BT), self.config.dropout, key))

    def features(self, tokens_BT: Int[Array, "B T"]) -> Float[Array, "B W F"]:
        """The largest value of every filter over the windows of a text, at least 0."""
        real_BT = tokens_BT != self.config.pad
        x_BTE = self.table(tokens_BT) * real_BT[..., None]

        def strongest(width: int) -> Array:
            after_BTE = jnp.pad(x_BTE, ((0, 0), (0, width - 1), (0, 0)))
            ahead = [after_BTE[:, i : i + x_BTE.shape[1]] for i in range(width)]
            found_BTF = self.windows[str(width)](jnp.stack(ahead, axis=2))
            return (jax.nn.relu(found_BTF) * real_BT[..., None]).max(1)

        return jnp.stack([strongest(width) for width in self.config.widths], axis=1)

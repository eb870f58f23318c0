"""What decoding asks of a model: an empty cache, and logits of new tokens behind what is cached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Rows(Protocol):
    """A cache, of which `rows` chooses sequences by number."""

    def rows(self, rows_R: Array, /) -> Any: ...


class Rewindable(Rows, Protocol):
    """A cache that can forget its last tokens again, or count some that were stepped on as not counted."""

    def moved(self, by_B: Array, /) -> Any:
        """The cache with so many tokens more in each row, or fewer where negative."""
        ...


@runtime_checkable
class CausalModel(Protocol):
    """`models.LanguageModel` is one; `Recomputed` makes one of any function of whole sequences."""

    def init_cache(self, batch: int, length: int, /) -> Any:
        """Of `batch` sequences that hold nothing yet and take at most `length` tokens."""
        ...

    def step(self, tokens_BT: Any, cache: Any, counts_B: Any = None, /) -> tuple[Any, Any]:
        """Logits (B, T, V) of tokens behind the cached ones, the first `counts_B` of each row real, and the cache."""
        ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Past:
    """The tokens themselves, and what else the function of a row reads."""

    tokens_BS: Any
    lengths_B: Any
    context: Any  # arrays (B, ...)

    def rows(self, rows_R: Int[Array, " R"]) -> Past:
        """Chosen sequences."""
        return jax.tree.map(lambda leaf: leaf[rows_R], self)

    def moved(self, by_B: Int[Array, " B"]) -> Past:
        """With tokens more or fewer in each row, of those that are written."""
        return replace(self, lengths_B=self.lengths_B + by_B)


@dataclass(frozen=True)
class Recomputed:
    """A causal model without a cache: every step runs the whole sequence anew. For encoder-decoders, and for checks.

    Args:
      function: (tokens (B, S), context) -> logits (B, S, V), in which a position sees no later one.
      context: arrays (B, ...) in any pytree that belong to the rows, such as what an encoder gave.

    >>> model = Recomputed(lambda tokens, _: jax.nn.one_hot(tokens + 1, 9))
    >>> logits, cache = model.step(jnp.array([[3, 4]]), model.init_cache(1, 6))
    >>> logits.argmax(-1).tolist(), cache.lengths_B.tolist()
    ([[4, 5]], [2])
    """

    function: Callable[[Array, Any], Array]
    context: Any = None

    def init_cache(self, batch: int, length: int) -> Past:
        """No tokens yet."""
        return Past(jnp.zeros((batch, length), jnp.int32), jnp.zeros(batch, jnp.int32), self.context)

    def step(
        self, tokens_BT: Int[Array, "B T"], cache: Past, counts_B: Int[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B T V"], Past]:
        """As `CausalModel.step`."""
        B, T = tokens_BT.shape
        at_BT = cache.lengths_B[:, None] + jnp.arange(T)
        tokens_BS = cache.tokens_BS.at[jnp.arange(B)[:, None], at_BT].set(tokens_BT, mode="drop")
        logits_BSV = self.function(tokens_BS, cache.context)
        counts_B = jnp.full(B, T, jnp.int32) if counts_B is None else counts_B
        new = replace(cache, tokens_BS=tokens_BS, lengths_B=cache.lengths_B + counts_B.astype(jnp.int32))
        return jnp.take_along_axis(logits_BSV, at_BT[..., None], axis=1, mode="clip"), new

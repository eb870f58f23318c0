"""The keys and values of a causal model's past, as plain data: a cache goes in and another comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cache:
    """Keys and values of every layer (L) for S positions, and how many of them each sequence has filled.

    Rows may have different lengths: everything at or behind a row's length is ignored and overwritten.
    """

    keys_LBSKH: Float[Array, "L B S K H"]
    values_LBSKV: Float[Array, "L B S K V"]
    lengths_B: Int[Array, " B"]

    def write(
        self,
        layer: int | Int[Array, ""],
        positions_BT: Int[Array, "B T"],
        key_BTKH: Float[Array, "B T K H"],
        value_BTKV: Float[Array, "B T K V"],
    ) -> Cache:
        """This cache with the keys and values of one layer at `positions_BT`; those behind its end are dropped."""
        at = (layer, jnp.arange(positions_BT.shape[0])[:, None], positions_BT)
        return replace(
            self,
            keys_LBSKH=self.keys_LBSKH.at[at].set(key_BTKH, mode="drop"),
            values_LBSKV=self.values_LBSKV.at[at].set(value_BTKV, mode="drop"),
        )

    def marked(self, positions_BT: Int[Array, "B T"], marks_BT: Bool[Array, "B T"]) -> Bool[Array, "B S"]:
        """True at the places of this cache where new tokens at `positions_BT` have a mark."""
        none_BS = jnp.zeros(self.keys_LBSKH.shape[1:3], bool)
        return none_BS.at[jnp.arange(positions_BT.shape[0])[:, None], positions_BT].set(marks_BT, mode="drop")

    def rows(self, rows_R: Int[Array, " R"]) -> Cache:
        """The cache of sequences chosen by number, some perhaps several times: n samples of a prompt, beams."""
        keys, values = (leaf.at[:, rows_R].get(mode="clip") for leaf in (self.keys_LBSKH, self.values_LBSKV))
        return Cache(keys, values, self.lengths_B[rows_R])

    def moved(self, by_B: Int[Array, " B"]) -> Cache:
        """The cache with `by_B` positions more in each row, which must be written, or fewer where negative."""
        return replace(self, lengths_B=self.lengths_B + by_B)


def empty_cache(
    layers: int, batch: int, length: int, kv_heads: int, head_dim: int, dtype: jnp.dtype, value_dim: int | None = None
) -> Cache:
    """A cache of `length` positions that holds nothing yet.

    >>> empty_cache(2, 1, 8, 4, 16, jnp.dtype("float32")).keys_LBSKH.shape
    (2, 1, 8, 4, 16)
    """
    shape = (layers, batch, length, kv_heads)
    keys, values = jnp.zeros((*shape, head_dim), dtype), jnp.zeros((*shape, value_dim or head_dim), dtype)
    return Cache(keys, values, jnp.zeros(batch, jnp.int32))

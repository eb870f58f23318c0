"""A memory of features: those of the last images that a slowly moving encoder saw, with their labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes

EMPTY = -1  # the label and the record of a place that holds nothing yet


class Memory(nnx.Variable):
    """What a model remembers; no gradient trains it."""


class FeatureQueue(nnx.Module):
    """A ring of Q features with the label and the record of the image that each is of; the oldest goes first.

    It is part of the model's state: saved, resumed and sharded with it.

    Args:
      size: Q.
      width: coordinates of a feature.

    Reference: He et al. 2019 (MoCo), https://arxiv.org/abs/1911.05722, section 3.2.

    >>> queue = FeatureQueue(3, 2)
    >>> queue.push(jnp.ones((2, 2)), jnp.array([4, 5]), jnp.array([0, 1]))
    >>> queue.label[...].tolist()
    [4, 5, -1]
    """

    def __init__(self, size: int, width: int) -> None:
        self.features = axes.variable(Memory, jnp.zeros((size, width)), writes=("queue", "projection"))
        self.label = axes.variable(Memory, jnp.full(size, EMPTY, jnp.int32), writes=("queue",))
        self.record = axes.variable(Memory, jnp.full(size, EMPTY, jnp.int32), writes=("queue",))
        self.next = axes.variable(Memory, jnp.zeros((), jnp.int32))

    def push(self, features_BD: Float[Array, "B D"], label_B: Int[Array, " B"], record_B: Int[Array, " B"]) -> None:
        """Put a batch in the place of the oldest entries.

        Raises:
          ValueError: the batch is larger than the queue.
        """
        size, rows = self.label[...].shape[0], len(label_B)
        if rows > size:
            raise ValueError(f"a batch of {rows} does not fit into a queue of {size}: make the queue larger")
        places = (self.next[...] + jnp.arange(rows)) % size
        for held, new in ((self.features, features_BD), (self.label, label_B), (self.record, record_B)):
            held[...] = held[...].at[places].set(jax.lax.stop_gradient(new).astype(held[...].dtype))
        self.next[...] = (self.next[...] + rows) % size

    def others(self, record_B: Int[Array, " B"] | None) -> Array:
        """Which entries (B or 1, Q) are there and of another image than each of the batch, whatever view it showed."""
        there = (self.label[...] != EMPTY)[None]
        return there if record_B is None else there & (self.record[...] != record_B[:, None])

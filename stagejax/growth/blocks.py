"""Choices of entries along several dimensions at once, block by block: one pass over memory where XLA makes many.

XLA's code for CPUs weights a concatenation entry by entry, asking for each where it is from: ten times slower than
copying. Blocks that are written into place are weighted on the way, as fast as they are copied. Accelerators, and
arrays in shards, do better with the maps one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.growth.linear import Gather, Linear, spread, weigh

#: A product of more runs than this is no longer worth a program of so many writes.
MOST_BLOCKS = 16


def on_one_cpu(sources: Sequence[Any], sharding: Any) -> bool:
    """Whether arrays lie on one CPU and shall stay there; never known while a program is traced."""
    if any(isinstance(x, jax.core.Tracer) or not isinstance(x, jax.Array | np.ndarray) for x in sources):
        return False
    places = [x.sharding for x in sources if isinstance(x, jax.Array)] + ([] if sharding is None else [sharding])
    devices = {device for place in places for device in place.device_set}
    return len(devices) <= 1 and all(device.platform == "cpu" for device in devices or jax.devices()[:1])


def in_blocks(steps: Sequence[tuple[int, Linear]], x: jax.Array) -> jax.Array | None:
    """`x` with several dimensions mapped, in order, by (dimension, map); None where that is no matter of a few blocks.

    Equal to the maps one after the other, but for the last bit where XLA multiplies two weights first.

    >>> in_blocks([(0, Gather.of([0, 1, 0], 2)), (1, Gather.of([0, 0], 1, [1, 0.5]))], jnp.array([[2.0], [4.0]]))
    Array([[2., 1.],
           [4., 2.],
           [2., 1.]], dtype=float32)
    """
    maps = [(dim, linear) for dim, linear in steps if isinstance(linear, Gather) and linear.layers is None]
    runs = [linear.runs() for _, linear in maps]
    if len(maps) < len(steps) or np.prod([len(found) for found in runs]) > MOST_BLOCKS:
        return None
    shape = list(x.shape)
    for dim, linear in maps:
        shape[dim] = linear.new
    total = jnp.zeros(shape, x.dtype)
    for block in itertools.product(*runs):
        start, stop, place = [0] * x.ndim, list(x.shape), [0] * x.ndim
        for (dim, _), (at, first, size) in zip(maps, block, strict=True):
            start[dim], stop[dim], place[dim] = first, first + size, at
        value = jax.lax.slice(x, start, stop)
        for (dim, linear), (at, _, size) in zip(maps, block, strict=True):
            value = weigh(value, spread(linear.weight[at : at + size], x.ndim, dim, None))
        total = jax.lax.dynamic_update_slice(total, value, place)
    return total

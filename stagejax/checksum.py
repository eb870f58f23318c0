"""Checksums of arrays, made where they lie: the same on every mesh and machine, another one after any changed bit.

On accelerators a compiled program makes them, so that nothing leaves its device; on CPUs numpy, which compiles nothing.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

#: Words that numpy mixes at a time: they stay in the cache.
_WORDS = 1 << 18


def checksum(leaf: jax.Array) -> int:
    """32 bits that depend on every bit of an array and on its place. Sums of integers have no order to depend on.

    >>> a = jnp.arange(6.0).reshape(2, 3)
    >>> checksum(a) == checksum(a + 0), checksum(a) == checksum(a.at[0, 0].set(-0.0))
    (True, False)
    """
    if leaf.is_fully_addressable and all(device.platform == "cpu" for device in leaf.devices()):
        return on_host(np.asarray(leaf))
    return int(on_devices(leaf))


def on_host(leaf: np.ndarray) -> int:
    """The checksum of an array of this process."""
    words = _words(np.ascontiguousarray(leaf), np).reshape(-1)
    places = np.arange(_WORDS, dtype=np.uint32)
    total = 0
    for at in range(0, words.size, _WORDS):
        some = words[at : at + _WORDS]
        total += int(_mixed(some, places[: some.size] + np.uint32(at % 2**32)).sum(dtype=np.uint32))
    return total % 2**32


@jax.jit
def on_devices(leaf: jax.Array) -> jax.Array:
    """The checksum of an array that may lie on the devices of several processes."""
    words = _words(leaf, jnp)
    places, stride = jnp.zeros((), jnp.uint32), 1
    for dim in reversed(range(words.ndim)):
        places = places + jax.lax.broadcasted_iota(jnp.uint32, words.shape, dim) * jnp.uint32(stride % 2**32)
        stride *= words.shape[dim]
    return _mixed(words, places).sum(dtype=jnp.uint32)


def _mixed(words: Any, places: Any) -> Any:
    """Words stirred with their places, by steps that can each be undone: those at the end of murmur3."""
    mixed = words + places * np.uint32(0x9E3779B9)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return mixed


def _words(leaf: Any, of: Any) -> Any:
    """The bits of an array as words of 32, one or two a number."""
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        return of.stack([_words(leaf.real, of), _words(leaf.imag, of)])
    size = leaf.dtype.itemsize
    if size < 4 and not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf.astype(np.uint32)
    whole = {1: np.uint8, 2: np.uint16}.get(size, np.uint32)
    bits = np.ascontiguousarray(leaf).view(whole) if of is np else jax.lax.bitcast_convert_type(leaf, whole)
    return bits.astype(np.uint32)

"""Index draws: which old entry each new one copies. The old entries come first, unmoved.

A draw is a plain function (old, new, seed) -> (new,) indices. Draws use NumPy's frozen `RandomState` stream, so that a
growth means the same for ever.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

Draw = Callable[[int, int, tuple[int, ...]], np.ndarray]


def cyclic(old: int, new: int, seed: tuple[int, ...] = ()) -> np.ndarray:
    """From the first to the last, again and again: j mod old.

    >>> cyclic(3, 8)
    array([0, 1, 2, 0, 1, 2, 0, 1])
    """
    return np.arange(new) % old


def uniform(old: int, new: int, seed: tuple[int, ...] = (0,)) -> np.ndarray:
    """New entries copy old ones drawn with replacement. Net2Net (arXiv 1511.05641), equation 2."""
    rng = np.random.RandomState(np.asarray(seed, np.uint32))
    return np.concatenate([np.arange(old), rng.randint(0, old, new - old)])


def balanced(old: int, new: int, seed: tuple[int, ...] = (0,)) -> np.ndarray:
    """New entries copy old ones in random order, none twice before all once, so that whole multiples are exact."""
    rng = np.random.RandomState(np.asarray(seed, np.uint32))
    rounds = [rng.permutation(old) for _ in range(-(-(new - old) // old))]
    return np.concatenate([np.arange(old), *rounds])[:new]


def seed_of(seed: int, axis: str, *more: int) -> tuple[int, ...]:
    """The seed of one axis (and layer), from an operator's seed.

    >>> seed_of(0, "embed") == seed_of(0, "mlp")
    False
    """
    return (seed, zlib.crc32(axis.encode()), *more)

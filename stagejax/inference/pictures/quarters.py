"""Pictures as bytes and as numbers, in quarters, and how far luck reaches: for judges of pictures of several things."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, UInt8

from stagejax.models.patches import patches_of

Arrays = dict[str, np.ndarray]


def as_bytes(pictures: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Numbers from 0 to 1, what is beyond cut off, as bytes.

    >>> as_bytes(np.array([0.0, 0.5, 1.2])).tolist()
    [0, 128, 255]
    """
    return np.rint(255 * np.clip(pictures, 0, 1)).astype(np.uint8)


def real(pictures: UInt8[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Bytes as numbers from 0 to 1."""
    return pictures.astype(np.float32) / np.float32(255)


def quarters(pictures: np.ndarray) -> np.ndarray:
    """The four quarters of each picture, row by row: (n, s, s, c) to (4 n, s / 2, s / 2, c).

    >>> quarters(np.arange(4).reshape(1, 2, 2, 1)).ravel().tolist()
    [0, 1, 2, 3]
    """
    cut = patches_of(pictures, pictures.shape[1] // 2)
    return cut.reshape(-1, *cut.shape[2:])


def next_of_kind(made: Arrays, kind: str) -> Arrays:
    """The rows in another order: in the place of each row the next one of its kind, around.

    A picture that is judged by another row's wishes is right by luck.

    Args:
      kind: the field that says of which kind a row is.

    >>> next_of_kind({"kind": np.array([0, 1, 0]), "x": np.array([5, 6, 7])}, "kind")["x"].tolist()
    [7, 6, 5]
    """
    rows = np.arange(len(made[kind]))
    for number in np.unique(made[kind]):
        own = np.flatnonzero(made[kind] == number)
        rows[own] = np.roll(own, -1)
    return {name: x[rows] for name, x in made.items()}

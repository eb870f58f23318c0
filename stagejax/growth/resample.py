"""Another resolution: position tables and patch kernels resampled, for larger images or longer texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stagejax.growth.linear import Dense
from stagejax.growth.maps import Map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed
from stagejax.growth.term import Term

Method = Literal["linear", "cubic"]


@dataclass(frozen=True)
class Resample(Operator):
    """Positions as samples of a function of place, patch kernels as filters, at another number of samples.

    On a grid, positions are those of a square image behind one class token or more, which keep theirs. A patch kernel
    moves by the dual D = B (BᵀB)⁻¹ of the matrix B that resizes a patch, so that a larger patch gives exactly what the
    patch that it was resized from gave (Beyer et al. 2022, FlexiViT, arXiv 2212.08013, section 3.4). Positions:
    Dosovitskiy et al. 2020 (arXiv 2010.11929), section 3.2.

    >>> Resample().terms({"position": 2}, {"position": 4})[0].maps["position"].write.matrix[:, 0]
    array([1.  , 0.75, 0.25, 0.  ])
    """

    shrinks = True
    method: Method = "linear"
    grid: bool = False  # positions of an image, row by row

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One map for each axis of another size."""
        maps = {axis: self._places(axis, old[axis], new[axis]) for axis in changed(old, new, ("position",))}
        for axis in changed(old, new, ("patch_row", "patch_column")):
            image = Dense(resize_matrix(old[axis], new[axis], self.method))
            maps[axis] = Map(image, image.dual(), image, image, image, tied=np.ones(new[axis]))
        return [Term("small", maps)]

    def _places(self, axis: str, old: int, new: int) -> Map:
        if not self.grid:
            matrix = resize_matrix(old, new, self.method)
        else:
            (side, first), (wanted, others) = divided(old), divided(new)
            if first != others:
                raise GrowthError(
                    f"{self}: {axis!r} goes {old} -> {new}, which is {side} x {side} places behind {first} tokens, and "
                    f"{wanted} x {wanted} behind {others}. Keep the number of tokens that are no patches, or set "
                    "grid=False."
                )
            line = resize_matrix(side, wanted, self.method)
            matrix = np.zeros((new, old))
            matrix[:first, :first], matrix[first:, first:] = np.eye(first), np.kron(line, line)
        place = Dense(matrix)
        return Map(place, place, place, place, place, tied=np.ones(new))


def divided(positions: int) -> tuple[int, int]:
    """The side of the largest square of positions, and the tokens before it.

    >>> divided(197)
    (14, 1)
    """
    side = math.isqrt(positions)
    return side, positions - side * side


def resize_matrix(old: int, new: int, method: str) -> np.ndarray:
    """(new, old): what resizes a line of samples, as `jax.image.resize` does; smoothed where it shrinks.

    Samples stand in the middle of equal parts of the line. "cubic" is Keys' kernel with a = -1/2.

    Raises:
      ValueError: an unknown method.

    >>> resize_matrix(2, 3, "linear")
    array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ]])
    """
    if method not in KERNELS:
        raise ValueError(f"method={method!r} is unknown: choose one of {sorted(KERNELS)}")
    at = (np.arange(new) + 0.5) * old / new - 0.5
    distance = np.abs(at[:, None] - np.arange(old)) / max(1.0, old / new)
    weight = KERNELS[method](distance)
    return weight / weight.sum(1, keepdims=True)


def _linear(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - x)


def _cubic(x: np.ndarray) -> np.ndarray:
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


KERNELS = {"linear": _linear, "cubic": _cubic}

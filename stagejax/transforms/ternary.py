"""Ternary weights: each row's minimum, 0 and its maximum.

Reference: Frantar and Alistarh 2023 (QMoE), https://arxiv.org/abs/2310.16795, section 3.2, and its released code.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8

from stagejax.transforms.compensation import Choice, State, compensated


@dataclass(frozen=True)
class Ternary(Choice):
    """min where w < min / 2, max where w > max / 2, else 0; min <= 0 <= max are those of the row before the pass.

    With `compensated` and a factor this is QMoE's pass, with the identity rounding to nearest.
    """

    def begin(self, weight_OI: Array) -> State:
        """The two values of each row, -1 and 1 for a row of zeros."""
        low_O, high_O = jnp.minimum(weight_OI.min(1), 0), jnp.maximum(weight_OI.max(1), 0)
        none_O = (low_O == 0) & (high_O == 0)
        return jnp.where(none_O, -1, low_O), jnp.where(none_O, 1, high_O)

    def value(self, state: State, w_O: Array, j: Array) -> Array:
        """The nearest of the three."""
        low_O, high_O = state
        return jnp.where(w_O > high_O / 2, high_O, 0) + jnp.where(w_O < low_O / 2, low_O, 0)


def ternary(weight_OI: Float[Array, "O I"]) -> Float[Array, "O I"]:
    """Rounding to nearest: what QMoE's pass is measured against.

    >>> ternary(jnp.array([[4.0, 1.0, -1.0, -2.0]])).tolist()
    [[4.0, 0.0, 0.0, -2.0]]
    """
    return compensated(weight_OI, jnp.eye(weight_OI.shape[1], dtype=weight_OI.dtype), Ternary())


def symbol_rows(kernel: Float[np.ndarray, "*stack I O"]) -> Int8[np.ndarray, "rows I"]:
    """What is to be stored of ternary kernels, a row for each output: 0 for 0, 1 for a negative, 2 for a positive one.

    >>> symbol_rows(np.array([[4.0, 0.0], [0.0, -2.0]])).tolist()
    [[2, 0], [0, 1]]
    """
    rows = np.swapaxes(np.asarray(kernel), -1, -2).reshape(-1, kernel.shape[-2])
    return np.where(rows > 0, 2, np.where(rows < 0, 1, 0)).astype(np.int8)

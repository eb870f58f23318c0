"""SparseGPT: one-shot pruning by what the layer's error grows by, with the columns behind making up for it.

Beside it magnitude pruning, layer by layer. Weights are (outputs, inputs); letters as in `compensation`.

Reference: Frantar and Alistarh 2023, https://arxiv.org/abs/2301.00774, algorithm 1 and section 3.4 (n:m).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagejax.transforms.compensation import Choice, State, compensated, dead_columns, inverse_factor
from stagejax.transforms.importance import largest
from stagejax.transforms.prune import by_magnitude


def kept_of_least(scores: Float[Array, "*stack M"], zeros: int) -> Bool[Array, "*stack M"]:
    """True but at the `zeros` smallest scores of each group; of equals the later ones go first.

    >>> kept_of_least(jnp.array([[3.0, 1.0, 2.0, 4.0]]), 2).tolist()
    [[True, False, False, True]]
    """
    size = scores.shape[-1]
    return largest(scores[..., None], (size - zeros) / size)[..., 0]


@dataclass(frozen=True)
class Unstructured(Choice):
    """A share of each block of columns is set to 0: the entries of smallest w² / U_jj² among all rows of the block.

    With a `grid` what stays is also rounded, in the same pass.

    Raises:
      ValueError: the sparsity is no share below 1.
    """

    sparsity: float
    grid: Choice | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity={self.sparsity} is no share of the weights: choose 0 <= sparsity < 1")

    def check(self, inputs: int, block: int) -> None:
        """Raises: ValueError: the grid does not fit."""
        if self.grid is not None:
            self.grid.check(inputs, block)

    def begin(self, weight_OI: Array) -> State:
        """The grid's own."""
        return (), self.grid.begin(weight_OI) if self.grid else ()

    def block(self, state: State, now_OK: Array, diagonal_K: Array) -> State:
        """The block's mask."""
        kept_OK = largest((now_OK / diagonal_K) ** 2, 1 - self.sparsity, within="tensor")
        return kept_OK, self.grid.block(state[1], now_OK, diagonal_K) if self.grid else ()

    def column(self, state: State, now_OK: Array, diagonal_K: Array, j: Array) -> State:
        """As the grid has it."""
        return state[0], self.grid.column(state[1], now_OK, diagonal_K, j) if self.grid else ()

    def value(self, state: State, w_O: Array, j: Array) -> Array:
        """0 where the mask is not, else the weight, or the point of the grid next to it."""
        kept_O = jnp.where(state[0][:, j], w_O, 0)
        return self.grid.value(state[1], kept_O, j) if self.grid else kept_O


@dataclass(frozen=True)
class SemiStructured(Choice):
    """n:m sparsity: of every m columns in a row, each row keeps all but the `zeros` of smallest w² / U_jj².

    A group is chosen when its first column's turn comes, from the weights as they are by then.

    Raises:
      ValueError: m does not divide the inputs or the block; no zero, or nothing else.
    """

    zeros: int = 2
    of: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.zeros < self.of:
            raise ValueError(f"zeros={self.zeros} of={self.of}: need 0 < zeros < of")

    def check(self, inputs: int, block: int) -> None:
        """Raises: ValueError: m does not divide the sizes."""
        if inputs % self.of or block % self.of:
            raise ValueError(f"of={self.of} does not divide inputs={inputs} and block={block}: choose sizes it divides")

    def block(self, state: State, now_OK: Array, diagonal_K: Array) -> State:
        """All is kept before the first group is chosen."""
        return jnp.ones(now_OK.shape, bool)

    def column(self, state: State, now_OK: Array, diagonal_K: Array, j: Array) -> State:
        """The mask with that of the group that begins at column j, if one does."""

        def chosen(kept_OK: Array) -> Array:
            scores_OM = jax.lax.dynamic_slice_in_dim((now_OK / diagonal_K) ** 2, j, self.of, axis=1)
            return jax.lax.dynamic_update_slice_in_dim(kept_OK, kept_of_least(scores_OM, self.zeros), j, axis=1)

        return jax.lax.cond(j % self.of == 0, chosen, lambda kept_OK: kept_OK, state)

    def value(self, state: State, w_O: Array, j: Array) -> Array:
        """0 where the mask is not."""
        return jnp.where(state[:, j], w_O, 0)


Pruning = Unstructured | SemiStructured


def sparsegpt(
    weight_OI: Float[Array, "O I"], hessian_II: Float[Array, "I I"], choice: Any, damping: float = 0.01
) -> Float[Array, "O I"]:
    """The layer pruned by a choice (or rounded: GPTQ), from H of what it reads.

    Weights of dead columns become 0.

    Raises:
      ValueError: see `inverse_factor` and `compensated`.

    >>> H = jnp.array([[2.0, 1.0], [1.0, 2.0]])
    >>> sparsegpt(jnp.array([[1.0, 4.0]]), H, Unstructured(0.5), damping=0.0).round(2).tolist()
    [[0.0, 4.5]]
    """
    factor_II = inverse_factor(hessian_II, damping)
    return compensated(weight_OI, factor_II, choice, dead_I=dead_columns(hessian_II))


def magnitude(weight_OI: Float[Array, "O I"], choice: Pruning) -> Float[Array, "O I"]:
    """The baseline: the smallest |w| of the layer, or of each group of m in a row, become 0; nothing else moves.

    >>> magnitude(jnp.array([[1.0, -4.0], [3.0, 2.0]]), Unstructured(0.5)).tolist()
    [[0.0, -4.0], [3.0, 0.0]]
    >>> magnitude(jnp.array([[1.0, -4.0, 3.0, 2.0]]), SemiStructured()).tolist()
    [[0.0, -4.0, 3.0, 0.0]]
    """
    if isinstance(choice, Unstructured):
        return jnp.where(by_magnitude(weight_OI, choice.sparsity), weight_OI, 0)
    choice.check(weight_OI.shape[1], choice.of)
    groups = jnp.abs(weight_OI).reshape(len(weight_OI), -1, choice.of)
    return jnp.where(kept_of_least(groups, choice.zeros).reshape(weight_OI.shape), weight_OI, 0)

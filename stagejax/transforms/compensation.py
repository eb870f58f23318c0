"""Compression of a linear layer with error feedback: what one column loses, the columns behind it make up for.

A layer is y = W x, with W (outputs, inputs) as in the papers; what makes it small is a `Choice` of one column's values
from what the column is by then. Letters: O outputs, I inputs, N tokens, K columns of a block.

References: Frantar et al. 2022 (GPTQ), https://arxiv.org/abs/2210.17323, algorithm 1; Frantar and Alistarh 2023
(SparseGPT), https://arxiv.org/abs/2301.00774, algorithm 1; both after LeCun et al. 1990 and Hassibi et al. 1993 (OBS).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

State = Any


def second_moment(x_NI: Float[Array, "N I"], counted_N: Bool[Array, " N"]) -> tuple[Array, Array]:
    """Σ x xᵀ over the counted tokens (I, I), and how many they are; sums over batches are those of all tokens.

    >>> sums, count = second_moment(jnp.array([[1.0, 2.0], [9.0, 9.0]]), jnp.array([True, False]))
    >>> sums.tolist(), int(count)
    ([[1.0, 2.0], [2.0, 4.0]], 1)
    """
    own_NI = jnp.where(counted_N[:, None], x_NI, 0).astype(jnp.promote_types(x_NI.dtype, jnp.float32))
    return own_NI.T @ own_NI, counted_N.sum()


def hessian(sums_II: Float[Array, "I I"], count: Int[Array, ""] | int) -> Float[Array, "I I"]:
    """H = (2 / n) Σ x xᵀ, that of the layer's squared error in each row of W; the identity where nothing was counted.

    >>> hessian(jnp.full((1, 1), 6.0), 3).tolist(), hessian(jnp.zeros((1, 1)), 0).tolist()
    ([[4.0]], [[1.0]])
    """
    return jnp.where(count > 0, 2 * sums_II / jnp.maximum(count, 1), jnp.eye(len(sums_II), dtype=sums_II.dtype))


def dead_columns(hessian_II: Float[Array, "I I"]) -> Bool[Array, " I"]:
    """Inputs that were never other than 0, H_jj = 0: their weights do nothing on this data.

    >>> dead_columns(jnp.diag(jnp.array([2.0, 0.0]))).tolist()
    [False, True]
    """
    return jnp.diagonal(hessian_II) == 0


def inverse_factor(hessian_II: Float[Array, "I I"], damping: float = 0.01) -> Float[Array, "I I"]:
    """U, upper triangular, with Uᵀ U = (H + damping · mean(diag H) · 1)⁻¹; dead columns count as H_jj = 1.

    Row i of U is, but for a factor, how the columns behind i answer a change of column i when those before are fixed;
    U_ii² is the i-th diagonal entry of the inverse of H without its first i rows and columns.

    Raises:
      ValueError: a negative damping.

    >>> U = inverse_factor(jnp.array([[2.0, 1.0], [1.0, 2.0]]), damping=0.0)
    >>> jnp.allclose(U.T @ U, jnp.linalg.inv(jnp.array([[2.0, 1.0], [1.0, 2.0]])), atol=1e-6).item(), float(U[1, 0])
    (True, 0.0)
    """
    if damping < 0:
        raise ValueError(f"damping={damping} is a share of the mean of H's diagonal: at least 0")
    alive_II = hessian_II + jnp.diag(dead_columns(hessian_II).astype(hessian_II.dtype))
    eye_II = jnp.eye(len(hessian_II), dtype=hessian_II.dtype)
    damped_II = alive_II + damping * jnp.diagonal(alive_II).mean() * eye_II
    # H = R Rᵀ with R upper is the Cholesky factorisation in reverse order, and U = R⁻¹: no inverse is factored.
    upper_II = jnp.linalg.cholesky(damped_II[::-1, ::-1])[::-1, ::-1]
    return jax.scipy.linalg.solve_triangular(upper_II, eye_II, lower=False)


class Choice:
    """How the values of a column are chosen. A frozen dataclass; its state is a pytree and may change as columns go by.

    `scores` of a column in all that prune: w² / U_jj², what the layer's squared error grows by, doubled.
    """

    def check(self, inputs: int, block: int) -> None:
        """Raises: ValueError: the choice does not fit a layer with so many inputs, or blocks of such a size."""

    def begin(self, weight_OI: Array) -> State:
        """What is known before the first column."""
        return ()

    def block(self, state: State, now_OK: Array, diagonal_K: Array) -> State:
        """What is known before the first column of a block, of which `now_OK` are the weights by then."""
        return state

    def column(self, state: State, now_OK: Array, diagonal_K: Array, j: Array) -> State:
        """What is known before column j of the block."""
        return state

    def value(self, state: State, w_O: Array, j: Array) -> Array:
        """What stands in the place of the column `w_O`."""
        raise NotImplementedError(f"{type(self).__name__} chooses no value")


def compensated(
    weight_OI: Float[Array, "O I"],
    factor_II: Float[Array, "I I"],
    choice: Choice,
    *,
    dead_I: Bool[Array, " I"] | None = None,
    block: int = 128,
) -> Float[Array, "O I"]:
    """The chosen weights, column by column: e = (w - q) / U_ii, then W_:,i.. -= e U_i,i.. for the columns behind.

    Within a block the update is made at once, behind it once a block for all of its columns: the same result with
    fewer passes over W. With the identity as factor nothing is fed back: rounding, or magnitude pruning.

    Args:
      weight_OI: a row for each output.
      factor_II: as `inverse_factor` gives it.
      choice: of values.
      dead_I: columns whose weights are set to 0 first.
      block: columns of a block.

    Raises:
      ValueError: the choice does not fit the sizes.

    >>> from stagejax.transforms.sparsegpt import Unstructured
    >>> H = jnp.array([[2.0, 1.0], [1.0, 2.0]])
    >>> compensated(jnp.array([[1.0, 4.0]]), inverse_factor(H, 0.0), Unstructured(0.5)).round(2).tolist()
    [[0.0, 4.5]]
    """
    inputs = weight_OI.shape[1]
    choice.check(inputs, block)
    weight_OI = weight_OI if dead_I is None else jnp.where(dead_I, 0, weight_OI)
    state, found = choice.begin(weight_OI), []
    for start in range(0, inputs, block):
        now_OK, behind = weight_OI[:, start : start + block], slice(start + block, None)
        own_KK = factor_II[start : start + block, start : start + block]
        state, chosen_OK, errors_OK = _one_block(state, now_OK, own_KK, choice)
        weight_OI = weight_OI.at[:, behind].add(-errors_OK @ factor_II[start : start + block, behind])
        found.append(chosen_OK)
    return jnp.concatenate(found, axis=1)


def _one_block(state: State, now_OK: Array, own_KK: Array, choice: Choice) -> tuple[State, Array, Array]:
    """The state behind a block, its chosen values, and its errors over U's diagonal."""
    diagonal_K = jnp.diagonal(own_KK)

    def one(j: Array, carry: Any) -> Any:
        state, now_OK, chosen_OK, errors_OK = carry
        state = choice.column(state, now_OK, diagonal_K, j)
        q_O = choice.value(state, now_OK[:, j], j)
        e_O = (now_OK[:, j] - q_O) / diagonal_K[j]
        now_OK = now_OK - e_O[:, None] * own_KK[j]  # U is upper: nothing before column j moves
        return state, now_OK, chosen_OK.at[:, j].set(q_O), errors_OK.at[:, j].set(e_O)

    begin = (choice.block(state, now_OK, diagonal_K), now_OK, jnp.zeros_like(now_OK), jnp.zeros_like(now_OK))
    state, _, chosen_OK, errors_OK = jax.lax.fori_loop(0, now_OK.shape[1], one, begin)
    return state, chosen_OK, errors_OK


def layer_error(
    before_OI: Float[Array, "O I"], after_OI: Float[Array, "O I"], hessian_II: Float[Array, "I I"]
) -> Float[Array, ""]:
    """‖(W - W') X‖² over ‖W X‖², from H alone.

    >>> round(float(layer_error(jnp.array([[3.0, 4.0]]), jnp.array([[3.0, 0.0]]), jnp.eye(2))), 4)
    0.64
    """
    lost_OI = before_OI - after_OI
    return jnp.sum(lost_OI @ hessian_II * lost_OI) / jnp.maximum(jnp.sum(before_OI @ hessian_II * before_OI), 1e-30)

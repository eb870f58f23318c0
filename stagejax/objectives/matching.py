"""Distillation of what lies inside: a student's attention distributions and states against a deeper teacher's.

Student and teacher have L and f L layers. Layer i of the student, from 1, is matched to layer f i of the teacher; state
0, behind the embeddings, to state 0.

Letters: L layers of the student, M = f L of the teacher, B batch, N heads, T tokens or queries, S keys, E embed.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def attention_mse(
    student_LBNTS: Float[Array, "L B N T S"], teacher_MBNTS: Float[Array, "M B N T S"]
) -> Float[Array, ""]:
    """The mean over layers of the mean squared difference, over entries where the teacher's is not exactly 0.

    Raises:
      ValueError: the student's layers do not divide the teacher's.

    Reference: Ansell et al. 2023, https://arxiv.org/abs/2306.01709, section 3.

    >>> teacher = jnp.array([0.5, 0.5, 0.0]).reshape(1, 1, 1, 1, 3)
    >>> round(float(attention_mse(jnp.array([0.3, 0.5, 0.2]).reshape(1, 1, 1, 1, 3), teacher)), 4)
    0.02
    """
    factor = _factor(len(student_LBNTS), len(teacher_MBNTS))
    matched = teacher_MBNTS[factor - 1 :: factor]
    seen = matched != 0
    square = jnp.where(seen, (student_LBNTS - matched) ** 2, 0)
    layers = tuple(range(1, square.ndim))
    return (square.sum(layers) / jnp.maximum(seen.sum(layers), 1)).mean()


def state_mse(
    student_SBTE: Float[Array, "L1 B T E"], teacher_SBTE: Float[Array, "M1 B T E"], weights_BT: Float[Array, "B T"]
) -> Float[Array, ""]:
    """The mean over states, that of the embeddings among them, of the mean squared difference over weighted tokens.

    Args:
      student_SBTE, teacher_SBTE: the states 0, ..., L and 0, ..., M.
      weights_BT: 1 at tokens, 0 at padding.

    Raises:
      ValueError: the student's layers do not divide the teacher's.

    Reference: Ansell et al. 2023, https://arxiv.org/abs/2306.01709, section 3.

    >>> teacher = jnp.arange(5.0).reshape(5, 1, 1, 1)
    >>> round(float(state_mse(jnp.zeros((3, 1, 1, 1)), teacher, jnp.ones((1, 1)))), 3)  # of states 0, 2 and 4
    6.667
    """
    factor = _factor(len(student_SBTE) - 1, len(teacher_SBTE) - 1)
    square = ((student_SBTE - teacher_SBTE[::factor]) ** 2).mean((0, -1))
    return (square * weights_BT).sum() / jnp.maximum(weights_BT.sum(), 1)


def _factor(layers: int, of_teacher: int) -> int:
    if of_teacher % layers:
        raise ValueError(f"a student of {layers} layers, a teacher of {of_teacher}: the first must divide the second")
    return of_teacher // layers

"""Context parallelism: tokens of one sample on several devices, along the mesh axis `sequence`."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jaxtyping import Array, Float

from stagejax.axes import split_over

#: The mesh axis along which the tokens of a sample lie.
SEQUENCE = "sequence"


def along_sequence(
    x: Float[Array, "..."], dim: int, together: Sequence[str] = (), *, whole: bool = False
) -> Float[Array, "..."]:
    """The same array with dimension `dim` split over the mesh axis `sequence`; without such an axis, as it is.

    What the other dimensions are split over is left to the compiler. Queries that are split and keys that are whole
    make full attention of which every device computes its own rows, from keys and values gathered once.

    Args:
      together: mesh axes over which `dim` is split as well and before, such as those of the batch where frames of all
        samples are one dimension.
      whole: every device along `sequence` has all of `dim` instead.

    Reference: Llama Team 2024, https://arxiv.org/abs/2407.21783, section 3.3.2 (keys and values are gathered).

    >>> import jax.numpy as jnp
    >>> along_sequence(jnp.ones((2, 6, 4)), 1).shape
    (2, 6, 4)
    """
    mesh = jax.typeof(x).sharding.mesh
    if SEQUENCE not in mesh.shape:
        return x
    axes = (*(axis for axis in together if axis in mesh.shape), *(() if whole else (SEQUENCE,)))
    return split_over(x, dim, mesh, axes)

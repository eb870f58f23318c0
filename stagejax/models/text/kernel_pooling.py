"""Kernel pooling: how often a query's terms are met in a document at each level of similarity, differentiably."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@dataclass(frozen=True)
class Kernels:
    """Gaussian kernels over cosines: one for exact matches, the others at even distances.

    >>> kernels = Kernels()
    >>> len(kernels.means), kernels.means[0], kernels.widths[0], kernels.means[-1]
    (11, 1.0, 0.001, -0.9)
    """

    means: tuple[float, ...] = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, -0.1, -0.3, -0.5, -0.7, -0.9)
    widths: tuple[float, ...] = (0.001, *(0.1,) * 10)

    def __post_init__(self) -> None:
        if len(self.means) != len(self.widths) or not all(width > 0 for width in self.widths):
            raise ValueError(f"{len(self.means)} means and widths {self.widths}: give each mean a positive width")


def pooled(
    cosines: Float[Array, "*rest Q I"], query: Bool[Array, "*#rest Q"], item: Bool[Array, "*#rest I"], kernels: Kernels
) -> Float[Array, "*rest kernels"]:
    """`0.01 · sum_q ln(max(1e-10, sum_i exp(-(cosines[q, i] - mean)² / (2 width²))))` for each kernel.

    Args:
      query, item: which of the terms are no padding.

    Reference: Xiong et al. 2017 (K-NRM), https://arxiv.org/abs/1706.06613, equations 3 to 5.

    >>> one = jnp.ones(1, bool)
    >>> pooled(jnp.ones((1, 1)), one, one, Kernels((1.0, 0.0), (0.001, 0.5))).round(4).tolist()
    [0.0, -0.019999999552965164]
    """
    wide = cosines.astype(jnp.promote_types(cosines.dtype, jnp.float32))

    def one(mean: float, width: float) -> Array:
        near = jnp.exp(-jnp.square(wide - mean) / (2 * width**2))
        met = jnp.where(item[..., None, :], near, 0.0).sum(-1)
        return 0.01 * jnp.where(query, jnp.log(jnp.maximum(met, 1e-10)), 0.0).sum(-1)

    # One sum at a time: with a trailing axis of kernels the compiler keeps them all, which is ten times slower.
    return jnp.stack([one(*kernel) for kernel in zip(kernels.means, kernels.widths, strict=True)], axis=-1)

"""The low frequencies of images: as smaller images that hold nothing else, or as images of the old size."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def fourier_crop(images_BYXP: Float[Array, "B Y X P"], side: int) -> Float[Array, "B side side P"]:
    """Images of `side` x `side` pixels whose spectrum is the block of lowest frequencies of the given ones.

    With F the discrete Fourier transform, and its frequencies -side/2 .. side/2 - 1 along rows and columns,

        (side² / (Y X)) Re F⁻¹ crop(F images),

    so that means are kept. Nothing above the band is aliased into it, which is the difference to resizing. As crop and
    transforms are linear and work on rows and columns alone, the whole is C image Cᵀ with a small complex matrix C for
    each of the two: two matrix products of real parts, and two of imaginary ones, which stem from the frequency -side/2
    alone, as it has no partner in the band.

    Args:
      side: even, and at most the number of rows and of columns; images of that size are returned as they are.

    Raises:
      ValueError: it is not.

    Reference: Wang et al. 2023, EfficientTrain, https://arxiv.org/abs/2211.09703, section 4.1.

    >>> fourier_crop(jnp.full((1, 8, 8, 3), 0.5), 4)[0, :, :, 0].round(3)
    Array([[0.5, 0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5, 0.5]], dtype=float32)
    """
    return _seen(images_BYXP, side, None)


def low_pass(images_BYXP: Float[Array, "B Y X P"], side: int) -> Float[Array, "B Y X P"]:
    """The same band in images of the old size: all other frequencies are zero.

    Raises:
      ValueError: `side` is odd, or larger than the images.

    >>> stripes = jnp.tile(jnp.array([1.0, -1.0]), 4).reshape(1, 1, 8, 1).repeat(8, axis=1)
    >>> float(abs(low_pass(stripes, 4)).max()) < 1e-6
    True
    """
    return _seen(images_BYXP, side, images_BYXP.shape[1:3])


def resized(images_BYXP: Float[Array, "B Y X P"], side: int) -> Float[Array, "B side side P"]:
    """As small by linear interpolation, smoothed before: what a crop of the spectrum is held against.

    >>> resized(jnp.full((1, 8, 8, 3), 0.5), 4).shape
    (1, 4, 4, 3)
    """
    B, _, _, P = images_BYXP.shape
    return jax.image.resize(images_BYXP, (B, side, side, P), "linear")


def band_matrix(old: int, side: int, new: int) -> np.ndarray:
    """C (new, old), complex: a line of `old` samples at `new` equal steps, by its frequencies -side/2 .. side/2 - 1.

    C[i, j] = (1 / old) Σ_k exp(2πi k (i / new - j / old)).

    >>> bool(np.allclose(band_matrix(4, 4, 4), np.eye(4)))
    True
    """
    k = np.arange(-(side // 2), side // 2)
    apart = np.arange(new)[:, None] / new - np.arange(old) / old
    return np.exp(2j * np.pi * k * apart[..., None]).sum(-1) / old


def _seen(images_BYXP: Array, side: int, size: tuple[int, int] | None) -> Array:
    """The band of all images, at `size` or at its own."""
    Y, X = images_BYXP.shape[1:3]
    if side % 2 or not 2 <= side <= min(Y, X):
        raise ValueError(f"side={side} of a band in images of {Y} x {X}: give an even one of at most {min(Y, X)}")
    if side == Y == X:
        return images_BYXP
    y, x = (side, side) if size is None else size
    rows, columns = band_matrix(Y, side, y), band_matrix(X, side, x)
    dtype, product = images_BYXP.dtype, functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

    def applied(rows: np.ndarray, columns: np.ndarray) -> Array:
        narrow = product("yY,BYXP->ByXP", jnp.asarray(rows, dtype), images_BYXP)
        return product("xX,ByXP->ByxP", jnp.asarray(columns, dtype), narrow)

    return applied(rows.real, columns.real) - applied(rows.imag, columns.imag)

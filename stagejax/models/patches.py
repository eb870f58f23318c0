"""Images cut into square patches, row by row, and put together of them."""

from __future__ import annotations

from typing import Any


def patches_of(images: Any, patch: int) -> Any:
    """(B, Y, X, P) as (B, T, patch, patch, P), of NumPy or of JAX: T = (Y / patch) (X / patch), the first row first.

    Raises:
      TypeError, ValueError: `patch` does not divide the sides; the library's own error.

    >>> import numpy as np
    >>> patches_of(np.arange(16).reshape(1, 4, 4, 1), 2)[0, 1, :, :, 0].tolist()
    [[2, 3], [6, 7]]
    """
    B, Y, X, P = images.shape
    cut = images.reshape(B, Y // patch, patch, X // patch, patch, P).swapaxes(2, 3)
    return cut.reshape(B, (Y // patch) * (X // patch), patch, patch, P)


def of_patches(patches: Any, rows: int) -> Any:
    """The inverse of `patches_of`: (B, T, patch, patch, P) as (B, Y, X, P), with so many rows of patches.

    >>> import numpy as np
    >>> image = np.arange(24).reshape(1, 4, 6, 1)
    >>> bool((of_patches(patches_of(image, 2), rows=2) == image).all())
    True
    """
    B, T, patch, _, P = patches.shape
    whole = patches.reshape(B, rows, T // rows, patch, patch, P).swapaxes(2, 3)
    return whole.reshape(B, rows * patch, (T // rows) * patch, P)

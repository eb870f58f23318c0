"""Images cut into square patches, row by row."""

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

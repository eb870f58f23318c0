"""The Fréchet distance of two samples of features, as FID has it: how far generated data is from real data.

It is measured on the host in float64; the features are those of whatever network the caller trusts.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Num

Vector = Float[np.ndarray, "D"]
Matrix = Float[np.ndarray, "D D"]


def moments(features_ND: Num[np.ndarray, "N D"]) -> tuple[Vector, Matrix]:
    """The mean and the unbiased covariance of features, in float64.

    Raises:
      ValueError: fewer than two rows, or a number that is not finite.

    >>> mean, covariance = moments(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> mean.tolist(), covariance.tolist()
    ([1.0, 1.0], [[2.0, 0.0], [0.0, 0.0]])
    """
    if len(features_ND) < 2:
        raise ValueError(f"a covariance needs at least 2 rows of features, not {len(features_ND)}")
    if not np.isfinite(features_ND).all():
        raise ValueError("features hold numbers that are not finite: a Fréchet distance of them means nothing")
    features_ND = features_ND.astype(np.float64)
    mean = features_ND.mean(0)
    centred = features_ND - mean
    return mean, centred.T @ centred / (len(features_ND) - 1)


def gaussian_distance(mean_a: Vector, covariance_a: Matrix, mean_b: Vector, covariance_b: Matrix) -> float:
    """d² = |μ_a - μ_b|² + tr Σ_a + tr Σ_b - 2 tr (Σ_a^½ Σ_b Σ_a^½)^½: the squared Wasserstein-2 distance of Gaussians.

    The last trace is the sum of the singular values of Σ_a^½ Σ_b^½, so that no root is taken of a product that is not
    symmetric; singular covariances are as good as others.

    Reference: Dowson and Landau 1982, https://doi.org/10.1016/0047-259X(82)90077-X; Heusel et al. 2017 (FID),
    https://arxiv.org/abs/1706.08500, equation 6.

    >>> one, none = np.eye(2), np.zeros(2)
    >>> round(gaussian_distance(none, one, np.array([3.0, 0.0]), 4 * one), 6)  # 9 + 2 (1 - 2)²
    11.0
    """
    overlap = np.linalg.svd(_root(covariance_a) @ _root(covariance_b), compute_uv=False).sum()
    squared = np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap
    return float(max(squared, 0.0))


def frechet_distance(features_a: Num[np.ndarray, "N D"], features_b: Num[np.ndarray, "M D"]) -> float:
    """`gaussian_distance` of two samples of features. It falls with the sample's size: compare samples of one size.

    >>> rng = np.random.default_rng(0)
    >>> a = rng.normal(size=(500, 3))
    >>> round(frechet_distance(a, a + 1.0), 6)
    3.0
    """
    return gaussian_distance(*moments(features_a), *moments(features_b))


def _root(covariance: Matrix) -> Matrix:
    """The symmetric root; eigenvalues that rounding made negative count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T

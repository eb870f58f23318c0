"""EigenScore: how far several answers to one prompt are apart, by the log-determinant of their covariance; and EES.

The efficient EigenScore finds that log-determinant from a few products of the covariance with random vectors, by the
kernel polynomial method: O(moments probes K^2) for K answers instead of O(K^3).

Letters: K answers, E coordinates of an embedding, M moments, P probes.

References: EigenScore: Chen et al. 2024 (INSIDE), https://arxiv.org/abs/2402.03744; EES:
https://arxiv.org/abs/2410.15460; the method: Weisse et al. 2006, https://arxiv.org/abs/cond-mat/0504627.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

ALPHA = 1e-3  #: what is added to the diagonal


def covariance(answers_KE: Float[Array, "K E"]) -> Float[Array, "K K"]:
    """Z (I - 1 1^T / E) Z^T of answers Z: products of embeddings, each centred over its coordinates.

    >>> covariance(jnp.array([[1.0, 3.0], [2.0, 2.0]]))
    Array([[2., 0.],
           [0., 0.]], dtype=float32)
    """
    centred_KE = answers_KE - answers_KE.mean(1, keepdims=True)
    return centred_KE @ centred_KE.T


def eigenscore(answers_KE: Float[Array, "K E"], alpha: float = ALPHA) -> Float[Array, ""]:
    """(1/K) log det(covariance + alpha I), exactly. The larger, the farther answers are apart.

    >>> round(float(eigenscore(jnp.eye(3), alpha=0.0 + 1 / 3)), 4)  # eigenvalues 1 + 1/3, 1 + 1/3, 1/3
    -0.1744
    """
    return jnp.linalg.slogdet(raised(covariance(answers_KE), alpha))[1] / len(answers_KE)


def efficient_eigenscore(
    answers_KE: Float[Array, "K E"], key: Key[Array, ""], alpha: float = ALPHA, moments: int = 20, probes: int = 20
) -> Float[Array, ""]:
    """The same, estimated by `mean_log_eigenvalue`.

    >>> found = efficient_eigenscore(jnp.eye(8), jax.random.key(0), alpha=0.5)
    >>> abs(float(found - eigenscore(jnp.eye(8), alpha=0.5))) < 0.1
    True
    """
    return mean_log_eigenvalue(raised(covariance(answers_KE), alpha), key, moments, probes)


def raised(square_KK: Float[Array, "K K"], alpha: float) -> Float[Array, "K K"]:
    """The matrix with alpha added to its diagonal."""
    return square_KK + alpha * jnp.eye(len(square_KK), dtype=square_KK.dtype)


def mean_log_eigenvalue(
    positive_KK: Float[Array, "K K"], key: Key[Array, ""], moments: int = 20, probes: int = 20
) -> Float[Array, ""]:
    """(1/K) log det A ~ log s + sum_{m=0..M} c_m d_m of a positive definite A, by shifted Chebyshev polynomials.

    With B = A / s, whose spectrum is in (0, 1], and T*_m(l) = T_m(2 l - 1): d_m = tr T*_m(B) / K, estimated from probes
    z of ±1 as the mean of z^T T*_m(B) z / K, and c_m the coefficients of log (see `log_coefficients`). s is an
    over-estimate of the largest eigenvalue, since beyond 1 the polynomials explode: the trace, or 1.1 times what power
    iteration finds from below, if that is less (see `largest`).

    Args:
      moments: M; the series is cut behind it, so eigenvalues far below s / M^2 are taken for larger ones.
      probes: random vectors. Their noise falls with 1 / sqrt(probes K).

    >>> a = jnp.diag(jnp.linspace(0.2, 3.0, 50))
    >>> abs(float(mean_log_eigenvalue(a, jax.random.key(0)) - jnp.log(jnp.diag(a)).mean())) < 0.01
    True
    """
    K = len(positive_KK)
    probes_KP = jax.random.rademacher(key, (K, probes), positive_KK.dtype)
    scale = largest(positive_KK, probes_KP)
    twice_KK = 2 * (2 * positive_KK / scale - jnp.eye(K, dtype=positive_KK.dtype))

    def one(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        before_KP, now_KP = carry
        return (now_KP, twice_KK @ now_KP - before_KP), (probes_KP * before_KP).sum()

    start = probes_KP, twice_KK @ probes_KP / 2
    _, sums_M = jax.lax.scan(one, start, length=moments + 1)
    return jnp.log(scale) + jnp.asarray(log_coefficients(moments), sums_M.dtype) @ sums_M / (K * probes)


def log_coefficients(moments: int) -> Float[np.ndarray, " M1"]:
    """The coefficients of log on (0, 1] in shifted Chebyshev polynomials: c_0 = -2 log 2, c_m = 2 (-1)^(m+1) / m.

    >>> log_coefficients(2)
    array([-1.38629436,  2.        , -1.        ])
    """
    m = np.arange(1, moments + 1)
    return np.concatenate([[-2 * np.log(2)], 2 * (-1.0) ** (m + 1) / m])


def largest(positive_KK: Float[Array, "K K"], start_KP: Float[Array, "K P"], rounds: int = 10) -> Float[Array, ""]:
    """An over-estimate of the largest eigenvalue of a positive definite matrix: min(trace, 1.1 x power iteration).

    Power iteration comes from below: the largest of what it finds from several starts, of which one alone may be nearly
    orthogonal to the eigenvector.

    >>> round(float(largest(jnp.diag(jnp.array([4.0, 1.0, 1.0])), jnp.ones((3, 1)))), 3)
    4.4
    """

    def one(_: Array | int, x_KP: Array) -> Array:
        y_KP = positive_KK @ x_KP
        return y_KP / jnp.linalg.norm(y_KP, axis=0)

    x_KP = jax.lax.fori_loop(0, rounds, one, start_KP / jnp.linalg.norm(start_KP, axis=0))
    return jnp.minimum(jnp.trace(positive_KK), 1.1 * (x_KP * (positive_KK @ x_KP)).sum(0).max())

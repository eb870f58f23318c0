"""Convex quadratic programs as a layer: an interior point method, and a value whose gradient is its multipliers.

    minimise  1/2 x' diag(q) x + c' x   subject to   A x = b,   G x <= h,   l <= x <= u

Letters: n variables, m equalities, k inequalities. Programs are solved one at a time; `jax.vmap` makes it many. The
solver works in float64 whatever the dtype around it (so put `vmap` inside of a `scan` that solves, not around it: what
is batched later loses that). It is never differentiated: by the envelope theorem the derivative
of the optimal value by any datum is that of the Lagrangian at the solution, where the solution is held.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

TRIPS = 40  # most iterations
TOLERANCE = 1e-8  # of residuals and gap, in the scaled program


class QP(NamedTuple):
    """A separable convex program on a box. A full matrix Q = L L' becomes one by further variables z = L' x."""

    q: Float[Array, " n"]  # curvatures, not negative
    c: Float[Array, " n"]
    A: Float[Array, "m n"]
    b: Float[Array, " m"]
    G: Float[Array, "k n"]  # k may be 0
    h: Float[Array, " k"]
    lower: Float[Array, " n"]  # finite; a variable may be fixed by equal bounds
    upper: Float[Array, " n"]


class Solution(NamedTuple):
    """Primal and dual solution; the multipliers of inequalities are not negative."""

    x: Float[Array, " n"]
    y: Float[Array, " m"]  # of A x = b: the optimal value changes by y' db
    z: Float[Array, " k"]  # of G x <= h: it changes by -z' dh
    z_lower: Float[Array, " n"]
    z_upper: Float[Array, " n"]
    converged: Bool[Array, ""]
    trips: Int[Array, ""]


class _Point(NamedTuple):
    """An iterate of the scaled program, whose box is [0, 1]."""

    x: Array
    y: Array
    s: Array  # h - G x, positive
    z: Array
    z_lower: Array
    z_upper: Array


def program(q: Any, c: Any, A: Any, b: Any, lower: Any, upper: Any, G: Any = None, h: Any = None) -> QP:
    """A program from arrays; without G it has no inequalities but its box.

    >>> simple = program(q=[1.0, 1.0], c=[0.0, 0.0], A=[[1.0, 1.0]], b=[1.0], lower=[0.0, 0.0], upper=[1.0, 1.0])
    >>> solve(simple).x.round(4)
    Array([0.5, 0.5], dtype=float32)
    """
    c = jnp.asarray(c, jnp.float32)
    G = jnp.zeros((0, len(c))) if G is None else G
    h = jnp.zeros(0) if h is None else h
    return QP(*(jnp.asarray(value, jnp.float32) for value in (q, c, A, b, G, h, lower, upper)))


def solve(qp: QP, trips: int = TRIPS, tolerance: float = TOLERANCE) -> Solution:
    """Primal and dual solution by Mehrotra's predictor-corrector method, from an infeasible start inside the box.

    Variables are scaled to the box [0, 1], rows and costs to a largest entry of 1. A program has converged when its
    residuals and its complementarity are below the tolerance; whatever has no solution ends unconverged.

    Reference: Mehrotra, On the implementation of a primal-dual interior point method, SIAM J. Optim. 2(4), 1992.
    """
    dtype = qp.c.dtype
    with jax.enable_x64(True):
        found = _solve(QP(*(jnp.asarray(value).astype(jnp.float64) for value in qp)), trips, tolerance)
        return Solution(*(value.astype(dtype) for value in found[:5]), found.converged, found.trips.astype(jnp.int32))


def solve_flops(n: int, m: int, k: int = 0, trips: int = TRIPS) -> float:
    """FLOPs of a solve if it takes all its trips: of normal matrices and their factors.

    Without inequalities `trips (2 m^2 n + m^3 / 3)`; with k of them also `trips (2 n^2 k + n^3 / 3 + n^2 m)`.

    >>> solve_flops(46, 12, trips=1)
    13824.0
    """
    dense = 2.0 * n**2 * k + n**3 / 3 + n**2 * m if k else 0.0
    return trips * (2.0 * m**2 * n + m**3 / 3 + dense)


def lagrangian(qp: QP, at: Solution) -> Float[Array, ""]:
    """1/2 x' diag(q) x + c' x - y' (A x - b) + z' (G x - h) - z_l' (x - l) + z_u' (x - u)."""
    x = at.x
    objective = (qp.q * x * x).sum() / 2 + qp.c @ x
    rows = -at.y @ (qp.A @ x - qp.b) + at.z @ (qp.G @ x - qp.h)
    return objective + rows - at.z_lower @ (x - qp.lower) + at.z_upper @ (x - qp.upper)


@jax.custom_vjp
def optimal_value(qp: QP) -> tuple[Float[Array, ""], Solution]:
    """The least cost, and its solution, through which no gradient passes.

    The gradient of the value is that of the Lagrangian at the held solution: y by b, -z by h, -z_upper by u and so on.
    No iteration of the solver is differentiated. A solve that failed has value and gradient 0; count
    `~solution.converged`.

    >>> simple = program(q=[0.0, 0.0], c=[1.0, 3.0], A=[[1.0, 1.0]], b=[1.5], lower=[0.0, 0.0], upper=[1.0, 1.0])
    >>> jax.grad(lambda b: optimal_value(simple._replace(b=b))[0])(simple.b).round(1)
    Array([3.], dtype=float32)
    """
    found = solve(qp)
    cost = (qp.q * found.x * found.x).sum() / 2 + qp.c @ found.x
    return jnp.where(found.converged, cost, 0.0), found


def _forward(qp: QP) -> tuple[tuple[Array, Solution], tuple[QP, Solution]]:
    value, found = optimal_value(qp)
    return (value, found), (qp, found)


def _backward(saved: tuple[QP, Solution], cotangents: Any) -> tuple[QP]:
    qp, found = saved
    by_data = jax.grad(lagrangian)(qp, found)
    return (QP(*(jnp.where(found.converged, cotangents[0] * grad, 0.0) for grad in by_data)),)


optimal_value.defvjp(_forward, _backward)


def _solve(qp: QP, trips: int, tolerance: float) -> Solution:
    """`solve` in the dtype of its data."""
    width = qp.upper - qp.lower
    rows, inequalities = (jnp.maximum(jnp.abs(M * width).max(1, initial=0.0), 1e-12) for M in (qp.A, qp.G))
    A, G = qp.A * width / rows[:, None], qp.G * width / inequalities[:, None]
    b, h = (qp.b - qp.A @ qp.lower) / rows, (qp.h - qp.G @ qp.lower) / inequalities
    q, c = qp.q * width**2, (qp.c + qp.q * qp.lower) * width
    cost = jnp.maximum(jnp.abs(c).max(), 1e-12)
    scaled = QP(q / cost, c / cost, A, b, G, h, jnp.zeros_like(c), jnp.ones_like(c))
    middle, ones = jnp.full_like(c, 0.5), jnp.ones_like(c)
    start = _Point(middle, jnp.zeros_like(b), jnp.maximum(h - G @ middle, 1.0), jnp.ones_like(h), ones, ones)

    def going(carry: Any) -> Array:
        _, trip, error = carry
        return (trip < trips) & (error > tolerance) & (error < jnp.inf)

    def better(carry: Any) -> Any:
        point, trip, _ = carry
        point = _iteration(scaled, point)
        return point, trip + 1, _error(scaled, point)

    point, trip, error = jax.lax.while_loop(going, better, (start, jnp.int32(0), _error(scaled, start)))
    by_width = jnp.where(width > 0, cost / jnp.where(width > 0, width, 1.0), 0.0)
    return Solution(
        x=qp.lower + width * point.x,
        y=point.y * cost / rows,
        z=point.z * cost / inequalities,
        z_lower=point.z_lower * by_width,
        z_upper=point.z_upper * by_width,
        converged=error <= tolerance,
        trips=trip,
    )


def _residuals(qp: QP, p: _Point) -> tuple[Array, Array, Array]:
    dual = qp.q * p.x + qp.c - qp.A.T @ p.y + qp.G.T @ p.z - p.z_lower + p.z_upper
    return dual, qp.A @ p.x - qp.b, qp.G @ p.x + p.s - qp.h


def _gap(p: _Point) -> Array:
    """Mean complementarity."""
    total = p.x @ p.z_lower + (1 - p.x) @ p.z_upper + p.s @ p.z
    return total / (2 * len(p.x) + len(p.s))


def _error(qp: QP, p: _Point) -> Array:
    """The largest residual or complementarity, a tenth of the dual's, which is the last to fall; not finite if lost."""
    dual, equal, unequal = (jnp.abs(r).max(initial=0.0) for r in _residuals(qp, p))
    return jnp.stack([dual / 10, equal, unequal, _gap(p)]).max()


def _iteration(qp: QP, p: _Point) -> _Point:
    """A predictor step to see how far the gap can fall, then the corrected step towards the central path."""
    low, high = p.x, 1 - p.x
    dual, equal, unequal = _residuals(qp, p)
    diagonal = qp.q + p.z_lower / low + p.z_upper / high
    weights = p.z / p.s
    if len(qp.h):
        factor = jnp.linalg.cholesky(jnp.diag(diagonal) + (qp.G.T * weights) @ qp.G)

        def inverse(r: Array) -> Array:
            return jax.scipy.linalg.cho_solve((factor, True), r)

    else:

        def inverse(r: Array) -> Array:
            return (r.T / diagonal).T

    AH = inverse(qp.A.T)
    schur = jnp.linalg.cholesky(qp.A @ AH + 1e-14 * jnp.eye(len(qp.b)))

    def direction(r_low: Array, r_high: Array, r_s: Array) -> _Point:
        """Newton's step where the products of slacks and multipliers are to change by -r."""
        r = -dual - r_low / low + r_high / high - qp.G.T @ ((p.z * unequal - r_s) / p.s)
        dy = jax.scipy.linalg.cho_solve((schur, True), -equal - AH.T @ r)
        dx = inverse(r) + AH @ dy
        ds = -unequal - qp.G @ dx
        return _Point(
            dx, dy, ds, (-r_s - p.z * ds) / p.s, (-r_low - p.z_lower * dx) / low, (-r_high + p.z_upper * dx) / high
        )

    products = (low * p.z_lower, high * p.z_upper, p.s * p.z)
    affine = direction(*products)
    gap, reach = _gap(p), _moved(p, affine, *_lengths(p, affine))
    target = gap * (_gap(reach) / gap) ** 3
    corrections = (affine.x * affine.z_lower, -affine.x * affine.z_upper, affine.s * affine.z)
    step = direction(*(old + more - target for old, more in zip(products, corrections, strict=True)))
    primal, dual_length = (0.995 * length for length in _lengths(p, step))
    return _moved(p, step, primal, dual_length)


def _lengths(p: _Point, d: _Point) -> tuple[Array, Array]:
    """The longest primal and dual steps, at most 1, that leave slacks and multipliers positive."""

    def longest(values: Array, changes: Array) -> Array:
        return jnp.where(changes < 0, -values / jnp.where(changes < 0, changes, -1.0), 1.0).min(initial=1.0)

    primal = jnp.minimum(jnp.minimum(longest(p.x, d.x), longest(1 - p.x, -d.x)), longest(p.s, d.s))
    dual = jnp.minimum(longest(p.z_lower, d.z_lower), longest(p.z_upper, d.z_upper))
    return primal, jnp.minimum(dual, longest(p.z, d.z))


def _moved(p: _Point, d: _Point, primal: Array, dual: Array) -> _Point:
    return _Point(
        p.x + primal * d.x,
        p.y + dual * d.y,
        p.s + primal * d.s,
        p.z + dual * d.z,
        p.z_lower + dual * d.z_lower,
        p.z_upper + dual * d.z_upper,
    )

"""Convex quadratic programs as a layer: an interior point method, and a value whose gradient is its multipliers.

    minimise  1/2 x' diag(q) x + c' x   subject to   A x = b,   G x_p <= h,   l <= x <= u

Letters: n variables, m equalities, k inequalities of the last p variables x_p. A is a matrix, or a `Chain` of stages of
which each meets its neighbours alone. Programs are solved one at a time; `jax.vmap` makes it many. The solver works in
float64 whatever the dtype around it (so put `vmap` inside of a `scan` that solves, not around it: what is batched later
loses that). It is never differentiated: by the envelope theorem the derivative of the optimal value by any datum is
that of the Lagrangian at the solution, where the solution is held.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

TRIPS = 40  # most iterations
TOLERANCE = 1e-8  # of residuals and gap, in the scaled program


class Chain(NamedTuple):
    """Equalities of stages in a row: own_t x_t + before_t x_{t-1} = b_t, where x and b are those of all stages.

    Of the stage before only the last s variables are met: its state at the end.
    """

    own: Float[Array, "T r v"]
    before: Float[Array, "T r s"]  # the first one is not read


class QP(NamedTuple):
    """A separable convex program on a box. A full matrix Q = L L' becomes one by further variables z = L' x."""

    q: Float[Array, " n"]  # curvatures, not negative
    c: Float[Array, " n"]
    A: Float[Array, "m n"] | Chain  # a chain has m = T r rows, n = T v columns and no inequalities
    b: Float[Array, " m"]
    G: Float[Array, "k p"]  # k may be 0
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
    G, h = (jnp.zeros((0, 0)), jnp.zeros(0)) if G is None else (G, h)
    return QP(*(jnp.asarray(value, jnp.float32) for value in (q, c, A, b, G, h, lower, upper)))


def solve(qp: QP, trips: int = TRIPS, tolerance: float = TOLERANCE) -> Solution:
    """Primal and dual solution by Mehrotra's predictor-corrector method, from an infeasible start inside the box.

    Variables are scaled to the box [0, 1], rows and costs to a largest entry of 1. A program has converged when its
    residuals and its complementarity are below the tolerance; whatever has no solution ends unconverged.

    Reference: Mehrotra, On the implementation of a primal-dual interior point method, SIAM J. Optim. 2(4), 1992.
    """
    dtype = qp.c.dtype
    with jax.enable_x64(True):
        found = _solve(jax.tree.map(lambda value: jnp.asarray(value).astype(jnp.float64), qp), trips, tolerance)
        return Solution(*(value.astype(dtype) for value in found[:5]), found.converged, found.trips.astype(jnp.int32))


def solve_flops(n: int, m: int, k: int = 0, p: int = 0, *, stages: int = 1, trips: int = TRIPS) -> float:
    """FLOPs of a solve if it takes all its trips: of normal matrices and their factors.

    `trips (2 m^2 n + m^3 / 3)`, and with k inequalities of p variables `trips (2 p^2 k + p^3 / 3 + p^2 m)` more. Of a
    chain whose T stages have n variables, m equalities and p variables of state it is `trips T (2 m^2 n + 4 m^2 p + 10
    m^3 / 3)`.

    >>> solve_flops(46, 12, trips=1)
    13824.0
    """
    if stages > 1:
        return trips * stages * (2.0 * m**2 * n + 4.0 * m**2 * p + 10 * m**3 / 3)
    return trips * (2.0 * m**2 * n + m**3 / 3 + 2.0 * p**2 * k + p**3 / 3 + p**2 * m)


def lagrangian(qp: QP, at: Solution) -> Float[Array, ""]:
    """1/2 x' diag(q) x + c' x - y' (A x - b) + z' (G x - h) - z_l' (x - l) + z_u' (x - u)."""
    x = at.x
    objective = (qp.q * x * x).sum() / 2 + qp.c @ x
    rows = -at.y @ (_times(qp.A, x) - qp.b) + at.z @ (_of_last(qp.G, x) - qp.h)
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
    return (jax.tree.map(lambda grad: jnp.where(found.converged, cotangents[0] * grad, 0.0), by_data),)


optimal_value.defvjp(_forward, _backward)


def _solve(qp: QP, trips: int, tolerance: float) -> Solution:
    """`solve` in the dtype of its data."""
    width = qp.upper - qp.lower
    (A, rows), (G, inequalities) = _scaled(qp.A, width), _scaled(qp.G, width[len(width) - qp.G.shape[1] :])
    b, h = (qp.b - _times(qp.A, qp.lower)) / rows, (qp.h - _of_last(qp.G, qp.lower)) / inequalities
    q, c = qp.q * width**2, (qp.c + qp.q * qp.lower) * width
    cost = jnp.maximum(jnp.abs(c).max(), 1e-12)
    scaled = QP(q / cost, c / cost, A, b, G, h, jnp.zeros_like(c), jnp.ones_like(c))
    middle, ones = jnp.full_like(c, 0.5), jnp.ones_like(c)
    start = _Point(middle, jnp.zeros_like(b), jnp.maximum(h - _of_last(G, middle), 1.0), jnp.ones_like(h), ones, ones)

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


def _times(A: Any, x: Array) -> Array:
    """A x."""
    if not isinstance(A, Chain):
        return A @ x
    x_TV = x.reshape(len(A.own), -1)
    before_TS = jnp.pad(_states(A, x_TV)[:-1], ((1, 0), (0, 0)))
    return (jnp.einsum("trv,tv->tr", A.own, x_TV) + jnp.einsum("trs,ts->tr", A.before, before_TS)).reshape(-1)


def _transposed(A: Any, y: Array) -> Array:
    """A' y."""
    if not isinstance(A, Chain):
        return A.T @ y
    y_TR = y.reshape(len(A.own), -1)
    after_TS = jnp.einsum("trs,tr->ts", A.before, y_TR)[1:]
    first = A.own.shape[2] - A.before.shape[2]
    return (jnp.einsum("trv,tr->tv", A.own, y_TR) + jnp.pad(after_TS, ((0, 1), (first, 0)))).reshape(-1)


def _states(A: Chain, values: Array) -> Array:
    """Those of the variables that the stage after meets: the last ones of the last axis."""
    return values[..., A.own.shape[2] - A.before.shape[2] :]


def _of_last(G: Array, x: Array) -> Array:
    """G x_p."""
    return G @ x[len(x) - G.shape[1] :]


def _to_last(G: Array, z: Array, n: int) -> Array:
    """G' z at the last of n variables, zeros before."""
    return jnp.pad(G.T @ z, (n - G.shape[1], 0))


def _scaled(A: Any, width: Array) -> tuple[Any, Array]:
    """A diag(width) with rows divided by their largest entries, and these."""
    if not isinstance(A, Chain):
        rows = jnp.maximum(jnp.abs(A * width).max(1, initial=0.0), 1e-12)
        return A * width / rows[:, None], rows
    width_TV = width.reshape(len(A.own), 1, -1)
    own, before = A.own * width_TV, (A.before * jnp.roll(_states(A, width_TV), 1, 0)).at[0].set(0.0)
    rows = jnp.maximum(jnp.maximum(jnp.abs(own).max(2), jnp.abs(before).max(2)), 1e-12)
    return Chain(own / rows[..., None], before / rows[..., None]), rows.reshape(-1)


def _normal(A: Any, inverse: Any, n: int) -> Any:
    """The solution of A H^-1 A' y = r as a function of r, where `inverse` is H^-1, for a chain diagonal.

    A chain's matrix is block tridiagonal: with diagonal blocks D_t and E_t to the left of them its factor has the
    blocks L_t L_t' = D_t - F_t F_t' and F_t = E_t L_{t-1}^-T, one stage after the other.
    """
    if not isinstance(A, Chain):
        factor = jnp.linalg.cholesky(A @ inverse(A.T) + 1e-14 * jnp.eye(len(A)))
        return lambda r: jax.scipy.linalg.cho_solve((factor, True), r)
    weights = inverse(jnp.ones(n, A.own.dtype)).reshape(len(A.own), -1)
    eye, past = jnp.eye(A.own.shape[1], dtype=A.own.dtype), A.before * jnp.roll(_states(A, weights), 1, 0)[:, None]
    D = jnp.einsum("tiv,tjv->tij", A.own * weights[:, None], A.own) + jnp.einsum("tis,tjs->tij", past, A.before)
    E = jnp.einsum("tis,tjs->tij", past, jnp.roll(_states(A, A.own), 1, 0))

    def factored(L: Array, at: Any) -> Any:
        F = _lower_solved(L, at[1].T).T
        L = jnp.linalg.cholesky(at[0] + 1e-14 * eye - F @ F.T)
        return L, (L, F)

    _, (L, F) = jax.lax.scan(factored, eye, (D, E))

    def down(u: Array, at: Any) -> Any:
        u = _lower_solved(at[0], at[2] - at[1] @ u)
        return u, u

    def up(y: Array, at: Any) -> Any:
        y = _lower_solved(at[0], at[2] - at[1].T @ y, trans=1)
        return y, y

    def solved(r: Array) -> Array:
        zero = jnp.zeros_like(eye[0])
        _, u = jax.lax.scan(down, zero, (L, F, r.reshape(D.shape[:2])))
        _, y = jax.lax.scan(up, zero, (L, jnp.roll(F, -1, 0), u), reverse=True)
        return y.reshape(-1)

    return solved


def _lower_solved(L: Array, r: Array, trans: int = 0) -> Array:
    return jax.scipy.linalg.solve_triangular(L, r, lower=True, trans=trans)


def _residuals(qp: QP, p: _Point) -> tuple[Array, Array, Array]:
    dual = qp.q * p.x + qp.c - _transposed(qp.A, p.y) + _to_last(qp.G, p.z, len(p.x)) - p.z_lower + p.z_upper
    return dual, _times(qp.A, p.x) - qp.b, _of_last(qp.G, p.x) + p.s - qp.h


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
    first = len(p.x) - qp.G.shape[1] if qp.G.size else len(p.x)  # variables from here on have inequalities
    if qp.G.size:
        dense = jnp.diag(diagonal[first:]) + (qp.G.T * (p.z / p.s)) @ qp.G
        factor = jnp.linalg.cholesky(dense)

    def inverse(r: Array) -> Array:
        plain = (r[:first].T / diagonal[:first]).T
        return jnp.concatenate([plain, jax.scipy.linalg.cho_solve((factor, True), r[first:])]) if qp.G.size else plain

    solved = _normal(qp.A, inverse, len(p.x))

    def direction(r_low: Array, r_high: Array, r_s: Array) -> _Point:
        """Newton's step where the products of slacks and multipliers are to change by -r."""
        r = -dual - r_low / low + r_high / high - _to_last(qp.G, (p.z * unequal - r_s) / p.s, len(p.x))
        dy = solved(-equal - _times(qp.A, inverse(r)))
        dx = inverse(r + _transposed(qp.A, dy))
        ds = -unequal - _of_last(qp.G, dx)
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

"""Quadratic programs: HiGHS and closed forms agree, the value's gradient is that of differences, failures are 0."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from stagejax.objectives.control.quadratic_program import QP, Chain, optimal_value, program, solve, solve_flops

N, M, K = 6, 2, 3
solve_all = jax.jit(jax.vmap(solve))
value_and_gradient = jax.jit(jax.vmap(jax.value_and_grad(lambda qp: optimal_value(qp)[0])))


def feasible(seed: int, curvature: float) -> dict[str, Any]:
    """A random program with a point inside of all its inequalities."""
    rng = np.random.default_rng(seed)
    A, G, inside = rng.normal(size=(M, N)), rng.normal(size=(K, N)), rng.uniform(0.2, 0.8, N)
    return {
        "q": np.full(N, curvature), "c": rng.normal(size=N), "A": A, "b": A @ inside, "G": G,
        "h": G @ inside + rng.uniform(0.05, 0.5, K), "lower": np.zeros(N), "upper": np.full(N, 1.0),
    }  # fmt: skip


def stacked(problems: list[dict[str, Any]]) -> QP:
    return jax.tree.map(lambda *rows: jnp.stack(rows), *(program(**problem) for problem in problems))


@pytest.fixture(scope="module")
def problems() -> list[dict[str, Any]]:
    return [feasible(seed, 1e-5) for seed in range(8)]


@pytest.mark.slow
def test_linear_programs_have_the_value_and_the_multipliers_that_highs_finds(problems: list[dict[str, Any]]) -> None:
    found = solve_all(stacked(problems))
    assert bool(found.converged.all())
    assert int(found.trips.max()) < 30
    for i, p in enumerate(problems):
        own = linprog(p["c"], A_ub=p["G"], b_ub=p["h"], A_eq=p["A"], b_eq=p["b"], bounds=[(0, 1)] * N)
        np.testing.assert_allclose(p["c"] @ np.asarray(found.x[i]), own.fun, atol=1e-4)
        np.testing.assert_allclose(found.y[i], own.eqlin.marginals, atol=1e-3)
        np.testing.assert_allclose(-found.z[i], own.ineqlin.marginals, atol=1e-3)
        np.testing.assert_allclose(found.z_lower[i], own.lower.marginals, atol=1e-3)
        np.testing.assert_allclose(-found.z_upper[i], own.upper.marginals, atol=1e-3)


@pytest.mark.slow
def test_a_projection_on_a_plane_is_the_closed_form() -> None:
    """min 1/2 |x - t|^2 with A x = b, bounds out of reach: x = t + A' y with A A' y = b - A t."""
    rng = np.random.default_rng(0)
    A, b, t = rng.normal(size=(M, N)), rng.normal(size=M), rng.normal(size=N)
    found = solve(program(np.ones(N), -t, A, b, np.full(N, -50.0), np.full(N, 50.0)))
    y = np.linalg.solve(A @ A.T, b - A @ t)
    np.testing.assert_allclose(found.x, t + A.T @ y, atol=1e-4)
    np.testing.assert_allclose(found.y, y, atol=1e-4)


@pytest.mark.slow
def test_the_gradient_of_the_value_is_that_of_central_differences_in_size_and_sign() -> None:
    problems = [feasible(seed, 0.5) for seed in range(8)]
    _, grads = value_and_gradient(stacked(problems))
    step = 1e-2
    for name in ("b", "h", "c", "upper", "A"):
        base = np.stack([p[name] for p in problems])
        flat = base.reshape(8, -1)
        numeric = np.zeros_like(flat)
        for j in range(flat.shape[1]):
            ends = []
            for sign in (1, -1):
                moved = flat.copy()
                moved[:, j] += sign * step
                data = [p | {name: row.reshape(base.shape[1:])} for p, row in zip(problems, moved, strict=True)]
                ends.append(np.asarray(value_and_gradient(stacked(data))[0], np.float64))
            numeric[:, j] = (ends[0] - ends[1]) / (2 * step)
        exact = np.asarray(getattr(grads, name)).reshape(8, -1)
        cosine = (exact * numeric).sum() / np.linalg.norm(exact) / np.linalg.norm(numeric)
        assert cosine > 1 - 1e-3, name
        assert np.linalg.norm(exact) / np.linalg.norm(numeric) == pytest.approx(1, abs=2e-3), name


def test_the_solver_is_not_differentiated() -> None:
    """The backward pass holds no loop and no factorisation: it is arithmetic on the solution."""
    _, pull = jax.vjp(lambda qp: optimal_value(qp)[0], program(**feasible(0, 0.5)))
    text = str(jax.make_jaxpr(pull)(jnp.ones(())))
    assert not any(name in text for name in ("while", "scan", "cholesky"))


def test_a_failed_solve_has_no_gradient_and_leaves_the_others_alone(problems: list[dict[str, Any]]) -> None:
    impossible = problems[0] | {"b": np.full(M, 100.0)}
    both = stacked([impossible, problems[1], *problems[2:]])
    found, (values, grads) = solve_all(both), value_and_gradient(both)
    assert not bool(found.converged[0])
    assert bool(found.converged[1:].all())
    assert float(values[0]) == 0
    assert not any(np.asarray(grad[0]).any() for grad in grads)
    alone = value_and_gradient(stacked(problems))[1]
    np.testing.assert_allclose(grads.b[1:], alone.b[1:], rtol=1e-5)


def test_a_variable_may_be_fixed_by_its_bounds() -> None:
    p = feasible(3, 0.5)
    point = np.asarray(solve(program(**p)).x)
    found = solve(
        program(
            **(p | {"lower": np.where(np.arange(N) == 2, point, 0), "upper": np.where(np.arange(N) == 2, point, 1)})
        )
    )
    np.testing.assert_allclose(found.x, point, atol=1e-4)
    assert solve_flops(N, M, trips=1) < solve_flops(N, M, K, N, trips=1)


@pytest.mark.slow
def test_inequalities_of_the_last_variables_are_those_of_all_with_zeros_before() -> None:
    p, last = feasible(1, 0.1), 2
    p |= {"G": p["G"][:, -last:], "h": p["G"][:, -last:] @ np.full(last, 0.5)}
    wide = np.pad(p["G"], ((0, 0), (N - last, 0)))
    for name, own in optimal_value(program(**p))[1]._asdict().items():
        other = getattr(optimal_value(program(**(p | {"G": wide})))[1], name)
        np.testing.assert_allclose(own, other, atol=1e-4, err_msg=name)


def chained(seed: int, stages: int = 5, rows: int = 2, columns: int = 4, states: int = 3) -> tuple[QP, QP]:
    """A feasible program of stages that meet their neighbours alone, as a chain and with a whole matrix."""
    rng = np.random.default_rng(seed)
    own, before = rng.normal(size=(stages, rows, columns)), rng.normal(size=(stages, rows, states))
    A = np.zeros((stages * rows, stages * columns))
    for t in range(stages):
        A[t * rows : (t + 1) * rows, t * columns : (t + 1) * columns] = own[t]
        if t:
            A[t * rows : (t + 1) * rows, t * columns - states : t * columns] = before[t]
    n = stages * columns
    whole = program(np.full(n, 0.1), rng.normal(size=n), A, A @ rng.uniform(0.2, 0.8, n), np.zeros(n), np.ones(n))
    return whole._replace(A=Chain(jnp.asarray(own, jnp.float32), jnp.asarray(before, jnp.float32))), whole


@pytest.mark.slow
def test_a_chain_of_stages_has_the_solution_of_its_whole_matrix_and_the_same_gradients() -> None:
    chains, wholes = (jax.tree.map(lambda *x: jnp.stack(x), *own) for own in zip(*map(chained, range(4)), strict=True))
    own, other = solve_all(chains), solve_all(wholes)
    assert bool(own.converged.all())
    np.testing.assert_array_equal(own.trips, other.trips)
    np.testing.assert_allclose(own.x, other.x, atol=1e-5)
    np.testing.assert_allclose(own.y, other.y, atol=1e-4)
    (_, by_chain), (_, by_whole) = value_and_gradient(chains), value_and_gradient(wholes)
    np.testing.assert_allclose(by_chain.b, by_whole.b, atol=1e-4)
    np.testing.assert_allclose(by_chain.A.own[:, 1], by_whole.A[:, 2:4, 4:8], atol=1e-4)
    np.testing.assert_allclose(by_chain.A.before[:, 1], by_whole.A[:, 2:4, 1:4], atol=1e-4)

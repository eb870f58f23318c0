"""Adapters behind a router: scores in closed form, and prototypes that see prompts alone."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.inference.serving.routed_adapters import prompt_states, routed_rightly, routed_scores
from stagejax.models import gpt

TASKS, ROWS = 3, 4


def exact() -> np.ndarray:
    """Every row is nearest to its own task's prototype."""
    return np.broadcast_to(1.0 - np.eye(TASKS)[:, None], (TASKS, ROWS, TASKS))


def own_only() -> np.ndarray:
    """The base answers nothing, the adapter of a task exactly the rows of that task."""
    right = np.zeros((1 + TASKS, TASKS, ROWS), bool)
    for task in range(TASKS):
        right[1 + task, task] = True
    return right


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_with_a_router_that_is_right_what_was_learnt_stays_in_any_order(order: tuple[int, ...]) -> None:
    scores = routed_scores(own_only(), exact(), order)
    assert scores.tolist() == np.tri(TASKS + 1, TASKS, -1).tolist()  # after i tasks the first i are known
    assert routed_rightly(exact()) == 1.0


def test_a_router_that_takes_later_adapters_forgets() -> None:
    """The last prototype is nearest to all rows: with it everything goes to the last adapter."""
    nearest = np.broadcast_to(np.array([2.0, 2.0, 1.0]), (TASKS, ROWS, TASKS)) + 0.1 * exact()
    scores = routed_scores(own_only(), nearest, (0, 1, 2))
    assert scores[2].tolist() == [1.0, 1.0, 0.0]
    assert scores[3].tolist() == [0.0, 0.0, 1.0]
    assert routed_rightly(nearest) == pytest.approx(1 / 3)


def test_a_task_that_is_not_learnt_yet_goes_to_an_adapter_that_is_there() -> None:
    right = own_only()
    right[1, 1, :2] = True  # the first adapter knows half of the second task
    assert routed_scores(right, exact(), (0, 1, 2))[1].tolist() == [1.0, 0.5, 0.0]


@pytest.mark.slow
def test_a_prototype_sees_nothing_of_the_answer() -> None:
    model = gpt(vocab=16, layers=1, embed=8, heads=2, mlp=16, length=8).build(nnx.Rngs(0))
    rows = {"tokens": jnp.array([[1, 5, 6, 9, 2], [1, 5, 6, 4, 3]]), "weights": jnp.array([[0.0, 0, 1, 1, 0]] * 2)}
    first, second = prompt_states(model, rows)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    states = model.hidden(rows["tokens"])
    np.testing.assert_allclose(first, states[0, :3].mean(0), rtol=1e-5)

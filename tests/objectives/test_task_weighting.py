"""Weights of tasks: by uncertainty at its minimum, by progress, and sums that are the mean over rows without them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.objectives.tasks.several_tasks import losses_of_rows
from stagejax.objectives.tasks.task_weighting import (
    SampledLoss,
    UncertainLoss,
    dynamic_weights,
    per_task,
    uncertain_loss,
)

BATCH = {
    "tokens": jnp.arange(6),
    "task": jnp.array([0, 1, 0, 2, 2, 2]),
    "classes": jnp.array([3, 2, 3, 1, 1, 1]),
    "label": jnp.array([2.0, 1.0, 0.0, 0.5, 1.0, 0.0]),
    "weight": jnp.ones(6),
}


class Answering:
    """Answers that depend on the row alone."""

    def answers(self, tokens: Any, task: Any, key: Any) -> Any:
        return jnp.sin(tokens[:, None] * jnp.array([[1.0, 2.0, 3.0]]))


def test_without_weights_the_loss_is_the_mean_over_rows() -> None:
    losses, _ = losses_of_rows(Answering(), BATCH)
    loss, metrics = SampledLoss(4)(Answering(), BATCH, None)
    terms, _ = SampledLoss(4).each(Answering(), BATCH, None)
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-6)
    np.testing.assert_allclose(terms.sum(), loss, rtol=1e-6)
    np.testing.assert_allclose([metrics[f"loss_{t}"][1] for t in range(4)], [2, 1, 3, 0])
    np.testing.assert_allclose(metrics["loss_2"][0], losses[3:].sum(), rtol=1e-6)
    weighted, _ = SampledLoss(4)(Answering(), BATCH, None, weights=jnp.array([2.0, 0.0, 1.0, 9.0]))
    np.testing.assert_allclose(weighted, (2 * losses[jnp.array([0, 2])].sum() + losses[3:].sum()) / 6, rtol=1e-6)


def test_rows_without_weight_do_not_count() -> None:
    total, count = per_task(jnp.arange(6.0), BATCH | {"weight": jnp.array([1.0, 1, 0, 1, 0, 1])}, 3)
    np.testing.assert_allclose(total, [0, 1, 8])
    np.testing.assert_allclose(count, [1, 1, 2])


def test_dynamic_weights_sum_to_the_number_of_tasks_and_prefer_the_slow() -> None:
    weights = dynamic_weights(jnp.array([0.5, 1.0, 2.0]), jnp.array([1.0, 1.0, 1.0]))
    expected = 3 * np.exp([0.25, 0.5, 1.0]) / np.exp([0.25, 0.5, 1.0]).sum()
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    np.testing.assert_allclose(dynamic_weights(jnp.zeros(3), jnp.zeros(3)), 1, rtol=1e-6)  # nothing is known yet
    np.testing.assert_allclose(dynamic_weights(jnp.ones(3), jnp.array([2.0, 1.0, 0.5]), 1e6), 1, rtol=1e-5)


def test_at_its_minimum_an_uncertainty_is_twice_the_counted_loss() -> None:
    losses, regression = jnp.array([0.7, 0.2]), jnp.array([False, True])
    best = jnp.log(2 * losses * jnp.array([1.0, 0.5]))
    slope = jax.grad(lambda s: uncertain_loss(losses, s, regression).sum())(best)
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    pull = jax.grad(lambda loss: uncertain_loss(loss, best, regression).sum())(losses)
    np.testing.assert_allclose(pull * losses, 0.5, rtol=1e-5)  # all tasks alike


def test_the_uncertain_loss_of_a_batch_leaves_absent_tasks_out() -> None:
    s = jnp.array([0.3, -0.2, 0.1, 5.0])
    models = {"net": Answering(), "weights": SimpleNamespace(log_variance=s)}
    regressions = (False, False, True, False)
    loss, metrics = UncertainLoss(regressions)(models, BATCH, None)
    losses, _ = losses_of_rows(Answering(), BATCH)
    means = np.array([losses[jnp.array([0, 2])].mean(), losses[1], losses[3:].mean()])
    terms = np.array([1, 1, 0.5]) * np.exp(-s[:3]) * means + s[:3] / 2
    np.testing.assert_allclose(loss, (terms * np.array([2, 1, 3]) / 6).sum(), rtol=1e-5)
    assert float(metrics["loss_3"][1]) == 0
    plain, _ = UncertainLoss((False,) * 4)(
        models | {"weights": SimpleNamespace(log_variance=jnp.zeros(4))}, BATCH, None
    )
    np.testing.assert_allclose(plain, losses.mean(), rtol=1e-6)

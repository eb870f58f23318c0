"""Teachers that fade and old heads that are kept: the ends of teacher annealing, and what is at no distance."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.objectives.tasks.several_tasks import losses_of_answers
from stagejax.objectives.tasks.task_weighting import SampledLoss
from stagejax.objectives.tasks.taught_tasks import OldHeads, TaughtLoss, annealed_losses, gold_share, head_distance

ANSWERS = jnp.array([[0.3, -1.0, 2.0], [1.0, 0.5, 9.0], [0.7, 4.0, 4.0]])
TAUGHT = jnp.array([[1.0, 0.0, -1.0], [-2.0, 1.0, 50.0], [0.2, 8.0, 8.0]])
BATCH = {
    "tokens": jnp.arange(3),
    "task": jnp.array([0, 1, 2]),
    "classes": jnp.array([3, 2, 1]),
    "label": jnp.array([2.0, 0.0, 0.5]),
    "weight": jnp.ones(3),
}


class Heads:
    """The answers of every head are given."""

    def __init__(self, every: Any) -> None:
        self.every = every  # (B, N, C)

    def answers(self, tokens: Any, task: Any, key: Any) -> Any:
        return self.every[jnp.arange(len(task)), task]

    def every_answer(self, tokens: Any, tasks: int) -> Any:
        return self.every[:, :tasks]


def test_with_gold_alone_it_is_the_loss_of_the_labels() -> None:
    np.testing.assert_allclose(
        annealed_losses(ANSWERS, TAUGHT, BATCH, 1.0), losses_of_answers(ANSWERS, BATCH)[0], rtol=1e-5
    )


def test_without_gold_it_is_the_teachers_word_among_a_tasks_own_classes() -> None:
    found = annealed_losses(ANSWERS, TAUGHT, BATCH, 0.0)
    first = -(jax.nn.softmax(TAUGHT[0]) * jax.nn.log_softmax(ANSWERS[0])).sum()
    second = -(jax.nn.softmax(TAUGHT[1, :2]) * jax.nn.log_softmax(ANSWERS[1, :2])).sum()  # never a third class
    np.testing.assert_allclose(found, [first, second, (0.7 - 0.2) ** 2], rtol=1e-5)


def test_between_them_targets_are_mixed() -> None:
    half = annealed_losses(ANSWERS, TAUGHT, BATCH, 0.5)
    ends = [annealed_losses(ANSWERS, TAUGHT, BATCH, gold) for gold in (0.0, 1.0)]
    np.testing.assert_allclose(half[:2], (ends[0] + ends[1])[:2] / 2, rtol=1e-5)  # cross entropy is linear in them
    np.testing.assert_allclose(half[2], (0.7 - (0.5 + 0.2) / 2) ** 2, rtol=1e-5)
    assert gold_share(jnp.float32(0.25)) == {"gold": 0.25}


def test_the_metric_is_the_loss_of_the_labels_whatever_is_taught() -> None:
    net = Heads(jnp.broadcast_to(ANSWERS[:, None], (3, 3, 3)))
    loss, metrics = TaughtLoss()(net, BATCH | {"taught": TAUGHT}, None, gold=0.0)
    np.testing.assert_allclose(loss, annealed_losses(ANSWERS, TAUGHT, BATCH, 0.0).mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"][0], losses_of_answers(ANSWERS, BATCH)[0].sum(), rtol=1e-6)


def test_old_heads_that_say_the_same_cost_nothing_and_others_what_they_differ() -> None:
    every = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 3)), jnp.float32)
    batch = BATCH | {"task": jnp.full(3, 2), "classes": jnp.full(3, 1)}
    plain, _ = SampledLoss(3)(Heads(every), batch, None)
    same, metrics = OldHeads(3, (3, 1))(Heads(every), batch, None, others={"teacher": Heads(every)})
    np.testing.assert_allclose(same, plain, rtol=1e-6)
    np.testing.assert_allclose(metrics["kept"], 0, atol=1e-6)
    moved = every.at[:, 1, 0].add(0.5).at[:, 2].add(7.0)  # the regression's value; and the new head, which may move
    far, _ = OldHeads(3, (3, 1), strength=2.0)(Heads(every), batch, None, others={"teacher": Heads(moved)})
    np.testing.assert_allclose(far - plain, 2 * (0 + 0.25) / 2, rtol=1e-5)


def test_distances_of_heads() -> None:
    p, log_q = jax.nn.softmax(TAUGHT[:, :2] / 2), jax.nn.log_softmax(ANSWERS[:, :2] / 2)
    expected = 4 * (p * (jnp.log(p) - log_q)).sum(-1)
    np.testing.assert_allclose(head_distance(ANSWERS, TAUGHT, 2, 2.0), expected, rtol=1e-4)

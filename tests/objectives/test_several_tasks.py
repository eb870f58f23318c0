"""Losses and scores of several tasks in one batch, against numpy and scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn.metrics import matthews_corrcoef

from stagejax.objectives.tasks.several_tasks import MOMENTS, accuracy, correlation, scored, several_tasks
from stagejax.stage import ratios

RANDOM = np.random.default_rng(0)
ROWS, KINDS = 120, (3, 2, 1)
TASK = np.arange(ROWS) % 3
LABEL = np.where(TASK == 2, RANDOM.random(ROWS), RANDOM.integers(0, 100, ROWS) % np.array(KINDS)[TASK])
LOGITS = RANDOM.normal(size=(ROWS, 4))
LOGITS[TASK == 2, 0] = LABEL[TASK == 2] + 0.3 * RANDOM.normal(size=ROWS // 3)
LOGITS[:, 3] = 50.0  # no task has so many classes
BATCH = {
    "tokens": jnp.zeros((ROWS, 2), jnp.int32),
    "task": jnp.asarray(TASK, jnp.int32),
    "classes": jnp.asarray(np.array(KINDS)[TASK], jnp.int32),
    "label": jnp.asarray(LABEL, jnp.float32),
    "weight": jnp.ones(ROWS, jnp.float32),
}


def saying(logits: np.ndarray) -> Any:
    return SimpleNamespace(answers=lambda tokens, task, key: jnp.asarray(logits, jnp.float32))


def loss_of(task: int) -> float:
    own, label = LOGITS[task == TASK], LABEL[task == TASK]
    if KINDS[task] == 1:
        return float(np.mean((own[:, 0] - label) ** 2))
    own = own[:, : KINDS[task]]
    return float(np.mean(np.log(np.exp(own).sum(1)) - own[np.arange(len(own)), label.astype(int)]))


def summed(batches: list[Mapping[str, Any]]) -> dict[str, float]:
    """Metrics over several batches, as a stage's evaluation adds them up."""
    found = [scored(saying(logits), batch, None, tasks=3)[1] for logits, batch in batches]
    total = {name: tuple(sum(float(f[name][i]) for f in found) for i in range(2)) for name in found[0]}
    return {name: float(value) for name, value in ratios(total).items()}


def test_the_loss_is_the_sum_of_what_each_task_alone_would_have() -> None:
    loss, metrics = several_tasks(saying(LOGITS), BATCH, None, tasks=3)
    alone = [loss_of(task) for task in range(3)]
    np.testing.assert_allclose(loss, sum(alone), rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"][0] / metrics["loss"][1], np.mean(alone), rtol=1e-5)


def test_scores_over_batches_are_those_of_all_rows_together() -> None:
    half = ROWS // 2
    parts = [{name: x[rows] for name, x in BATCH.items()} for rows in (slice(half), slice(half, None))]
    last = summed([(LOGITS[:half], parts[0]), (LOGITS[half:], parts[1])]).get
    for task in (0, 1):
        said = LOGITS[task == TASK, : KINDS[task]].argmax(1)
        np.testing.assert_allclose(accuracy(last, task), np.mean(said == LABEL[task == TASK]), rtol=1e-6)
    said = LOGITS[TASK == 1, :2].argmax(1)
    np.testing.assert_allclose(correlation(last, 1), matthews_corrcoef(LABEL[TASK == 1], said), atol=1e-5)
    pearson = np.corrcoef(LOGITS[TASK == 2, 0], LABEL[TASK == 2])[0, 1]
    np.testing.assert_allclose(correlation(last, 2), pearson, atol=1e-5)


def test_rows_without_weight_do_not_count() -> None:
    kept = np.arange(ROWS) < 60
    wrong = np.where(kept[:, None], LOGITS, 7.0)
    some = summed([(wrong, {**BATCH, "weight": jnp.asarray(kept, jnp.float32)})])
    first = {name: x[:60] for name, x in BATCH.items()}
    wanted = summed([(LOGITS[:60], first)])
    assert some.keys() == wanted.keys()
    np.testing.assert_allclose([*some.values()], [*wanted.values()], rtol=1e-5)


def test_one_answer_for_all_has_no_correlation() -> None:
    constant = dict(zip((f"{name}_0" for name in MOMENTS), (0.6, 1.0, 0.6, 1.0, 0.6, 0.6), strict=True))
    assert correlation(constant.get, 0) == 0.0
    assert np.isnan(correlation(lambda name: float("nan"), 0))

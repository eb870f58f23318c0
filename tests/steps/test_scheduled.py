"""Objectives that change while a stage trains: by the number of the step, and by the stage's progress."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import drive, stage
from toy import adam, regression

from stagejax.identity import program_key
from stagejax.optimizer import sgd
from stagejax.steps.scheduled import paced_step, scheduled_step


def weighted(model: Any, batch: Any, key: Any, weight: Any = 1.0) -> Any:
    """A toy objective that tells its weight."""
    loss, metrics = regression(model, batch, key)
    return weight * loss, metrics | {"weight": jnp.asarray(weight)}


def options(at: jax.Array) -> dict[str, Any]:
    return {"weight": jnp.asarray(at, jnp.float32)}


def by_progress(steps: int, **fields: Any) -> Any:
    return stage(objective=weighted, step=partial(paced_step, options=options), steps=steps, **fields)


@pytest.mark.parametrize("optimizer", [sgd(1e-2), adam], ids=["ours", "optax"])
def test_a_paced_step_sees_the_progress_of_its_stage(optimizer: Any) -> None:
    _, _, record = drive(replace(by_progress(4), optimizer=optimizer))
    np.testing.assert_allclose(record.history.train["weight"], [0, 0.25, 0.5, 0.75])


def test_stages_of_any_length_share_a_paced_step() -> None:
    long, short = by_progress(8, optimizer=sgd(1e-2)), by_progress(4, optimizer=sgd(1e-2))
    assert program_key(long) == program_key(short)
    np.testing.assert_allclose(drive(long)[2].history.train["weight"], np.arange(8) / 8)


def test_a_scheduled_step_sees_the_number_of_the_step() -> None:
    one = stage(objective=weighted, step=partial(scheduled_step, options=options), steps=4)
    np.testing.assert_allclose(drive(one)[2].history.train["weight"], [0, 1, 2, 3])


def test_the_inverse_rate_is_that_of_the_paper() -> None:
    rate = sgd(0.01, decay="inverse").learning_rate(steps=10)
    for step in (0, 3, 10):
        assert float(rate(step)) == pytest.approx(0.01 / (1 + 10 * step / 10) ** 0.75, rel=1e-5)

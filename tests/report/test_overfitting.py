"""Gaps between held-out and training loss: which steps count, and that nothing measured gives nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stagejax.report.overfitting import draw_gaps, gaps, training_loss


def result(losses: list[float], evals: dict[int, float]) -> Any:
    rows = [{"step": step, "loss": loss} for step, loss in evals.items()]
    history = SimpleNamespace(train={"loss": losses}, evals=rows)
    return SimpleNamespace(name="", kind="train", digest="", steps=len(losses), cost=None, history=history)


def test_the_training_loss_is_of_the_steps_around() -> None:
    own = result([float(k) for k in range(10)], {0: 1.0, 5: 9.0, 10: 9.0})
    assert training_loss(own, 8, 10) == 8.5
    assert gaps(own, around=2) == {0: 1 - 0.5, 5: 9 - 4.5, 10: 9 - 8.5}  # steps 0, 1; 3 to 6; 8, 9


def test_of_a_plan_nothing_is_known() -> None:
    assert gaps(result([], {}), around=3) == {}
    assert np.isnan(training_loss(result([], {}), 0, 4))
    assert training_loss(result([1.0, 3.0], {}), -5, 99) == pytest.approx(2.0)


def test_gaps_are_drawn_from_a_step_on() -> None:
    svg = draw_gaps({"once": result([1.0] * 9, {0: 3.0, 4: 2.0, 8: 1.0})}, around=2, first=1).svg
    assert svg.startswith("<svg")
    assert "once" in svg

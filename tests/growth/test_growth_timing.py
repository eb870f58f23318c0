"""When to grow: the published rules on known curves, and a stage that ends by one of them."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax import Evaluation, Plan, Stage, running
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.growth import FPI, AtStep, AtTokens, Curve, First, LossSlope, g_stack
from stagejax.growth.timing import Turned
from stagejax.interrupt import Interrupted
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw


def power_law(exponent: float, points: int = 12, bend: int | None = None) -> Curve:
    """loss = compute^-exponent, flat from the point `bend` on."""
    steps = np.arange(1, points + 1) * 100
    losses = 5.0 * steps ** -float(exponent)
    if bend is not None:
        losses[bend:] = losses[bend]
    return Curve(*(tuple(values.tolist()) for values in (steps, steps * 1e9, losses, steps * 64)))


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.floats(0.01, 0.3), st.integers(2, 6))
def test_the_slope_of_a_power_law_is_its_exponent(exponent: float, window: int) -> None:
    curve = power_law(exponent)
    assert LossSlope(-0.05, window).slope(curve) == pytest.approx(-exponent)
    assert LossSlope(-exponent - 1e-3, window)(curve) == 100 * window  # flatter at once
    assert LossSlope(-exponent + 1e-3, window)(curve) is None


def test_it_fires_where_the_curve_bends_and_stays_fired() -> None:
    curve = power_law(0.2, bend=5)
    rule = LossSlope(-0.0575, window=2)
    assert rule(curve) == 700
    for end in range(len(curve.steps) + 1):
        seen = Curve(curve.steps[:end], curve.flops[:end], curve.losses[:end])
        assert rule(seen) == (700 if end >= 7 else None)
    assert replace(rule, after=900)(curve) == 900
    assert rule(Curve((0, 100), (0.0, 1.0), (5.0, 5.0))) is None  # no slope from nothing
    with pytest.raises(ValueError, match=r"threshold=0.1, window=3"):
        LossSlope(0.1)


def test_fixed_points_and_the_formula() -> None:
    curve = power_law(0.1)
    assert AtStep(300)(curve) == 300
    assert AtStep(5000)(curve) is None
    assert AtTokens(64 * 250)(curve) == 250
    assert First((AtStep(5000), AtTokens(64 * 250), LossSlope(-0.01)))(curve) == 250
    assert First((AtStep(5000),))(curve) is None
    # the examples of the paper's README: 7B and 410M parameters
    assert g_stack(7e9, 6 * 7e9 * 2e12).tokens == pytest.approx(11.1e9, rel=0.01)
    with pytest.raises(ValueError, match="parameters=1"):
        g_stack(1, 1e20)
    with pytest.raises(ValueError, match="a curve of 1 steps"):
        Curve((1,), (), ())


def test_a_loss_turns_where_it_is_not_below_its_lowest() -> None:
    losses = (5.0, 4.0, 4.0, 3.0, 3.5, 2.9, 3.1, 3.2, 2.95)
    curve = Curve(tuple(range(0, 90, 10)), tuple(range(9)), losses)
    assert [Turned(patience)(curve) for patience in (1, 2, 3, 4)] == [20, 70, 80, None]
    falling = Curve((0, 1, 2), (0, 1, 2), (3.0, 2.0, 1.0))
    assert Turned()(falling) is Turned()(Curve((), (), ())) is None
    with pytest.raises(ValueError, match="patience=0"):
        Turned(0)


SMALL = gpt(vocab=260, embed=8, layers=1, heads=1, mlp=16, length=16, scan=True)
DATA = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=8, length=16)
STAGE = Stage(
    "small", SMALL, causal_lm, adamw(3e-2), DATA, steps=60, evaluate=Evaluation(DATA.held_out(2), 2, 4), save_every=3
)
RULE = LossSlope(-0.12, window=3)


def pipeline(run: Any, stop_at: int | None = None) -> tuple[Any, Any]:
    small = run.train(STAGE, until=RULE)
    if not small.grows:
        return small, None
    return small, run.grow("large", small, to=replace(SMALL, mlp=32), operator=FPI())


class StopAt:
    """A writer that asks the run to stop once a step is done."""

    def __init__(self, stop: threading.Event, step: int) -> None:
        self.stop, self.step = stop, step

    def write(self, step: int, values: dict[str, Any]) -> None:
        if step == self.step:
            self.stop.set()

    def close(self) -> None:
        pass


def interrupted(folder: Path, step: int) -> None:
    with running(folder, "timing", mesh="data=1") as run:
        run.track = (lambda *_: StopAt(run.stop, step),)
        pipeline(run)


@pytest.mark.slow
def test_a_stage_ends_when_it_is_time_and_resumes_exactly(tmp_path: Path) -> None:
    with running(tmp_path / "whole", "timing", mesh="data=1") as run:
        small, large = pipeline(run)
        never = run.train(replace(STAGE, name="never", steps=8), until=AtStep(9))
    assert small.grows
    assert 8 < small.steps < STAGE.steps
    assert small.steps % 4 == 0
    assert RULE(Curve.of(small.history)) == small.steps == small.cost.steps
    assert len(small.history.train["loss"]) == small.steps
    assert int(small.state().step) == small.steps
    assert large.receipt["loss_before"] is not None
    assert (never.grows, never.steps) == (False, 8)
    for step in (5, small.steps):  # on the way, and at the very end
        folder = tmp_path / str(step)
        with pytest.raises(Interrupted):
            interrupted(folder, step)
        with running(folder, "timing", mesh="data=1") as run:
            again, grown = pipeline(run)
        assert (again.digest, again.steps, grown.digest) == (small.digest, small.steps, large.digest)
        assert again.history == small.history
    planned, grown = pipeline(Plan.on("data=1", price=False))
    assert planned.grows
    assert grown is not None


def test_a_policy_needs_evaluations() -> None:
    blind = replace(STAGE, evaluate=None)
    with pytest.raises(ValueError, match=r"stage 'small': until=LossSlope.* give evaluate=Evaluation"):
        Plan.on("data=1", price=False).train(blind, until=RULE)

"""The peak rate by pilots: the lowest loss on the way wins, what diverged does not, and a plan chooses the first."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stagejax import Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.search.peak import at_peak, best_peak
from stagejax.steps.joint import joint_step

DATA = CausalText(source=Stdlib(), tokenizer=Bytes(), batch=2, length=8)
PILOT = Stage("pilot", gpt(), causal_lm, adamw(1.0, warmup=0.1, clip=2.0), DATA, 7)


class Told:
    """A run whose losses are known before."""

    def __init__(self, losses: dict[float, list[float]], diverged: tuple[float, ...] = ()) -> None:
        self.losses, self.diverged, self.stages, self.starts, self.untils = losses, diverged, [], [], []

    def train(self, stage: Stage, start: Any, *, until: Any, may_diverge: bool) -> Any:
        assert may_diverge
        self.untils.append(until)
        self.stages.append(stage)
        self.starts.append(start)
        own = stage.optimizer["moved"] if isinstance(stage.optimizer, dict) else stage.optimizer
        evals = [{"step": k, "loss": loss} for k, loss in enumerate(self.losses.get(own.peak, []))]
        said = "loss" if own.peak in self.diverged else None
        return SimpleNamespace(name=stage.name, history=SimpleNamespace(evals=evals), diverged=said)


def test_the_lowest_on_the_way_wins_and_all_are_charged() -> None:
    run = Told({0.1: [4.0, 3.0, 3.5], 0.2: [4.0, 2.9, 9.0], 0.4: [4.0, 1.0]}, diverged=(0.4,))
    found = best_peak(run, PILOT, (0.1, 0.2, 0.4))
    assert (found.best, found.losses, found.at_an_end) == (0.2, (3.0, 2.9, float("inf")), False)
    assert found.cells == ("0.1, 0.2, 0.4", "3, 2.9, inf", 0.2, "")
    assert len(found.spent) == 3
    assert [stage.name for stage in run.stages] == ["pilot/0.1", "pilot/0.2", "pilot/0.4"]
    assert {(stage.optimizer.warmup, stage.optimizer.clip, stage.steps) for stage in run.stages} == {(0.1, 2.0, 7)}


def test_the_end_of_a_schedule_keeps_its_ratio_to_the_peak() -> None:
    found = at_peak(replace(PILOT, optimizer=adamw(1e-2, end=1e-3, clip=2.0)), 4e-2).optimizer
    assert found.end == pytest.approx(4e-3)
    assert replace(found, end=0.0) == adamw(4e-2, clip=2.0)


def test_a_plan_takes_the_first() -> None:
    found = best_peak(Told({}), PILOT, (0.1, 0.2))
    assert (found.best, found.at_an_end) == (0.1, True)


def test_a_score_decides_in_place_of_evaluations_and_is_not_asked_of_what_diverged() -> None:
    run, scores = Told({0.2: [1.0]}, diverged=(0.4,)), {"pilot/0.1": -0.5, "pilot/0.2": -0.25}
    found = best_peak(run, PILOT, (0.2, 0.1, 0.4), start="base", score=lambda pilot: scores[pilot.name])
    assert (found.best, found.losses) == (0.1, (-0.25, -0.5, float("inf")))
    assert run.starts == ["base"] * 3
    assert run.untils == [None] * 3
    best_peak(run, PILOT, (0.2,), until="turned", score=lambda pilot: 0.0)
    assert run.untils[-1] == "turned"


def test_of_several_models_those_that_stand_still_have_no_rate() -> None:
    nets, rates = {"moved": gpt(), "still": gpt()}, {"moved": adamw(1.0), "still": None}
    stage = replace(PILOT, model=nets, optimizer=rates, step=joint_step)
    run = Told({0.1: [3.0], 0.2: [2.0]})
    assert best_peak(run, stage, (0.1, 0.2)).best == 0.2
    assert [own.optimizer for own in run.stages] == [{"moved": adamw(peak), "still": None} for peak in (0.1, 0.2)]

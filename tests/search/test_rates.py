"""Rates by arm: a grid once, that rate later; arms like another one; what a search took is charged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stagejax import Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adam
from stagejax.search.rates import Rates

TEXT = CausalText(source=Stdlib(limit=10_000), tokenizer=Bytes(), batch=8, length=16)
STAGE = Stage("0/tune", gpt(), causal_lm, adam(1.0, decay="linear"), TEXT, 4)
SEVERAL = Stage("0/rl", {"policy": gpt(), "reference": gpt()}, {"policy": causal_lm, "reference": None},
                {"policy": adam(1.0), "reference": None}, TEXT, 4, step=lambda *given: given)  # fmt: skip
GRID = (1e-4, 1e-3, 1e-2)


class Trainer:
    """A run that trains nothing, and remembers what it was to train."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def train(self, stage: Stage, start: Any) -> Any:
        self.names.append(stage.name)
        own = stage.optimizer["policy"] if isinstance(stage.optimizer, dict) else stage.optimizer
        return SimpleNamespace(name=stage.name, peak=own.peak, decay=own.decay, start=start)


@pytest.mark.parametrize("stage", [STAGE, SEVERAL])
def test_the_first_stage_of_an_arm_is_tried_at_all_rates_and_others_at_the_best(stage: Stage) -> None:
    run, rates = Trainer(), Rates(lambda arm, result: -abs(result.peak - 1e-3))
    result, others = rates.train(run, "a", stage, GRID, "start")
    assert (result.peak, result.start, result.decay) == (1e-3, "start", "linear" if stage is STAGE else "cosine")
    assert [other.peak for other in others] == [1e-4, 1e-2]
    assert run.names == [f"{stage.name}/{rate}" for rate in ("0.0001", "0.001", "0.01")]
    again, charged = rates.train(run, "a", stage, GRID, None)
    assert again.peak == 1e-3 and charged == others and len(run.names) == 4  # noqa: PT018
    assert rates.tried == {"a": pytest.approx({1e-4: -9e-4, 1e-3: 0.0, 1e-2: -9e-3})}


def test_an_arm_like_another_one_has_its_rate_and_its_search() -> None:
    run, rates = Trainer(), Rates(lambda arm, result: result.peak, like={"b": "a"})
    first, others = rates.train(run, "a", STAGE, GRID, None)
    result, charged = rates.train(run, "b", STAGE, GRID, None)
    assert result.peak == first.peak == 1e-2
    assert charged == others
    assert len(run.names) == 4


def test_a_single_rate_is_taken_without_being_shown_as_a_choice() -> None:
    rates = Rates(lambda arm, result: float("nan"))
    result, others = rates.train(Trainer(), "a", STAGE, (1e-3,), None)
    assert (result.peak, others, rates.tried) == (1e-3, (), {})

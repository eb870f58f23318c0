"""The best state is kept: trained again up to where the loss was lowest, and not where that is the last one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stagejax import Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.growth.timing import AtStep, Turned
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.search.turning import at_its_best

STAGE = Stage(
    "small", gpt(), causal_lm, adamw(1e-3), CausalText(source=Stdlib(), tokenizer=Bytes(), batch=2, length=8), 40
)


class Told:
    """A run whose losses are known before: every ten steps."""

    def __init__(self, *losses: float) -> None:
        self.losses, self.asked = losses, []

    def train(self, stage: Stage, start: Any, *, until: Any) -> Any:
        self.asked.append((stage.name, start, until))
        evals = [{"step": 10 * k, "loss": loss} for k, loss in enumerate(self.losses)]
        steps = until.step if isinstance(until, AtStep) else max((row["step"] for row in evals), default=stage.steps)
        return SimpleNamespace(name=stage.name, steps=steps, history=SimpleNamespace(evals=evals))


@pytest.mark.parametrize(("losses", "best"), [((5, 3, 4, 4.5), 10), ((1, 3, 2, 2.5), 20), ((5, 2, 2, 2), 10)])
def test_it_is_trained_again_up_to_the_lowest(losses: tuple[float, ...], best: int) -> None:
    run, until = Told(*losses), Turned(2)
    whole, kept = at_its_best(run, STAGE, until, AtStep, "base")
    assert run.asked == [("small/whole", "base", until), ("small", "base", AtStep(best))]
    assert (whole.name, kept.name, kept.steps) == ("small/whole", "small", best)


def test_a_loss_that_falls_to_the_end_needs_one_training() -> None:
    run = Told(5, 4, 3)
    (kept,) = at_its_best(run, STAGE, Turned(), AtStep)
    assert (kept.name, kept.steps, len(run.asked)) == ("small/whole", 20, 1)
    (planned,) = at_its_best(Told(), STAGE, Turned(), AtStep)  # no evaluation in a plan
    assert planned.steps == STAGE.steps

"""The best of some settings: by the last evaluation, without a try where there is no choice, the first in a plan."""

from __future__ import annotations

from types import SimpleNamespace as Of
from typing import Any

import pytest
from toy import Toy

from stagejax.data.prompts.answers import MadeRows, Row
from stagejax.objectives.focal import detection
from stagejax.search.grid import best_of_grid
from stagejax.stage import Stage

DATA = MadeRows(rows=(Row("label", (), "int32"),), of="", arrays=None, batch=1)


class Told:
    """A run whose stages score what they are named."""

    def train(self, stage: Stage) -> Any:
        return Of(stage=stage, history=Of(last=lambda metric: float(stage.name) if metric == "auc" else 0.0))


def pilots(*scores: str) -> dict[Any, Stage]:
    return {(1e-3, i): Stage(name, Toy(), detection, None, DATA, 1) for i, name in enumerate(scores)}


def test_the_highest_is_taken_and_all_are_charged() -> None:
    found = best_of_grid(Told(), pilots("0.5", "0.75", "0.25"), "auc")
    assert found.best == (1e-3, 1)
    assert list(found.scores.values()) == [0.5, 0.75, 0.25]
    assert [result.stage.name for result in found.spent] == ["0.5", "0.75", "0.25"]


def test_in_a_plan_it_is_the_first() -> None:
    assert best_of_grid(Told(), pilots("nan", "nan"), "auc").best == (1e-3, 0)


def test_a_single_one_is_not_tried() -> None:
    assert best_of_grid(None, pilots("0.5"), "auc") == ((1e-3, 0), {}, ())


@pytest.mark.parametrize("scores", [("nan", "0.1"), ("0.1", "nan")])
def test_one_that_diverged_is_not_taken(scores: tuple[str, ...]) -> None:
    found = best_of_grid(Told(), pilots(*scores), "auc")
    assert found.scores[found.best] == 0.1

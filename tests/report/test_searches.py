"""How searches went: over generations and evaluations, and nothing in a plan."""

from __future__ import annotations

from types import SimpleNamespace as Of
from typing import Any

import numpy as np

from stagejax.report.searches import ends, over_evaluations


def search(each: int, losses: list[list[float]]) -> Any:
    """One of 4 members and two replicas, that evaluates `each` networks in a generation."""
    stage = Of(model={"population": Of(size=4)}, step=Of(method=Of(evaluated=lambda size: size + each - 4)))
    train = {"loss": losses, "spread": (2 * np.array(losses)).tolist()} if losses else {}
    last = {"auc": 0.625} if losses else {}
    history = Of(train=train, last=lambda metric: last.get(metric, float("nan")))
    return Of(stage=stage, steps=12 // each, history=history)


FOUND = {"plain": search(4, [[3.0, 1.0], [1.0, 1.0], [0.5, 0.0]]), "clusters": search(6, [[2.0, 2.0], [1.0, 0.0]])}


def test_ends_are_means_over_replicas() -> None:
    assert ends(FOUND, "auc").cells() == [
        ["plain", "3", "2.0000", "0.2500", "4.00", "0.50", "62.5%"],
        ["clusters", "2", "2.0000", "0.5000", "4.00", "1.00", "62.5%"],
    ]


def test_searches_that_end_elsewhere_are_drawn_as_far_as_the_shortest() -> None:
    uneven = {"five": search(5, [[3.0, 1.0], [0.5, 0.0]]), **FOUND}  # ends at 10 evaluations, the others at 12
    (figure,) = over_evaluations("a", uneven)
    assert all(name in figure.svg for name in uneven)


def test_nothing_is_drawn_in_a_plan() -> None:
    assert over_evaluations("a", {"plain": search(4, [])}) == ()
    assert len(over_evaluations("a", FOUND)) == 1

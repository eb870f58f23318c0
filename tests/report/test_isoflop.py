"""The best size at equal FLOPs: vertices are found again, pairs keep their FLOPs, arms are compared seed by seed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.ledger import Cost
from stagejax.report import Arm
from stagejax.report.isoflop import Sizes, adjusted, best_ratio, isoflop_optimum


@settings(max_examples=30, deadline=None)
@given(st.floats(10.0, 12.0), st.floats(0.01, 1.0), st.floats(-3.0, 3.0))
def test_the_vertex_of_a_parabola_is_found_again(middle: float, curvature: float, least: float) -> None:
    x = np.linspace(9, 13, 5)
    found = isoflop_optimum(np.exp(x), least + curvature * (x - middle) ** 2)
    assert np.log(found) == pytest.approx(middle, abs=1e-6)
    assert np.isnan(isoflop_optimum(np.exp(x), least - curvature * (x - middle) ** 2))
    assert np.isnan(isoflop_optimum(np.exp(x), least + curvature * (x - 14) ** 2))
    tokens = 1e12 / np.exp(x)
    assert best_ratio(np.exp(x), tokens, least + curvature * (x - middle) ** 2) == pytest.approx(1e12 / found**2)


@given(st.floats(1e3, 1e9), st.floats(1e3, 1e12), st.floats(0.1, 100.0))
def test_an_adjusted_pair_has_the_ratio_and_the_flops(parameters: float, tokens: float, ratio: float) -> None:
    p, t = adjusted(parameters, tokens, ratio)
    assert (t / p, p * t) == (pytest.approx(ratio), pytest.approx(parameters * tokens))


def arm(parameters: int, tokens: int, losses: tuple[float, ...]) -> Any:
    evals = [{"step": k, "flops": 100.0 * k, "loss": loss} for k, loss in enumerate(losses)]
    history = SimpleNamespace(train={}, evals=evals, last=lambda metric: evals[-1][metric])
    steps = len(losses) - 1
    cost = Cost(flops=100.0 * steps, tokens=tokens)
    result = SimpleNamespace(
        name="", kind="train", digest="", steps=steps, cost=cost, history=history, parameters=parameters
    )
    return Arm("", (result,))


def test_sizes_are_compared_seed_by_seed() -> None:
    sizes = Sizes(
        {
            "small": (arm(10, 4000, (5.0, 4.0, 3.0)), arm(10, 4000, (5.0, 4.0, 3.2))),
            "middle": (arm(100, 400, (5.0, 3.0, 2.0)), arm(100, 400, (5.0, 2.2, 2.0))),
            "large": (arm(1000, 40, (5.0, 4.0, 3.0)), arm(1000, 40, (5.0, 4.0, 3.2))),
        }
    )
    assert (sizes.best, sizes.interior) == ("middle", True)
    assert sizes.losses("small") == [3.0, 3.2]
    assert sizes.flops_to(3.0, 0) == 100.0  # reached half-way
    assert sizes.ratios() == [pytest.approx(4.0), pytest.approx(4.0)]
    rows = {row[0]: row for row in sizes.table(100, 400).rows}
    assert rows["middle"][-1] == 1.0
    assert rows["small"][-1] == pytest.approx(np.mean([200 / 100, 200 / (100 * (5 - 3.2) / (5 - 2.2))]))
    few = Sizes({"small": sizes.arms["middle"], "large": sizes.arms["large"]})
    assert not few.interior

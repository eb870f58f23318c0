"""Cumulative curves and savings, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from stagejax.ledger import Cost
from stagejax.report.curves import Arm, curve, find, flops_to_reach, saving
from stagejax.report.tables import Table, cost_table, result_table, stage_table


@pytest.fixture
def arms(fakes):
    result, trained, _ = fakes
    scratch = Arm("scratch", (trained("scratch", [6.0, 4.0, 3.0, 2.0, 2.0], flops=10.0),))  # 40 steps, 400 FLOPs
    source = trained("small", [6.0, 3.0], flops=10.0)  # 100 FLOPs
    grown = Arm(
        "grown",
        (
            result("start", kind="grow", cost=Cost(seconds=1.0)),
            trained("bottom", [5.0, 4.0], flops=5.0),  # 50 FLOPs
            trained("whole", [3.0, 1.0], flops=10.0),  # reaches 2 half-way: 50 + 50
        ),
        (source,),
    )
    return scratch, grown


def test_a_curve_runs_on_over_stages(arms):
    _, grown = arms
    own = curve(grown)
    assert [(p.x, p.y, p.stage) for p in own.points] == [(0, 5, 1), (50, 4, 1), (50, 3, 2), (150, 1, 2)]
    assert own.borders == (50,)
    assert own.last == 1
    assert [p.x for p in curve(grown, with_source=True).points] == [100, 150, 150, 250]
    steps = curve(grown, over="steps", with_source=True)
    assert [p.x for p in steps.points] == [0, 10, 10, 20]


def test_savings_by_hand(arms):
    scratch, grown = arms
    assert flops_to_reach(curve(grown), 2.0) == 100
    assert saving(grown, scratch) == pytest.approx(1 - 100 / 400)
    assert saving(grown, scratch, with_source=True) == pytest.approx(1 - 200 / 400)
    assert saving(scratch, scratch) == pytest.approx(1 - 300 / 400)  # it was there before its end
    assert saving(scratch, grown) == -math.inf  # scratch never gets to 1


def test_nothing_is_interpolated_over_a_border(arms):
    _, grown = arms
    assert flops_to_reach(curve(grown), 3.5) == 50  # the jump at the border, not a point of a line before it
    assert flops_to_reach(curve(grown), 5.5) == 0


def test_rising_metrics(fakes):
    _, trained, _ = fakes
    arm = Arm("a", (trained("a", [0.0, 0.5, 1.0]),))
    assert flops_to_reach(curve(arm), 0.75, rising=True) == 15
    assert saving(arm, Arm("b", (trained("b", [0.0, 0.5], flops=3.0),)), rising=True) == pytest.approx(1 - 10 / 30)
    assert curve(arm, metric="accuracy").points == ()


def test_replicas_are_averaged_and_charged_their_share(fakes):
    _, trained, _ = fakes
    one = Arm("one", (trained("one", [4.0, 2.0]),))
    three = Arm("three", (trained("three", [[3.0, 4.0, 5.0], [1.0, 2.0, 3.0]]),))
    point = curve(three).points[-1]
    assert (point.x, point.y, point.low, point.high) == (10, 2, 1, 3)
    assert saving(three, one) == saving(one, one) == 0
    assert three.cost.flops == one.cost.flops == 10


def test_planning_measures_nothing(fakes):
    _, _, planned = fakes
    arm, base = Arm("a", (planned("a"),)), Arm("b", (planned("b"),))
    assert math.isnan(saving(arm, base))
    assert math.isnan(curve(arm).last)
    cells = result_table((base, arm), "b").cells()
    assert cells[1] == ["a", "–", "–", "–", "–"]  # noqa: RUF001


def test_tables(arms, fakes):
    _, trained, _ = fakes
    never = Arm("never", (trained("never", [6.0, 5.0]),))
    table = result_table((*arms, never), "scratch")
    assert table.cells()[1] == ["grown", "1.0000", "100", "75.0%", "50.0%"]
    assert table.cells()[2][2:] == ["never", "never", "never"]
    assert table.numeric() == [False, True, True, True, True]
    costs = cost_table(arms)
    assert costs.cells()[1][:4] == ["grown", "150", "100", "250"]
    stages = stage_table([r for arm in arms for r in arm.results])
    assert [row[0] for row in stages.cells()] == ["scratch", "start", "bottom", "whole"]
    assert stages.to_json()["rows"][0][4] == 400.0
    with pytest.raises(ValueError, match="columns"):
        Table("t", ("a", "b"), ((1,),))
    with pytest.raises(ValueError, match="2 columns but 1 formats"):
        Table("t", ("a", "b"), (), ("",))


def test_an_unknown_arm_is_named(arms):
    with pytest.raises(ValueError, match=r"no arm is named 'grwn'; there are \['scratch', 'grown'\]"):
        find(arms, "grwn")

"""Curves over seconds: trained stages at one pace, all else as it was measured."""

import math

import pytest

from stagejax.ledger import Cost
from stagejax.report import Arm, curve, flops_to_reach
from stagejax.report.curves import Seconds


def test_the_pace_is_the_median_of_all_stages(fakes) -> None:
    _, trained, planned = fakes
    arms = [Arm(str(n), (trained("s", [3.0] * (n + 1)),)) for n in (1, 2, 6)]  # 10, 20, 60 steps in 1.5 s each
    assert Seconds.of(arms).pace == pytest.approx(1.5 / 20)
    assert math.isnan(Seconds.of([Arm("planned", (planned("s"),))]).pace)


def test_what_was_not_trained_takes_the_seconds_measured(fakes) -> None:
    fake, trained, _ = fakes
    searched = fake("search", kind="make", cost=Cost(flops=1e9, seconds=7.0))
    arm = Arm(
        "a",
        (trained("first", [4.0, 3.0]), searched, trained("second", [2.0, 1.0])),
        (trained("proxy", [4.0, 3.0]), searched),
    )
    found = curve(arm, over=Seconds(0.5), with_source=True)
    begin = 10 * 0.5 + 7
    assert [point.x for point in found.points] == pytest.approx([begin, begin + 5, begin + 12, begin + 17])
    assert [point.y for point in found.points] == [4.0, 3.0, 2.0, 1.0]
    assert flops_to_reach(found, 1.5) == pytest.approx(begin + 14.5)

"""Gains over single-task models: relative, task by task, with intervals over the seeds that have the design."""

from __future__ import annotations

import math

from stagejax.report.served import serving_table
from stagejax.report.task_gains import gains_of, gains_table, relative_gain, with_interval

FOUND = {
    0: {"one": {"a": 0.5, "b": 0.8}, "long": {"a": 0.6, "b": 0.8}, "all": {"a": 0.6, "b": 0.4}},
    1: {
        "one": {"a": 0.5, "b": 0.8},
        "long": {"a": 0.6, "b": 0.8},
        "all": {"a": 0.6, "b": 0.6},
        "few": {"a": 1.0, "b": 1.0},
    },
}


def test_gains_are_relative_and_harm_is_counted_by_task() -> None:
    gains, harmed = gains_of(FOUND, "all", "one", ["a", "b"])
    assert [round(gain, 6) for gain in gains] == [-15.0, -2.5]
    assert harmed == [1, 1]
    assert gains_of(FOUND, "few", "one", ["a"])[0] == [100.0]  # the one seed that has it
    assert math.isnan(relative_gain({"a": 0.5}, {"a": 0.0}, ["a"]))


def test_the_interval_is_students() -> None:
    low, high = -8.75 - 12.706 * 6.25, -8.75 + 12.706 * 6.25
    assert with_interval([-15.0, -2.5]) == f"-8.8 [{low:+.1f}, {high:+.1f}]"
    assert with_interval([float("nan"), 1.0]) == ""


def test_a_row_for_each_design_against_each_kind_of_single_task_models() -> None:
    table = gains_table(FOUND, ["all", "few"], ["one", "long"], ["a", "b"], {"few": 0.25})
    assert table.columns == ("design", "Δ, %, over one", "Δ, %, over long", "below one", "below long", "conflicts")
    assert table.cells()[1] == ["few", "+62.5", "+45.8", "0.0", "0.0", "25.0%"]


def test_serving_in_a_plan_has_sizes_alone() -> None:
    assert serving_table(3, {"one": 10}, None).cells()[0][:3] == ["one", "10", "40"]

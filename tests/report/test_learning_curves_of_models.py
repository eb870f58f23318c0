"""Learning curves: means over seeds, a law where there is one, what rises, what explains what, nothing of a plan."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.report.learning_curves import LearningCurves
from stagejax.report.rising import fit_rising

SIZES = (10, 30, 100, 300, 1000)
RIGHT = {"rises": (0.0, 0.1, 0.2, 0.35, 0.6), "falls": (0.1, 0.1, 0.3, 0.2, 0.4), "rare": (0.0, 0.005, 0.1, 0.2, 0.3)}
CURVES = LearningCurves(
    {
        (arm, seed, size): {
            "right": value * (1 + 0.1 * seed),
            "wrong": 1 - value * (1 + 0.1 * seed),
            "form": float(size < 100),
        }
        for arm, values in RIGHT.items()
        for size, value in zip(SIZES, values, strict=True)
        for seed in (0, 1)
    },
    SIZES,
    fitted=30,
)


def test_means_are_over_seeds_and_parts_are_of_the_last() -> None:
    means = CURVES.over_seeds("rises", "right")
    assert list(means) == list(SIZES)
    np.testing.assert_allclose(list(means.values()), 1.05 * np.array(RIGHT["rises"]))
    assert CURVES.part("rises", "right", 100) == pytest.approx(1 / 3)
    assert np.isnan(CURVES.part("rises", "form", 10))  # there is none with the most examples


def test_what_never_falls_may_stay() -> None:
    assert [CURVES.never_falls(arm, "right") for arm in RIGHT] == [True, False, True]


def test_a_law_is_fitted_to_the_means_from_enough_examples_on_and_to_no_share_of_nothing() -> None:
    law = CURVES.law("rises", "right")
    assert law == fit_rising(list(SIZES[1:]), list(CURVES.over_seeds("rises", "right").values())[1:])
    assert str(law) == f"1/b {law.exponent:.2f}, R² {law.r2:.2f}"
    assert CURVES.law("rare", "right") is None
    table = CURVES.laws("t", tuple(RIGHT), "right", {"r² with form": ("wrong", "form")}, note="n")
    assert [row[0] for row in table.rows] == ["rises", "falls"]
    assert table.columns[-1] == "r² with form"
    expected = np.corrcoef(RIGHT["rises"], [1, 1, 0, 0, 0])[0, 1] ** 2
    assert table.rows[0][-1] == CURVES.explained("rises", "wrong", "form") == pytest.approx(expected)


def test_what_is_constant_explains_nothing() -> None:
    same = LearningCurves({("a", 0, size): {"wrong": size / 1000, "form": 0.0} for size in SIZES}, SIZES)
    assert np.isnan(same.explained("a", "wrong", "form"))


def test_a_plan_has_no_law_no_figure_and_empty_cells() -> None:
    plan = LearningCurves({("a", 0, size): {"right": float("nan")} for size in SIZES}, SIZES)
    assert plan.law("a", "right") is None
    assert not plan.never_falls("a", "right")
    assert plan.laws("t", ("a",), "right", {}).rows == ()
    assert plan.figure("t", {"an arm": "a"}, "right", "share") == ()
    assert plan.by_setting("t", ("a",), "right", str, note="n").rows == (("a", *"–" * 5),)  # noqa: RUF001


def test_a_figure_has_a_line_for_each_arm() -> None:
    (figure,) = CURVES.figure("t", {"one": "rises", "other": "falls"}, "right", "share of answers")
    assert "log10 of examples" in figure.svg
    assert all(label in figure.svg for label in ("one", "other"))

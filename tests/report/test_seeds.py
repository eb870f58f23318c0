"""Arms of several seeds, named and measured seed by seed."""

import numpy as np
import pytest

from stagejax.report import Arm, shown
from stagejax.report.seeds import by_seed
from stagejax.report.tables import result_table


def test_each_seed_is_measured_against_its_own_baseline(fakes) -> None:
    _, trained, _ = fakes
    arms = {
        "scratch": {3: Arm("", (trained("a", [4.0, 2.0]),)), 5: Arm("", (trained("b", [4.0, 1.0]),))},
        "grown": {3: Arm("", (trained("c", [2.0, 1.0]),)), 5: Arm("", (trained("d", [2.0, 1.5]),))},
    }
    named = by_seed(arms, "scratch")
    assert [arm.name for arm in named] == ["scratch", "scratch, seed 5", "grown", "grown, seed 5"]
    assert [row[-1] for row in result_table(named, "scratch").rows[2:]] == [1.0, float("-inf")]


def test_a_seed_without_a_baseline_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'grown' has the seeds \[1\], but 'scratch' only \[0\]"):
        by_seed({"scratch": {0: Arm("", ())}, "grown": {1: Arm("", ())}}, "scratch")


def test_columns_are_shown_with_their_spread_over_seeds() -> None:
    assert shown(np.array([[1.0, 2.0], [3.0, 2.0]]), "+.1f") == "+2.0 ± 1.4, +2.0 ± 0.0"
    assert shown(np.array([[1.0], [np.nan]])) is None
    assert shown([20.0, np.inf], ".0f") == "never on 1 of 2 seeds"

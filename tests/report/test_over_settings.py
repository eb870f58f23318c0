"""Means over settings are of each seed, and seeds of an arm are those it has."""

import numpy as np
import pytest

from stagejax.report.over_settings import OverSettings

FOUND = {("a", seed, x): {"harm": 10.0 * seed + x, "texts": []} for seed in (2, 0) for x in (1, 3, 8)}
FOUND |= {("b", 0, x): {"harm": float("nan")} for x in (1, 3)}
OVER = OverSettings(FOUND, (1, 3))


def test_rows_are_seeds_and_columns_settings() -> None:
    np.testing.assert_array_equal(OVER.of("a", "harm"), [[1, 3], [21, 23]])
    np.testing.assert_array_equal(OVER.of("a", "harm", (8,)), [[8], [28]])
    assert OVER.means("a", "harm") == [2.0, 22.0]
    assert np.isnan(OVER.means("b", "harm")).all()


def test_tables_have_means_over_settings_and_what_is_not_known_is_left_out() -> None:
    table = OVER.table("t", {"first": "a", "second": "b"}, {"harmful": "harm"})
    assert [row[0] for row in table.rows] == ["first", "second"]
    assert table.rows[0][1].startswith("1200.0")
    assert table.rows[1][1] not in ("nan", "")
    assert OVER.by_setting("t", ("a",), "harm", "at {}".format).columns == ("arm", "at 1", "at 3")


def test_a_setting_that_a_seed_lacks_is_an_error() -> None:
    with pytest.raises(KeyError):
        OVER.of("a", "harm", (1, 4))

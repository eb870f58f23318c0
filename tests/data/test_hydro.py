"""Hydro cases: what the files say, joint scenarios, paths that are functions of their number."""

from __future__ import annotations

import os

import numpy as np
import pytest

from stagejax.data import MissingDataset
from stagejax.data.control.hydro import Cascade, Hydro, Inflows

with_data = pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")


def test_a_path_holds_one_joint_scenario_of_all_plants_at_each_stage() -> None:
    data = Inflows(case=Cascade(), stages=14, batch=64)
    record, found = data.case.inflows(), data.take(np.arange(64))["inflow"]
    drawn = set()
    for t in range(14):
        rows = {tuple(row) for row in found[:, t]}
        assert rows <= {tuple(row) for row in record[t % 12]}
        drawn.add(len(rows))
    assert drawn == {3}  # all scenarios occur, at every stage
    np.testing.assert_array_equal(data.take(np.array([7]))["inflow"][0], found[7])
    other = data.held_out(1).take(np.arange(64))["inflow"]
    assert not any((row == found).all((1, 2)).any() for row in other)


@with_data
def test_bolivia_is_read_with_its_cascade_and_its_units_merged() -> None:
    case = Hydro("bolivia", 11)
    system, inflows = case.system(), case.inflows()
    assert inflows.shape == (48, 15, 11)
    assert system.turbine_links.sum() == 3
    assert system.spill_links.sum() == 2
    assert system.depth == 1
    assert float(system.flow_volume) == pytest.approx(0.6048)
    assert not system.volume_start.any()
    assert len(system.thermal_cost) == 16  # of 23 units, those of equal cost are one
    assert float(system.thermal_max.sum()) == pytest.approx(5.067, abs=1e-3)
    assert (np.diff(system.thermal_cost) > 0).all()
    assert float(system.demand) == pytest.approx(6.521, abs=1e-2)
    np.testing.assert_allclose(system.production[0] * system.turbine_max[0], 0.72, rtol=1e-3)


@with_data
def test_case3_is_read() -> None:
    system = Hydro("case3", 1).system()
    assert Hydro("case3", 1).inflows().shape == (12, 3, 1)
    assert float(system.deficit_cost) == 100_000
    with pytest.raises(ValueError, match="Set plants=1"):
        Hydro("case3", 2).system()


def test_a_missing_case_says_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGEJAX_DATA", raising=False)
    with pytest.raises(MissingDataset, match=r"hydro/bolivia/hydro\.json"):
        Hydro("bolivia", 11).system()

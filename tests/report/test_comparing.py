"""Two reports beside each other: claims by their statements, tables by their titles, moves in standard deviations."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.report import Report, Table, claim
from stagejax.report.comparing import compare


def page(rows: list[list[Any]], *claims: tuple[str, str, str], title: str = "Scores", **more: Any) -> dict[str, Any]:
    said = [{"statement": s, "shown": shown, "verdict": verdict} for s, shown, verdict in claims]
    table = {"title": title, "columns": ["arm", "score", "cost"], "rows": rows}
    return {"experiment": "e", "claims": said, "tables": [table], **more}


def test_only_a_claim_that_both_judge_can_turn() -> None:
    first = page([], ("a", "1", "holds"), ("b", "2", "holds"), ("c", "3", "not tested"))
    second = page([], ("c", "3", "holds"), ("a", "0", "does not hold"), ("d", "4", "holds"))
    found = compare(first, second)
    assert [(p.statement, p.verdicts) for p in found.claims] == [
        ("a", ("holds", "does not hold")),
        ("b", ("holds", "")),
        ("c", ("not tested", "holds")),
        ("d", ("", "holds")),
    ]
    assert found.turned == ("a", "c")


@pytest.mark.parametrize(
    ("first", "second", "typical"),
    [
        ("50.0 ± 3.0", "56.0 ± 3.0", 2.0),
        ("-1.5% ± 0.7%", "-0.5% ± 0.1%", 2.0),  # sqrt((.49 + .01) / 2) = .5
        ("1,200 ± 100", "1,100 ± 100", 1.0),
        ("2e-3 ± 1e-3", "3e-3 ± 1e-3", 1.0),
        ("50.0 ± 0.0", "56.0 ± 0.0", math.nan),  # a spread of nothing measures nothing
        ("50.0", "56.0", math.nan),
        ("words", "56.0 ± 3.0", math.nan),
    ],
)
def test_a_cell_moves_in_standard_deviations_between_seeds(first: str, second: str, typical: float) -> None:
    moved = compare(page([["x", first, 1.0]]), page([["x", second, 1.0]])).tables[0]
    assert moved.typical == pytest.approx(typical, nan_ok=True)
    assert (moved.cells, moved.differing, moved.furthest) == (3, 1, "x, score")
    assert moved.values == (first, second)


def test_the_furthest_of_plain_numbers_is_by_share() -> None:
    moved = compare(page([["x", 1.0, 100.0], ["y", 2.0, 7]]), page([["x", 1.5, 110.0], ["y", 2.0, 7]])).tables[0]
    assert (moved.differing, moved.furthest, moved.values) == (2, "x, score", ("1", "1.5"))


def test_tables_of_another_shape_are_named_and_not_compared() -> None:
    first, second = page([["x", 1.0, 2.0]]), page([["x", 1.0, 2.0], ["y", 1.0, 2.0]])
    second["tables"].append({"title": "New", "columns": ["a"], "rows": []})
    found = compare(first, second)
    assert found.tables == ()
    assert found.apart == ("Scores", "New")


def test_settings_and_conditions_that_differ_are_told() -> None:
    first = page([], config={"steps": 3, "model": {"sides": [1, 2]}}, environment={"cpu": "one"}, seeds=[0])
    second = page([], config={"steps": 3, "model": {"sides": [1, 4]}}, environment={"cpu": "two"}, seeds=[0])
    found = compare(first, second)
    assert found.settings == ("model.sides[1]: 2 -> 4",)
    assert ("cpu", "one", "two") in found.conditions
    assert ("seeds", "[0]", "[0]") in found.conditions


def test_a_module_that_moved_is_no_other_setting() -> None:
    def config(room: str, name: str) -> dict[str, Any]:
        return {"type": f"{room}:Config", "score": [{"function": f"{room}:{name}"}], "ratio": "1:2"}

    here, there = (page([], config=config(room, "exact")) for room in ("stagejax.here", "stagejax.there"))
    assert compare(here, there).settings == ()
    other = page([], config=config("stagejax.there", "near"))
    assert compare(here, other).settings == ('score[0].function: "exact" -> "near"',)


def test_an_order_that_older_reports_do_not_tell_is_no_other_setting() -> None:
    told = page([], config={"depths": {"text": 1, "image": 2, "in the order": ["text", "image"]}})
    assert compare(page([], config={"depths": {"text": 1, "image": 2}}), told).settings == ()


def test_reports_of_two_experiments_are_refused() -> None:
    with pytest.raises(ValueError, match="'e' and 'f'"):
        compare(page([]), {**page([]), "experiment": "f"})


def test_a_written_report_equals_itself(fakes: Any, tmp_path: Path) -> None:
    _, trained, _ = fakes
    from stagejax.report import Arm

    arm = Arm("scratch", (trained("scratch", [3.0, 2.0]),))
    claims = (claim("a", paper="1", measured=0.5, margin="> 0", holds=True, unit="%"),)
    report = Report("e", "t", "p", claims, (arm,), (Table("T", ("a", "b"), (("x", float("nan")),)),), preset="smoke")
    report.write(tmp_path, environment={"cpu": "one"}, config={"steps": 3})
    written = json.loads((tmp_path / "report.json").read_text())
    found = compare(written, written)
    assert (found.turned, found.settings, found.apart) == ((), (), ())
    assert [(t.title, t.differing) for t in found.tables] == [("Arms", 0), ("T", 0)]
    assert [c.shown for c in found.claims] == [("50.0%", "50.0%")]


@given(st.integers(0, 2**31), st.floats(0.1, 100))
def test_the_measure_is_symmetric_and_knows_no_scale(seed: int, scale: float) -> None:
    a, b = np.random.default_rng(seed).normal(size=2)
    cells = [f"{x:.6f} ± 1.5" for x in (a, b)]
    scaled = [f"{scale * x:.12f} ± {scale * 1.5:.12f}" for x in (a, b)]

    def typical(first: str, second: str) -> float:
        return compare(page([["x", first, 0]]), page([["x", second, 0]])).tables[0].typical

    assert typical(*cells) == typical(*reversed(cells))
    assert typical(*scaled) == pytest.approx(typical(*cells), rel=1e-3, abs=1e-4)

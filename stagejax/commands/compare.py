"""`stagejax compare`: a run beside the committed result of its experiment, or beside another run."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from stagejax.commands.table import table

EXAMPLES = (
    "stagejax compare runs/bert2bert-laptop\n"
    "stagejax compare runs/bert2bert-laptop runs/other\n"
    "stagejax compare old/report.json new/report.json"
)


def add_arguments(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("first", type=Path, metavar="RUN", help="folder of a finished run, or a report.json")
    compare.add_argument(
        "second", type=Path, metavar="OTHER", nargs="?", help="another; default: the committed result of that preset"
    )


def command_compare(options: argparse.Namespace, rest: list[str]) -> int:
    from stagejax.report.comparing import compare

    own = _page(options.first)
    if options.second is None:
        source = _committed(own)
        found = compare(_page(source), own)
        names = ("committed", "this run")
    else:
        found = compare(own, _page(options.second))
        names = ("first", "second")
    print(own["experiment"])
    table("conditions", ("what", *names), [row for row in found.conditions if row[1] != row[2]])
    if found.settings:
        table(f"settings that differ, {' -> '.join(names)}", ("field",), [(line,) for line in found.settings])
    table("claims", ("claim", *names, "verdict"), [
        (pair.statement, *pair.shown, _verdict(*pair.verdicts)) for pair in found.claims
    ])  # fmt: skip
    table("numbers", ("table", "cells", "differ", "in standard deviations", "furthest", *names), [
        (t.title, t.cells, t.differing, "" if math.isnan(t.typical) else f"{t.typical:.2f}", t.furthest, *t.values)
        for t in found.tables
    ])  # fmt: skip
    if found.apart:
        print(f"not compared, in one alone or of another shape: {'; '.join(found.apart)}")
    judged = sum(all(pair.verdicts) for pair in found.claims)
    print(f"{len(found.turned)} of {judged} verdicts turned.")
    return 1 if found.turned else 0


def _verdict(first: str, second: str) -> str:
    return first if first == second else f"{first or 'absent'} → {second or 'absent'}"


def _page(path: Path) -> dict[str, Any]:
    page = path / "report.json" if path.is_dir() else path
    if not page.exists():
        raise FileNotFoundError(f"there is no {page}: give the workdir of a finished run, or its report.json")
    found: dict[str, Any] = json.loads(page.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not {"experiment", "claims", "tables"} <= set(found):
        raise ValueError(f"{page} is no report.json: it lacks an experiment, claims or tables")
    return found


def _committed(page: dict[str, Any]) -> Path:
    """The committed result of a preset; of several, such as BERT's and GPT's, the one with the likest settings."""
    from stagejax.committed import read, results_folder
    from stagejax.report.comparing import compare

    of = page["experiment"], page["preset"]
    found = [entry.path for entry in read(results_folder()) if (entry.experiment, entry.preset) == of]
    if not found:
        raise FileNotFoundError(f"{of[0]} has no committed result of preset {of[1]!r}: give the run to compare with")
    return min(found, key=lambda path: len(compare(_page(path), page).settings))

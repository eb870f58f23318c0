"""The results that are committed beside the experiments, read without JAX: the atlas and `stagejax list` show them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagejax.experiment import home

#: In the order in which they are counted and shown.
VERDICTS = ("holds", "does not hold", "not tested")


@dataclass(frozen=True)
class Entry:
    """One committed result."""

    experiment: str
    number: str  # of the paper
    title: str
    preset: str
    seeds: int
    verdicts: tuple[tuple[str, int], ...]  # (verdict, how many)
    headline: str  # the first claim that was tested: ours beside the paper's
    commit: str
    path: Path


def results_folder() -> Path:
    """Where results are committed: `experiments/results`."""
    return home() / "results"


def read(folder: str | Path) -> tuple[Entry, ...]:
    """The results in a folder of report.json files, whatever their names, by paper number, experiment and preset.

    Raises:
      ValueError: a file is not a report; the error names it and the field.
    """
    entries = [_entry(path) for path in sorted(Path(folder).rglob("*.json"))]
    return tuple(sorted(entries, key=lambda e: (e.number, e.experiment, e.preset)))


def last_results(folder: str | Path | None = None) -> dict[str, dict[str, Any]]:
    """The youngest committed result of each experiment that has one: preset, commit, claims, counted verdicts."""
    youngest: dict[str, dict[str, Any]] = {}
    for entry in read(results_folder() if folder is None else folder):
        page = json.loads(entry.path.read_text(encoding="utf-8"))
        page |= {"date": page["environment"].get("date") or "", "verdicts": dict(entry.verdicts)}
        if entry.experiment not in youngest or page["date"] > youngest[entry.experiment]["date"]:
            youngest[entry.experiment] = page
    shown = ("preset", "commit", "claims", "verdicts")
    return {name: {field: page[field] for field in shown} for name, page in youngest.items()}


def _entry(path: Path) -> Entry:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        claims = data["claims"]
        found = [c["verdict"] for c in claims]
        tested = next((c for c in claims if c["verdict"] != "not tested"), None)
        return Entry(
            experiment=data["experiment"],
            number=data["number"],
            title=data["title"],
            preset=data["preset"],
            seeds=len(data["seeds"]),
            verdicts=tuple((v, found.count(v)) for v in VERDICTS if v in found),
            headline=f"{tested['statement']}: {tested['shown']} (paper: {tested['paper']})" if tested else "",
            commit=(data["commit"] or "")[:10] + ("+" if data["environment"].get("dirty") else ""),
            path=path,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no report.json: {error!r}. Results are written by Report.write") from error

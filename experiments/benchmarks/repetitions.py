"""How far a result moves when it is made again on another CPU: what the history of this repository says.

Every committed version of a result is held against the next one of the same settings, if the two name different CPUs.
On one CPU a run repeats bit for bit; another rounds otherwise, and what is trained for hundreds of steps does not
forget that. The code between two versions may differ as well, as the report's commits say: notes, tables, parts of the
library. What both judge by the same statement is counted, and what turned is named.

Run      python -m experiments.benchmarks.repetitions       in a clone with its history; writes repetitions.json
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from stagejax.committed import results_folder
from stagejax.report.comparing import compare


@dataclass(frozen=True)
class Config:
    """Where the result goes."""

    output: Path | None = None  # None: beside this file


def versions(path: Path) -> list[dict[str, Any]]:
    """All committed versions of a file, the oldest first."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(path.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    commits = git("log", "--reverse", "--diff-filter=AM", "--format=%h", "--", path.name).split()
    return [json.loads(git("show", f"{commit}:./{path.name}")) for commit in commits]


def repetitions(path: Path) -> Iterator[dict[str, Any]]:
    """The pairs of neighbouring versions that differ in their CPU and not in their settings."""
    for old, new in itertools.pairwise(versions(path)):
        cpus = [page["environment"].get("cpu") for page in (old, new)]
        found = compare(old, new)
        if None in cpus or cpus[0] == cpus[1] or found.settings or old["seeds"] != new["seeds"]:
            continue
        moved = [table.typical for table in found.tables if not math.isnan(table.typical)]
        yield {
            "experiment": new["experiment"],
            "preset": new["preset"],
            "commits": [page["commit"] for page in (old, new)],
            "cpus": cpus,
            "judged": sum(all(pair.verdicts) for pair in found.claims),
            "turned": found.turned,
            "moved": statistics.median(moved) if moved else None,  # in standard deviations between seeds
        }


def main(config: Config) -> None:
    """Compare, count, store.

    Raises:
      ValueError: the history has no result that was made again.
    """
    rows = [row for path in sorted(results_folder().glob("*.json")) for row in repetitions(path)]
    if not rows:
        raise ValueError(
            f"no result in {results_folder()} was committed twice from two CPUs: is the clone a shallow one?"
        )
    judged, turned = sum(row["judged"] for row in rows), sum(len(row["turned"]) for row in rows)
    moved = [row["moved"] for row in rows if row["moved"] is not None]
    page = {"results": len(rows), "judged": judged, "turned": turned, "moved": statistics.median(moved), "rows": rows}
    output = config.output or Path(__file__).parent / "repetitions.json"
    output.write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for row in rows:
        far = "" if row["moved"] is None else f", moved {row['moved']:.2f} standard deviations between seeds"
        print(f"{row['experiment']}: {len(row['turned'])} of {row['judged']} verdicts turned{far}")
        print("".join(f"    {statement}\n" for statement in row["turned"]), end="")
    print(
        f"{len(rows)} results made again on another CPU: {turned} of {judged} verdicts turned; numbers moved by "
        f"{page['moved']:.2f} standard deviations between seeds, median over results; {output}"
    )


if __name__ == "__main__":
    main(tyro.cli(Config))

"""What tree searches found, and what their values are worth, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stagejax.ledger import Number
from stagejax.report.seeds import mean
from stagejax.report.tables import Table

#: By the name of a search, what was measured of it with each seed; nothing in a plan.
Measured = Mapping[str, Sequence[Mapping[str, Number] | None]]


def search_table(about: Measured) -> Table:
    """Trees, tokens and pairs of each search, means over seeds.

    Args:
      about: of `inference.reasoning.tree_rows.about_trees`.

    >>> own = {"trees": 8, "tokens": 900, "nodes": 60, "solved": 0.5, "yield": 0.25, "pairs": 4}
    >>> search_table({"plans": [own, own], "solutions": [None]}).cells()[0]
    ['plans', '8', '900', '60', '50.0%', '25.0%', '4']
    """
    what = ("trees", "tokens", "nodes", "solved", "yield", "pairs")
    columns = ("search", "trees", "tokens drawn", "nodes", "solved", "nodes with pairs", "pairs")
    note = "Means over seeds. Solved: problems with a right answer; nodes with pairs: of all with children."
    return Table("What searches found", columns, _rows(about, what), ("", *[".0f"] * 3, ".1%", ".1%", ".0f"), note)


def value_table(checks: Measured, note: str = "") -> Table:
    """How Q and V of nodes go with the success of completions, means over seeds.

    Args:
      checks: of `inference.reasoning.tree_search.against_completions`.

    >>> value_table({"plans": [{"nodes": 96.0, "Q": 0.5, "V": -0.25}]}).cells()
    [['plans', '96', '0.50', '-0.25']]
    """
    columns, forms = ("search", "nodes", "Q", "V"), ("", ".0f", ".2f", ".2f")
    note = f"Correlations with the success of completions of the same prefix. {note}".strip()
    return Table("Values against completions", columns, _rows(checks, columns[1:]), forms, note)


def judged_search_table(about: Measured) -> Table:
    """Trees of each search over fragments, its pairs, and how good its judge is; means over seeds.

    Args:
      about: of `inference.reasoning.fragment_rows.about_pairs`.

    >>> own = {"tokens": 900, "nodes": 60, "pairs": 4, "size": 2.5, "agree": 0.5, "good": 0.75, "most": 0.25}
    >>> judged_search_table({"round 1": [own, own], "round 2": [None]}).cells()[0]
    ['round 1', '900', '60', '4', '2.5', '50.0%', '75.0%', '25.0%']
    """
    what = ("tokens", "nodes", "pairs", "size", "agree", "good", "most")
    columns = ("search", "tokens drawn", "nodes", "pairs", "tokens of a side", "grades", "excellent", "commonest")
    note = (
        "Means over seeds. Of rollouts that are judged, in how many the judge's likeliest grade is the program's, both "
        "or none say excellent, and the program's grade is the commonest one."
    )
    forms = ("", ".0f", ".0f", ".0f", ".1f", ".1%", ".1%", ".1%")
    return Table("What searches over fragments found", columns, _rows(about, what), forms, note)


def _rows(found: Measured, what: Sequence[str]) -> tuple[tuple[Any, ...], ...]:
    return tuple(
        (name, *(mean([own[column] for own in made if own]) if all(made) else None for column in what))
        for name, made in found.items()
    )

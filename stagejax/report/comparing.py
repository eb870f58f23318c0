"""Two reports of one experiment beside each other: which verdicts turned, and how far the numbers moved."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stagejax.declare import difference

#: Why two runs may differ at all.
CONDITIONS = ("preset", "seeds", "date", "commit", "jax", "cpu", "device", "devices", "processes")
_MEASURED = re.compile(r"([-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?)\s*%?(?:\s*±\s*(\d[\d,]*\.?\d*(?:e[-+]?\d+)?)\s*%?)?")


@dataclass(frozen=True)
class Pair:
    """One claim in both reports; empty where a report lacks it."""

    statement: str
    shown: tuple[str, str]
    verdicts: tuple[str, str]

    @property
    def turned(self) -> bool:
        """Whether both reports judge the claim, and not alike."""
        return self.verdicts[0] != self.verdicts[1] and all(self.verdicts)


@dataclass(frozen=True)
class Moved:
    """One table in both reports: how many of its cells differ, how far, and which the most."""

    title: str
    cells: int
    differing: int
    typical: float  # median of |a - b| over the root mean square of both standard deviations; NaN without any
    furthest: str  # row and column of the cell that moved most
    values: tuple[str, str]  # of that cell


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    conditions: tuple[tuple[str, str, str], ...]  # name, first, second
    settings: tuple[str, ...]  # fields of the config that differ, a line each
    claims: tuple[Pair, ...]
    tables: tuple[Moved, ...]
    apart: tuple[str, ...]  # titles of tables that only one has, or that have other columns or rows

    @property
    def turned(self) -> tuple[str, ...]:
        """Statements of the claims that the two judge differently."""
        return tuple(pair.statement for pair in self.claims if pair.turned)


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """Two report.json pages of one experiment beside each other.

    A cell "m ± s" moves by `|m_1 - m_2| / sqrt((s_1² + s_2²) / 2)`. In the median that is 0.6 for normal means of three
    seeds that share nothing, 0.8 for two, 0.45 for five; far more says that runs differ by more than their seeds tell.

    Args:
      first: the page that is known, as `json.load` gives it.
      second: the page that is held against it.

    Returns:
      Claims matched by their statements, tables by title and columns, rows by place.

    Raises:
      ValueError: they are pages of different experiments.

    >>> def page(score, verdict):
    ...     table = {"title": "Scores", "columns": ["arm", "score"], "rows": [["a", score]]}
    ...     claims = [{"statement": "a wins", "shown": score, "verdict": verdict}]
    ...     return {"experiment": "e", "claims": claims, "tables": [table]}
    >>> found = compare(page("50.0 ± 3.0", "holds"), page("56.0 ± 3.0", "does not hold"))
    >>> found.turned, found.tables[0].typical, found.tables[0].values
    (('a wins',), 2.0, ('50.0 ± 3.0', '56.0 ± 3.0'))
    """
    if first["experiment"] != second["experiment"]:
        raise ValueError(
            f"reports of {first['experiment']!r} and {second['experiment']!r}: two runs of one experiment are compared"
        )
    pages = [_titled(page) for page in (first, second)]
    alike = [title for title in pages[0] if title in pages[1] and _shape(pages[0][title]) == _shape(pages[1][title])]
    return Comparison(
        conditions=tuple((name, _condition(first, name), _condition(second, name)) for name in CONDITIONS),
        settings=tuple(difference(_homeless(first.get("config")), _homeless(second.get("config")))),
        claims=_claims(first["claims"], second["claims"]),
        tables=tuple(_moved(pages[0][title], pages[1][title]) for title in alike),
        apart=tuple(title for title in {**pages[0], **pages[1]} if title not in alike),
    )


def _condition(page: Mapping[str, Any], name: str) -> str:
    return str({**(page.get("environment") or {}), **page}.get(name))


def _claims(first: Any, second: Any) -> tuple[Pair, ...]:
    pages = [{claim["statement"]: claim for claim in claims} for claims in (first, second)]
    absent = {"shown": "", "verdict": ""}

    def both(statement: str, field: str) -> tuple[str, str]:
        known, new = (page.get(statement, absent)[field] for page in pages)
        return known, new

    return tuple(Pair(s, both(s, "shown"), both(s, "verdict")) for s in {**pages[0], **pages[1]})


def _titled(page: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The tables of a page by their titles, the arms as one of them."""
    rows = [[arm["name"], arm["final"], arm["cost"]["flops"]] for arm in page.get("arms", ())]
    arms = {"title": "Arms", "columns": ["arm", f"final {page.get('metric')}", "FLOPs"], "rows": rows}
    return {table["title"]: table for table in [*([arms] if rows else []), *page["tables"]]}


def _shape(table: Mapping[str, Any]) -> tuple[list[str], int]:
    return table["columns"], len(table["rows"])


def _moved(first: Mapping[str, Any], second: Mapping[str, Any]) -> Moved:
    differing: list[tuple[float, str, tuple[str, str]]] = []
    spreads = []
    cells = 0
    for old, new in zip(first["rows"], second["rows"], strict=True):
        for column, a, b in zip(first["columns"], old, new, strict=True):
            cells += 1
            spread = _in_spreads(a, b)
            spreads += [] if spread is None else [spread]
            if a != b:
                differing.append(
                    (_share(a, b) if spread is None else spread, f"{old[0]}, {column}", (_text(a), _text(b)))
                )
    _, furthest, values = max(differing, default=(0.0, "", ("", "")))
    typical = statistics.median(spreads) if spreads else math.nan
    return Moved(first["title"], cells, len(differing), typical, furthest, values)


def _measured(value: Any) -> tuple[float, float] | None:
    """A cell's number and its standard deviation, NaN if it tells none; None where it holds words."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value), math.nan
    found = _MEASURED.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    mean, spread = (float((part or "nan").replace(",", "")) for part in found.groups())
    return mean, spread


def _in_spreads(first: Any, second: Any) -> float | None:
    """By how many standard deviations a cell moved; None where they are not told, or are 0."""
    a, b = _measured(first), _measured(second)
    if a is None or b is None:
        return None
    pooled = math.sqrt((a[1] ** 2 + b[1] ** 2) / 2)
    return abs(a[0] - b[0]) / pooled if pooled > 0 else None


def _share(first: Any, second: Any) -> float:
    """By what share of the larger a number moved; 0 for words."""
    a, b = _measured(first), _measured(second)
    return 0.0 if a is None or b is None else abs(a[0] - b[0]) / max(abs(a[0]), abs(b[0]), 1e-300)


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _homeless(value: Any) -> Any:
    """A declaration whose classes and functions have their own names alone: a module that moved changes nothing.

    Nor does the order of names, which older reports do not tell.
    """
    if isinstance(value, Mapping):
        named = {key: value[key].rpartition(":")[2] for key in ("type", "function") if isinstance(value.get(key), str)}
        return {key: _homeless(inner) for key, inner in value.items() if key != "in the order"} | named
    return [_homeless(inner) for inner in value] if isinstance(value, list) else value

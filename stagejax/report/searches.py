"""How population searches went: the fitness of the best member, and how far members are apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stagejax.report.figures import Figure
from stagejax.report.paired import lines
from stagejax.report.tables import Table


def course(search: Any, name: str) -> np.ndarray:
    """A metric of every generation, the mean over replicas; one NaN in a plan.

    >>> from types import SimpleNamespace as Of
    >>> course(Of(history=Of(train={"loss": [[4.0, 2.0], [1.0, 2.0]]})), "loss")
    array([3. , 1.5])
    """
    values = np.asarray(search.history.train.get(name) or [[np.nan]], float)
    return values.reshape(len(values), -1).mean(1)


def ends(searches: Mapping[str, Any], metric: str, note: str = "") -> Table:
    """Of each search, a stage whose step is `Evolving`: fitness of the best and spread at first and at the end.

    Args:
      metric: of the evaluations, a share; of what is found.
    """
    made = []
    for name, search in searches.items():
        best, spread = course(search, "loss"), course(search, "spread")
        made.append((name, search.steps, best[0], best[-1], spread[0], spread[-1], search.history.last(metric)))
    found = f"{metric.upper()} of what is found"
    columns = ("search", "generations", "best fitness, first", "last", "spread, first", "last", found)
    return Table("Searches", columns, tuple(made), ("", "", ".4f", ".4f", ".2f", ".2f", ".1%"), note)


def over_evaluations(title: str, searches: Mapping[str, Any], ylabel: str = "best fitness") -> tuple[Figure, ...]:
    """The fitness of the best over how many networks were evaluated, the mean over replicas, from the first generation
    to where the shortest search ends; nothing in a plan."""
    sizes = {name: search.stage.model["population"].size for name, search in searches.items()}
    each = {name: search.stage.step.method.evaluated(sizes[name]) for name, search in searches.items()}
    ends_at = min(each[name] * search.steps for name, search in searches.items())
    at, series = np.arange(max(sizes.values()), ends_at + 1), {}
    for name, search in searches.items():
        best = course(search, "loss")
        series[name] = np.interp(at, each[name] * np.arange(1, len(best) + 1), best)
    if any(np.isnan(values).any() for values in series.values()):
        return ()
    caption = "Means over seeds."
    return (lines(title, series, at=at.tolist(), xlabel="evaluations", ylabel=ylabel, caption=caption),)

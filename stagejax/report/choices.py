"""Numbers that are chosen from grids by what they give on validation data: which, of what, and at which cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stagejax.report.tables import Table


@dataclass
class Choices:
    """All choices of an experiment, to be shown and charged.

    >>> choices = Choices()
    >>> choices.best("rate", (1e-3, 1e-2), lambda rate: (0.5 if rate < 1e-2 else 0.75, ()))
    0.01
    >>> choices.table("By validation rows.").rows
    (('rate', '0.001, 0.01', '0.5, 0.75', 0.01, 'yes'),)
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    spent: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # results by what was chosen

    def best(self, what: str, grid: Sequence[float], tried: Callable[[float], tuple[float, tuple[Any, ...]]]) -> float:
        """The number of a grid with the highest score; the first one where a score is NaN, as in planning.

        Args:
          what: is chosen.
          tried: of a number, its score and the results that it took.
        """
        found = [tried(value) for value in grid]
        scores = [score for score, _ in found]
        value = grid[0 if np.isnan(scores).any() else int(np.argmax(scores))]
        self.spent[what] = tuple(result for _, results in found for result in results)
        end = "yes" if len(grid) > 1 and value in (min(grid), max(grid)) else ""
        self.rows.append((what, ", ".join(f"{x:g}" for x in grid), ", ".join(f"{x:.3g}" for x in scores), value, end))
        return value

    def table(self, note: str) -> Table:
        """What was tried, and what was chosen; a number at an end of its grid says that more might be better."""
        return Table("What was chosen", ("of", "tried", "scores", "chosen", "at an end"), tuple(self.rows), note=note)

"""Numbers that are chosen one after the other, each with the best of those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stagejax.search.lowest import lowest

Numbers = dict[str, float]


@dataclass
class InTurn:
    """What was tried for each of several things, such as an update of one kind, and which numbers were the best.

    Args:
      score: (way, numbers by name) -> a result whose value is the higher the better; a way says who is asked.

    >>> from types import SimpleNamespace
    >>> def score(way, own):
    ...     return SimpleNamespace(value=-((own["a"] - 1) ** 2) - (own["b"] - 8) ** 2)
    >>> found = InTurn(score)
    >>> first = found.search("first", "way", {"b": 0.0}, "a", (1.0, 2.0), also=[{"a": 3.0, "b": 0.0}])
    >>> found.search("second", "way", first, "b", (1.0, 2.0)), len(found.spent("first")), len(found.spent("second"))
    ({'b': 8.0, 'a': 1.0}, 4, 4)
    """

    score: Callable[[str, Numbers], Any]
    best: dict[str, Numbers] = field(default_factory=dict)
    tried: dict[str, list[tuple[Numbers, Any]]] = field(default_factory=dict)

    def search(
        self, what: str, way: str, known: Numbers, name: str, grid: Sequence[float], also: Sequence[Numbers] = ()
    ) -> Numbers:
        """The best of `also` and of `known` with each number of a grid, and up to two past its ends, under one name.

        What was tried for `what` before counts as well. The first of equals is taken; of all in a plan.
        """
        own = self.tried.setdefault(what, [])

        def loss(numbers: Numbers) -> tuple[float, tuple[Any, ...]]:
            own.append((numbers, self.score(way, numbers)))
            return _lost(own[-1]), ()

        for numbers in also:
            loss(numbers)
        lowest(grid, lambda number: loss(known | {name: number}), beyond=2)
        self.best[what] = min(own, key=_lost)[0]
        return self.best[what]

    def spent(self, *names: str) -> tuple[Any, ...]:
        """The results of what was tried for these, to be charged."""
        return tuple(result for name in names for _, result in self.tried[name])


def _lost(tried: tuple[Numbers, Any]) -> float:
    """NaN in a plan."""
    return float("nan") if tried[1].value is None else -float(tried[1].value)

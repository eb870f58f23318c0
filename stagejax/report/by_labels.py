"""Arms that learn from several numbers of labels, each from several seeds: scores, differences and their order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stagejax.report.seeds import mean
from stagejax.report.tables import Table, table_of_means


class Order(NamedTuple):
    """Whether the means of some arms rise."""

    told: str | None  # the means; None in a plan
    rises: bool
    far: float  # how far the last mean is above the first, in points


@dataclass(frozen=True, eq=False)
class ByLabels:
    """Arms by number of labels, name and seed; the last result of each was evaluated on test data.

    Beside them, by number of labels and seed, is what else was made for all arms of one draw.

    >>> from types import SimpleNamespace as Made
    >>> def arm(score):
    ...     return Made(results=(Made(history=Made(last=lambda name: score)),))
    >>> found = ByLabels()
    >>> found.add(50, 0, {"plain": arm(0.5), "ours": arm(0.75)}, {"taken": 7})
    >>> found.add(50, 1, {"plain": arm(0.25), "ours": arm(0.5)}, {"taken": 9})
    >>> found.scores(50, "ours"), found.gap(50, "ours", "plain"), found.scores(50, "none")
    ([75.0, 50.0], [25.0, 25.0], [])
    >>> found.order(50, ("plain", "ours"))
    Order(told='plain 37.5, ours 62.5', rises=True, far=25.0)
    >>> found.table("Taken", ["by ours"], lambda row, labels, made: [own["taken"] for own in made], "Texts.").rows
    (('by ours', '8.0 ± 1.4'),)
    >>> [list(own) for own in found.named("news")], [list(own) for own in found.named("news", plain=50)]
    ([['plain, news 50', 'ours, news 50']], [['plain', 'ours']])
    """

    arms: dict[int, dict[str, dict[int, Any]]] = field(default_factory=dict)
    made: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)

    def add(self, labels: int, seed: int, arms: dict[str, Any], made: dict[str, Any]) -> None:
        """The arms of one draw of labels, and what was made beside."""
        self.made[labels, seed] = made
        own = self.arms.setdefault(labels, {})
        for name, arm in arms.items():
            own.setdefault(name, {})[seed] = arm

    def scores(self, labels: int, arm: str, metric: str = "accuracy") -> list[float]:
        """By seed, in %; none of an arm that is not there."""
        return [100 * own.results[-1].history.last(metric) for own in self.arms[labels].get(arm, {}).values()]

    def gap(self, labels: int, arm: str, other: str) -> list[float]:
        """How far an arm is above another, by seed, in points."""
        return [a - b for a, b in zip(self.scores(labels, arm), self.scores(labels, other), strict=True)]

    def order(self, labels: int, arms: Sequence[str]) -> Order:
        """Of the means over seeds of these arms, from the lowest as it should be to the highest."""
        means = [mean(self.scores(labels, arm)) for arm in arms]
        known = all(value == value for value in means)
        told = ", ".join(f"{arm} {value:.1f}" for arm, value in zip(arms, means, strict=True)) if known else None
        return Order(told, all(a < b for a, b in itertools.pairwise(means)), means[-1] - means[0])

    def named(self, task: str, plain: int | None = None) -> list[dict[str, dict[int, Any]]]:
        """For each number of labels all arms by name and seed, for a report; of one number by their name alone."""
        mark = {labels: "" if labels == plain else f", {task} {labels}" for labels in self.arms}
        return [{name + mark[labels]: by for name, by in own.items()} for labels, own in self.arms.items()]

    def table(self, title: str, rows: Iterable[str], measure: Callable[..., list[float]], note: str) -> Table:
        """What `measure(row, number of labels, what was made for each seed)` gives, means over seeds."""
        columns = {f"{labels} labels": labels for labels in self.arms}

        def cell(row: str, column: str) -> list[float]:
            labels = columns[column]
            return measure(row, labels, [own for (count, _), own in self.made.items() if count == labels])

        return table_of_means(title, list(rows), list(columns), cell, scale=1.0, note=note)


def told(made: Iterable[Any], what: Callable[[Any], float]) -> list[float]:
    """What is said of the values of artifacts; nothing in a plan, which has none.

    >>> from types import SimpleNamespace as Made
    >>> told([Made(value=2), Made(value=None)], float)
    [2.0]
    """
    return [what(own.value) for own in made if own.value is not None]

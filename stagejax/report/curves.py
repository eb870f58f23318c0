"""Arms of a comparison, their evaluation curves over cumulative cost, and what an arm saves against a baseline.

The abscissa is what training cost up to an evaluation, in FLOPs, steps or seconds, over all stages of the arm, and with
the source model's cost before them where it is charged. Replicas (`seeds`) are averaged, and each is charged its own
share.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from stagejax.ledger import Cost, Number, total


@runtime_checkable
class Result(Protocol):
    """What the report reads of a finished stage."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def steps(self) -> int: ...

    @property
    def cost(self) -> Cost: ...

    @property
    def history(self) -> Any: ...  # `train`: {metric: [value a step]}, `evals`: [{"step", "flops", metric: value}]


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: its stages in order, and results whose cost is charged to it as well.

    Args:
      name: unique in its report.
      results: its own stages; their evaluations are its curve.
      charged: what it builds on, such as the small model that was grown, whose curve is not the arm's.
      group: arms that differ in their seed alone share it, and a colour; empty: the arm's own name.
      against: name of the arm it is measured against, such as the baseline of its seed; empty: the report's.
    """

    name: str
    results: tuple[Result, ...]
    charged: tuple[Result, ...] = ()
    group: str = ""
    against: str = ""

    @property
    def cost(self) -> Cost:
        """Of the arm's own stages, one replica's share of FLOPs."""
        return total(cost_of(result) for result in self.results)

    @property
    def charged_cost(self) -> Cost:
        """Of what the arm builds on, one replica's share of FLOPs."""
        return total(cost_of(result) for result in self.charged)


@dataclass(frozen=True)
class Seconds:
    """An abscissa: a trained stage takes `pace` seconds a step; all else, such as a search, what was measured."""

    pace: float

    @classmethod
    def of(cls, arms: Iterable[Arm]) -> Seconds:
        """At the pace of the program that all arms run: the median over trained stages; NaN of none, as in planning.

        The first stage of a program also compiles it, and a machine has other things to do: a median minds neither.
        """
        results = (result for arm in arms for result in arm.results)
        paces = [float(r.cost.seconds / r.steps) for r in results if r.steps and r.cost.seconds]
        return cls(statistics.median(paces) if paces else math.nan)


Over = Literal["flops", "steps"] | Seconds


@dataclass(frozen=True)
class Point:
    """One evaluation."""

    x: Number  # cumulative FLOPs, steps or seconds
    y: Number  # the metric, averaged over replicas
    low: Number  # of the replicas
    high: Number
    stage: int  # which of the arm's stages


@dataclass(frozen=True)
class Curve:
    """The evaluations of an arm in order."""

    name: str
    points: tuple[Point, ...]
    group: str = ""

    @property
    def borders(self) -> tuple[Number, ...]:
        """Where one stage ends and the next begins."""
        pairs = zip(self.points, self.points[1:], strict=False)
        return tuple(b.x for a, b in pairs if a.stage != b.stage)

    @property
    def last(self) -> Number:
        """The metric at the end; NaN if nothing was evaluated."""
        return self.points[-1].y if self.points else math.nan


def replicas(result: Result) -> int:
    """How many replicas trained in one program: the length of the lists in the history."""
    values = [v for series in result.history.train.values() for v in series[:1]]
    values += [v for row in result.history.evals[:1] for v in row.values()]
    return max((len(v) for v in values if isinstance(v, list | tuple)), default=1)


def cost_of(result: Result) -> Cost:
    """The cost of a result with one replica's share of its FLOPs, so that arms with more seeds are not dearer."""
    shares = replicas(result)
    return replace(result.cost, flops=result.cost.flops / shares, eval_flops=result.cost.eval_flops / shares)


def curve(arm: Arm, *, over: Over = "flops", metric: str = "loss", with_source: bool = False) -> Curve:
    """The evaluations of an arm over its cumulative training FLOPs, steps or seconds.

    Args:
      over: "flops", "steps" (to which a source adds nothing), or `Seconds` at a pace.
      metric: name in the rows of `history.evals`; rows and stages without it are left out.
      with_source: begin at the cost of what is charged to the arm.
    """
    at = sum(whole(result, over) for result in arm.charged) if with_source and over != "steps" else 0.0
    points: list[Point] = []
    for stage, result in enumerate(arm.results):
        for row in result.history.evals:
            if metric in row:
                values = np.atleast_1d(np.asarray(row[metric], np.float64))
                x = at + part(result, row, over)
                points.append(Point(x, float(values.mean()), float(values.min()), float(values.max()), stage))
        at += whole(result, over)
    return Curve(arm.name, tuple(points), arm.group or arm.name)


def whole(result: Result, over: Over) -> Number:
    """What one replica of a stage took."""
    if over == "steps":
        return result.steps
    if over == "flops":
        return cost_of(result).flops
    return result.steps * over.pace if result.kind == "train" else result.cost.seconds


def part(result: Result, row: dict[str, Any], over: Over) -> Number:
    """What one replica of a stage took up to an evaluation."""
    if over == "flops":
        return row["flops"] / replicas(result)
    return row["step"] * (1 if over == "steps" else over.pace)


def over_seeds(name: str, xs: Sequence[Number], values_SX: np.ndarray) -> Curve:
    """A curve of what was measured at `xs`, (seeds, xs): means, with the lowest and the highest.

    >>> over_seeds("a", [10, 20], np.array([[0.0, 1.0], [1.0, 1.0]])).points[0]
    Point(x=10, y=0.5, low=0.0, high=1.0, stage=0)
    """
    columns = zip(xs, np.asarray(values_SX, float).T, strict=True)
    return Curve(name, tuple(Point(x, float(y.mean()), float(y.min()), float(y.max()), 0) for x, y in columns))


def flops_to_reach(curve: Curve, target: Number, *, rising: bool = False) -> float:
    """Where a curve first is at the target or below it (above it, for a rising metric), by linear interpolation.

    Between two stages nothing is interpolated, because growth makes the curve jump there.

    Returns:
      The abscissa; infinity if the target is never reached, NaN if nothing was evaluated.

    >>> points = tuple(Point(x, y, y, y, 0) for x, y in [(0, 4.0), (10, 3.0), (20, 1.0)])
    >>> flops_to_reach(Curve("a", points), 2.0)
    15.0
    >>> flops_to_reach(Curve("a", points), 0.5)
    inf
    """
    if not curve.points or math.isnan(target):
        return math.nan
    sign = -1.0 if rising else 1.0
    before: Point | None = None
    for point in curve.points:
        if sign * point.y <= sign * target:
            if before is None or before.stage != point.stage:
                return float(point.x)
            return float(before.x + (before.y - target) / (before.y - point.y) * (point.x - before.x))
        before = point
    return math.inf


def saving(arm: Arm, baseline: Arm, *, with_source: bool = False, metric: str = "loss", rising: bool = False) -> float:
    """1 - FLOPs(arm reaches the baseline's final value) / FLOPs(baseline at its end).

    Negative if the arm needs more; minus infinity if it never gets there; NaN if nothing was evaluated. Both sides are
    charged their sources with `with_source`; bert2BERT (arXiv 2110.07143) reports savings without.
    """
    base = curve(baseline, metric=metric, with_source=with_source)
    if not base.points:
        return math.nan
    needed = flops_to_reach(curve(arm, metric=metric, with_source=with_source), base.last, rising=rising)
    return 1 - needed / base.points[-1].x


def find(arms: Sequence[Arm], name: str) -> Arm:
    """The arm of that name.

    Raises:
      ValueError: there is none.
    """
    for arm in arms:
        if arm.name == name:
            return arm
    raise ValueError(f"no arm is named {name!r}; there are {[arm.name for arm in arms]}")

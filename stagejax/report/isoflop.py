"""The best size of a model at a budget of FLOPs: where one size more and fewer tokens are worth as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.ledger import Number
from stagejax.report.curves import Arm, curve, flops_to_reach
from stagejax.report.fits import Points
from stagejax.report.seeds import mean, shown
from stagejax.report.tables import Table, si


def isoflop_optimum(parameters: Points, losses: Points) -> float:
    """The number of parameters with the least loss at equal FLOPs: the vertex of a parabola in log parameters.

    NaN where the parabola opens downwards, or its vertex lies outside the sizes that were tried.

    Args:
      parameters, losses: of three sizes or more.

    Reference: Hoffmann et al. 2022, https://arxiv.org/abs/2203.15556, section 3.2.

    >>> round(isoflop_optimum([1e4, 1e5, 1e6], [3.0, 2.0, 3.0]))
    100000
    >>> isoflop_optimum([1e4, 1e5, 1e6], [3.0, 2.0, 1.5])
    nan
    """
    x, y = np.log(np.asarray(parameters, np.float64)), np.asarray(losses, np.float64)
    if np.isnan(y).any():
        return float("nan")
    curvature, slope, _ = np.polyfit(x - x.mean(), y, 2)
    vertex = x.mean() - slope / (2 * curvature) if curvature > 0 else np.inf
    return float(np.exp(vertex)) if x.min() <= vertex <= x.max() else float("nan")


def best_ratio(parameters: Points, tokens: Points, losses: Points) -> float:
    """Tokens to parameters at the optimum, tokens interpolated between sizes in log-log; NaN where there is none.

    >>> round(best_ratio([1e4, 1e5, 1e6], [1e7, 1e6, 1e5], [3.0, 2.0, 3.0]), 6)
    10.0
    """
    least = isoflop_optimum(parameters, losses)
    return float(np.exp(np.interp(np.log(least), np.log(parameters), np.log(tokens))) / least)


def adjusted(parameters: Number, tokens: Number, ratio: Number) -> tuple[float, float]:
    """(P', T') with T' / P' = ratio and as many FLOPs as (P, T): P' = sqrt(P T / ratio), by C = 6 P T.

    Reference: Komatsuzaki 2019, https://arxiv.org/abs/1906.06669.

    >>> adjusted(100, 400, ratio=1)
    (200.0, 200.0)
    """
    best = float(np.sqrt(parameters * tokens / ratio))
    return best, ratio * best


@dataclass(frozen=True)
class Sizes:
    """Models of several sizes that were trained at equal FLOPs, from the smallest on.

    Args:
      arms: those of each size, one a seed and in the same order, each of one stage.
    """

    arms: Mapping[str, Sequence[Arm]]

    def losses(self, label: str) -> list[float]:
        """The last one of every seed."""
        return [arm.results[0].history.last("loss") for arm in self.arms[label]]

    @property
    def best(self) -> str:
        """The size with the lowest mean loss."""
        return min(self.arms, key=lambda label: mean(self.losses(label)))

    @property
    def interior(self) -> bool:
        """Whether that is neither the smallest nor the largest."""
        return self.best in list(self.arms)[1:-1]

    def flops_to(self, loss: float, at: int) -> float:
        """The FLOPs that the best size takes to a loss, with one of the seeds."""
        return flops_to_reach(curve(self.arms[self.best][at]), loss)

    def ratios(self) -> list[float]:
        """`best_ratio` of every seed."""
        first = [own[0].results[0] for own in self.arms.values()]
        parameters, tokens = [getattr(r, "parameters", 0) for r in first], [r.cost.tokens for r in first]
        return [best_ratio(parameters, tokens, own) for own in zip(*map(self.losses, self.arms), strict=True)]

    def table(self, parameters: int, tokens: int) -> Table:
        """All sizes, by how much the best one is sooner at the loss of each, and what a pair is adjusted to."""
        rows = []
        for label, arms in self.arms.items():
            r, losses = arms[0].results[0], self.losses(label)
            sooner = mean([r.cost.flops / self.flops_to(loss, at) for at, loss in enumerate(losses)])
            size = getattr(r, "parameters", 0)
            ratio, flops = r.cost.tokens / size, float(r.cost.flops)
            rows.append((label, size, r.steps, r.cost.tokens, ratio, flops, shown(losses), sooner))
        ratios = self.ratios()
        pairs = (adjusted(parameters, tokens, ratio) for ratio in ratios if not np.isnan(ratio))
        wanted = ", ".join(f"{si(t)} tokens for {si(p)}" for p, t in pairs) or "nothing"
        vertices = ", ".join("none" if np.isnan(ratio) else f"{ratio:.1f}" for ratio in ratios)
        note = (
            "Sooner: the FLOPs of a size by those that the best size takes to the same loss. Tokens to parameters at "
            f"the vertex of a parabola within these sizes, each seed: {vertices}. The pair of {si(tokens)} tokens for "
            f"{si(parameters)} parameters is adjusted by them to {wanted}."
        )
        columns = ("size", "parameters", "steps", "tokens", "tokens / parameters", "FLOPs", "loss", "best size sooner")
        return Table("Sizes at equal FLOPs", columns, tuple(rows), ("", ",", "", "si", ".1f", "si", "", ".2f"), note)

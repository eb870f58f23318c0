"""Learning traces: the curves fitted to ever longer prefixes of a learning curve, and when to trust them.

At level l a pattern is fitted to the first l observations. After a level at which the fits have settled, the sequence
converges, and training may stop once two consecutive fits agree within a tolerance. Every rule here looks at no
observation behind the level at which it speaks. Arrays of levels have the observations' last axis: place l - 1 belongs
to level l.

Reference: Vilares Ferro, Darriba Bilbao and Ribadas Pena 2017, https://arxiv.org/abs/2402.02515.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.report.patterns import POWER, Pattern, Trends, fit

LEAST = 3  # observations of a fit


def trace(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> Trends:
    """The fits of all levels; NaN before level 3.

    Args:
      x: (n,) sizes of the nested training sets.
      y: (..., n) accuracies.

    Returns:
      Trends of shape (..., n).

    >>> x = np.arange(1.0, 9.0)
    >>> trace(POWER, x, 0.9 - 0.4 * x**-0.5).c.round(3).tolist()
    [nan, nan, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    """
    return _stacked(pattern, y, [fit(pattern, x[: i + 1], y[..., : i + 1]) for i in range(LEAST - 1, len(x))])


def working_level(trends: Trends, within: float, ahead: int) -> np.ndarray:
    """The first level from which `ahead` changes of the asymptote in a row are at most `within`; n + 1 if none is.

    It is known `ahead` levels later.

    >>> c = np.array([[np.nan, np.nan, 1.3, 1.0, 0.995, 0.99, 0.98]])
    >>> working_level(Trends(POWER, c, c, c, c), within=0.01, ahead=2)
    array([4])
    """
    small = np.abs(np.diff(trends.c)) <= within  # NaN compares as False
    runs = np.lib.stride_tricks.sliding_window_view(small, ahead, axis=-1).all(-1)
    return np.where(runs.any(-1), runs.argmax(-1) + 1, trends.c.shape[-1] + 1)


def prediction_level(trends: Trends, working: np.ndarray) -> np.ndarray:
    """The first level, the working level or later, whose curve rises to an asymptote of at most 1; n + 1 if none does.

    An asymptote above 1 is not clipped: such a level is not trusted.
    """
    n = trends.c.shape[-1]
    trusted = admissible(trends) & (np.arange(1, n + 1) >= working[..., None])
    return np.where(trusted.any(-1), trusted.argmax(-1) + 1, n + 1)


def admissible(trends: Trends) -> np.ndarray:
    """Which trends rise, and to at most 1."""
    return (trends.a > 0) & (trends.c <= 1)


def layers(x: np.ndarray, trends: Trends) -> np.ndarray:
    """chi(l) = sup over x >= x_l of |A_l(x) - A_(l-1)(x)| of power laws, in closed form; NaN where there are no two.

    The difference of two power laws has its extremes at x_l, at infinity and where its derivative
    a b x^(-b-1) - a' b' x^(-b'-1) is zero.

    Raises:
      ValueError: the pattern is not the power law.

    >>> x = np.arange(1.0, 5.0)
    >>> laws = Trends(POWER, *np.array([[1.0] * 4, [0.5] * 4, [0.7, 0.8, 0.9, 0.9], [1.0] * 4]))
    >>> layers(x, laws).round(3).tolist()
    [nan, 0.1, 0.1, 0.0]
    """
    if trends.pattern != POWER:
        raise ValueError(f"the extremes are those of power laws, not of the {trends.pattern.name}")
    new, old = trends[..., 1:], trends[..., :-1]
    begin = np.broadcast_to(x[1:], new.c.shape)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # log of a b unit^b, so that both derivatives are in the same x
        slopes = [np.log(t.a) + np.log(t.b) + t.b * np.log(t.unit) for t in (new, old)]
        turn = np.exp((slopes[0] - slopes[1]) / (new.b - old.b))
    turn = np.where(np.isfinite(turn), np.maximum(turn, begin), begin)
    gaps = [np.abs(new(at) - old(at)) for at in (begin, turn, np.inf)]
    return np.concatenate([np.full_like(trends.c[..., :1], np.nan), np.maximum.reduce(gaps)], -1)


def anchored(pattern: Pattern, x: np.ndarray, y: np.ndarray, plain: Trends, prediction: np.ndarray) -> Trends:
    """The trace with an observation at infinity behind the prediction level: the asymptote of the anchored fit before.

    The first anchor is the asymptote of the plain fit at the prediction level; up to there the fits are the plain ones.
    """
    made = [plain[..., LEAST - 1]]
    for i in range(LEAST, len(x)):
        own = plain[..., i]
        held = fit(pattern, x[: i + 1], y[..., : i + 1], made[-1].c)
        behind = i + 1 > prediction
        made.append(
            Trends(
                pattern,
                *(np.where(behind, getattr(held, k), getattr(own, k)) for k in ("a", "b", "c", "unit")),
            )
        )
    return _stacked(pattern, y, made)


@dataclass(frozen=True)
class Tolerance:
    """What a user sets: when fits count as settled, and how near two of them have to be.

    Args:
      within: largest change of the asymptote between levels once it is settled.
      ahead: how many such changes in a row.
    """

    within: float = 0.01
    ahead: int = 5


def stopping_level(trends: Trends, x: np.ndarray, within: float, settled: Tolerance) -> np.ndarray:
    """The first level at which training may stop; n + 1 if none.

    It is behind the prediction level, late enough for the working level to be known, its trend is admissible, and
    chi(l) <= within.

    >>> x = np.arange(1.0, 21.0)
    >>> y = (0.9 - 0.4 * x**-0.5)[None]
    >>> stopping_level(trace(POWER, x, y), x, within=0.01, settled=Tolerance(ahead=4))
    array([7])
    """
    n, working = len(x), working_level(trends, settled.within, settled.ahead)
    first = np.maximum(working + settled.ahead, prediction_level(trends, working))[..., None]
    near = (layers(x, trends) <= within) & admissible(trends) & (np.arange(1, n + 1) >= first)
    return np.where(near.any(-1), near.argmax(-1) + 1, n + 1)


@dataclass(frozen=True)
class Distortion:
    """A share of a curve's observations is moved up or down by `noise`, drawn anew in each of some draws."""

    share: float = 0.1
    noise: float = 0.01
    draws: int = 20
    seed: int = 0

    def of(self, y: np.ndarray) -> np.ndarray:
        """The curves (..., n) of every draw (draws, ..., n).

        >>> moved = Distortion(share=0.25, draws=3).of(np.zeros((2, 8)))
        >>> moved.shape, (moved != 0).sum(-1).tolist()
        ((3, 2, 8), [[2, 2], [2, 2], [2, 2]])
        """
        rng = np.random.default_rng(self.seed)
        order = rng.random((self.draws, *y.shape)).argsort(-1)
        signs = rng.choice([-self.noise, self.noise], order.shape)
        return y + np.where(order < round(self.share * y.shape[-1]), signs, 0)


def distorted_spread(pattern: Pattern, x: np.ndarray, y: np.ndarray, settled: Tolerance, by: Distortion) -> np.ndarray:
    """Standard deviations (2, ..., n) over draws of each level's estimate of the last accuracy: plain, and anchored.

    The whole procedure is run on each distorted curve, prediction level and all.
    """
    moved = by.of(y)
    plain = trace(pattern, x, moved)
    trusted = prediction_level(plain, working_level(plain, settled.within, settled.ahead))
    return np.stack([made(x[-1]).std(0, ddof=1) for made in (plain, anchored(pattern, x, moved, plain, trusted))])


def _stacked(pattern: Pattern, y: np.ndarray, fits: list[Trends]) -> Trends:
    """Fits of levels 3, 4, ... behind two levels of NaN."""
    none = np.full((*np.shape(y)[:-1], LEAST - 1), np.nan)
    fields = ("a", "b", "c", "unit")
    return Trends(pattern, *(np.concatenate([none, np.stack([getattr(f, k) for f in fits], -1)], -1) for k in fields))

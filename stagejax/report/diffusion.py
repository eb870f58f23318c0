"""How a random walk spreads: distances over time as a logarithm or as a power, and which of the two is nearer.

In a landscape whose covariance grows with the distance to the power alpha, E |w_t - w_0|² ~ (log t)^(4 / alpha); with
alpha = 2 the distance is a + b log t. In a flat one it is a power of t. Hoffer et al. 2017,
https://arxiv.org/abs/1705.08741, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.ledger import Number
from stagejax.report.figures import INK, PALETTE, svg_of

Points = Sequence[Number] | np.ndarray


@dataclass(frozen=True)
class Fit:
    """Two numbers by least squares of the distance itself, and how near the curve comes.

    aic = n log(RSS / n) + 2 · 3: Akaike's criterion with normal residuals, whose variance is the third number.
    """

    first: float  # a of a + b log t, or of a t^c
    second: float  # b, or c
    r2: float  # share of the variance that the fit explains
    aic: float  # lower is better, on the same points


def fit_logarithm(times: Points, distances: Points) -> Fit:
    """a + b log t.

    Raises:
      ValueError: see `fit_power`.

    >>> fit = fit_logarithm([1, 10, 100, 1000], [2.0, 2.5, 3.0, 3.5])
    >>> round(fit.first, 6), round(fit.second, 6), round(fit.r2, 6)  # 0.5 a decade
    (2.0, 0.217147, 1.0)
    """
    t, d = _points(times, distances)
    basis = np.stack([np.ones_like(t), np.log(t)], axis=1)
    a, b = np.linalg.lstsq(basis, d, rcond=None)[0]
    return _fit(float(a), float(b), basis @ np.array([a, b]), d)


def fit_power(times: Points, distances: Points) -> Fit:
    """a t^c, by the best c among those whose a is best.

    Raises:
      ValueError: fewer than four points, or a time or distance that is not positive.

    >>> fit = fit_power([1, 4, 16, 64], [3.0, 6.0, 12.0, 24.0])
    >>> round(fit.first, 4), round(fit.second, 4)
    (3.0, 0.5)
    """
    from scipy.optimize import minimize_scalar

    t, d = _points(times, distances)
    centre = np.exp(np.log(t).mean())  # t^c in its units stays near 1

    def best(c: float) -> tuple[float, np.ndarray]:
        power = (t / centre) ** c
        a = float(power @ d / (power @ power))
        return a, a * power

    found = minimize_scalar(
        lambda c: float(np.sum((best(c)[1] - d) ** 2)), bounds=(-4.0, 4.0), method="bounded", options={"xatol": 1e-9}
    )
    a, curve = best(found.x)
    return _fit(float(a * centre**-found.x), float(found.x), curve, d)


def fit_walk(distances: Points, first: int, count: int) -> tuple[Fit, Fit] | None:
    """Both fits of the distances after updates 1, 2, ..., at `spaced` updates from `first` to the last one.

    None where that leaves fewer than four of them.

    >>> logarithm, power = fit_walk(np.log(np.arange(2.0, 200.0)), first=10, count=20)
    >>> logarithm.aic < power.aic, fit_walk([1.0, 2.0, 3.0], first=2, count=20)
    (True, None)
    """
    times = spaced(first, len(distances), count) if len(distances) > first else np.zeros(0, int)
    if len(times) < 4:
        return None
    own = np.asarray(distances, np.float64)[times - 1]
    return fit_logarithm(times, own), fit_power(times, own)


def spaced(first: int, last: int, count: int) -> np.ndarray:
    """Whole numbers from first to last whose logarithms are evenly spaced, each once: at most `count`.

    >>> spaced(1, 1000, 4)
    array([   1,   10,  100, 1000])
    """
    return np.unique(np.round(np.geomspace(first, last, count)).astype(int))


def draw_walks(walks: Mapping[str, Sequence[Points]], *, baseline: str) -> str:
    """An SVG element: distances after updates 1, 2, ... over their logarithm, where a + b log t is a straight line.

    Args:
      walks: those of every seed, by arm; an arm has one colour.
      baseline: the arm drawn in ink.

    >>> draw_walks({"small": [[1.0, 1.5, 1.8]], "large": [[0.5, 0.7], [0.6, 0.7]]}, baseline="small")[:4]
    '<svg'
    """

    def paint(canvas: Any) -> None:
        axes = canvas.add_axes((0.07, 0.125, 0.645, 0.85))
        others = [arm for arm in walks if arm != baseline]
        for arm, own in walks.items():
            color = INK if arm == baseline else PALETTE[others.index(arm) % len(PALETTE)]
            for i, walk in enumerate(own):
                label = arm if i == 0 else None
                axes.plot(np.arange(1, len(walk) + 1), walk, color=color, linewidth=1.1, alpha=0.8, label=label)
        axes.set_xscale("log")
        axes.set_xlabel("updates")
        axes.set_ylabel("distance from the start")
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=1.8)

    return svg_of(paint, (9.0, 4.3), f"distance over updates: {', '.join(walks)}", salt=baseline)


def _points(times: Points, distances: Points) -> tuple[np.ndarray, np.ndarray]:
    t, d = np.asarray(times, np.float64), np.asarray(distances, np.float64)
    if len(t) < 4 or len(t) != len(d) or not (np.all(t > 0) and np.all(d > 0)):
        raise ValueError(f"give four or more points, all positive, not {len(t)} times and {len(d)} distances")
    return t, d


def _fit(first: float, second: float, curve: np.ndarray, d: np.ndarray) -> Fit:
    rest, whole = float(np.sum((d - curve) ** 2)), float(np.sum((d - d.mean()) ** 2))
    aic = len(d) * np.log(max(rest / len(d), 1e-300)) + 6
    return Fit(first, second, 1 - rest / whole if whole else float("nan"), float(aic))

"""Learning curves as power laws: what a longer run would reach, and how sure that is.

L(x) = floor + scale · x^-exponent, x in steps, tokens or FLOPs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.ledger import Number

Points = Sequence[Number] | np.ndarray


@dataclass(frozen=True)
class PowerLaw:
    """A fitted learning curve; call it with x.

    >>> law = PowerLaw(floor=2.0, scale=3.0, exponent=0.5)
    >>> float(law(9)), round(law.reaches(3), 6), law.reaches(1.9)
    (3.0, 9.0, inf)
    """

    floor: float
    scale: float
    exponent: float
    error: float = 0.0  # root mean square of the residuals of log L

    def __call__(self, x: Number | Points) -> np.ndarray:
        return np.asarray(self.floor + self.scale * np.asarray(x, np.float64) ** -self.exponent)

    def reaches(self, loss: Number) -> float:
        """The x at which the curve falls to a loss; infinity if its floor is above, or if no float is as large."""
        if not loss > self.floor:
            return float("inf")
        log_x = float(np.log(self.scale / (loss - self.floor))) / self.exponent
        return float(np.exp(log_x)) if log_x < np.log(np.finfo(np.float64).max) else float("inf")


def fit_power_law(x: Points, losses: Points, huber: float = 1e-3) -> PowerLaw:
    """The power law nearest to points of a curve: least Huber loss of log L, from a grid of starts.

    Args:
      x, losses: at least four points, positive; leave out what the warm-up bends.
      huber: residuals of log L beyond it count linearly, so that a spike does not bend the fit.

    Reference: Hoffmann et al. 2022, https://arxiv.org/abs/2203.15556, appendix D.2 (one variable).

    Raises:
      ValueError: fewer than four points, or some that are not positive.

    >>> x = np.array([10.0, 20, 50, 100, 200, 500])
    >>> law = fit_power_law(x, 1.5 + 4 * x**-0.4)
    >>> round(law.floor, 3), round(law.scale, 3), round(law.exponent, 3)
    (1.5, 4.0, 0.4)
    """
    from scipy.optimize import least_squares

    x, losses = np.asarray(x, np.float64), np.asarray(losses, np.float64)
    if len(x) < 4 or len(x) != len(losses) or not (np.all(x > 0) and np.all(losses > 0)):
        raise ValueError(
            f"a power law has three numbers: give four or more points, all positive, not {len(x)} x and {len(losses)} "
            f"losses from {min(losses, default=0)}"
        )
    centre = np.exp(np.log(x).mean())  # in units of which x is fitted, so that scale and exponent do not trade

    def residuals(p: np.ndarray) -> np.ndarray:
        return np.logaddexp(p[0], p[1] - np.exp(p[2]) * np.log(x / centre)) - np.log(losses)

    starts = [
        (np.log(share * losses.min()), np.log(max((1 - share) * losses.min(), 1e-9)), np.log(exponent))
        for share in (0.01, 0.5, 0.9)
        for exponent in (0.1, 0.5, 1.0)
    ]
    found = [least_squares(residuals, start, loss="huber", f_scale=huber, x_scale="jac") for start in starts]
    best = min(found, key=lambda one: one.cost)
    floor, scale, exponent = np.exp(best.x)
    error = float(np.sqrt(np.mean(residuals(best.x) ** 2)))
    return PowerLaw(float(floor), float(scale * centre**exponent), float(exponent), error)


def extrapolate(x: Points, losses: Points, to: Number, repeats: int = 100, seed: int = 0) -> tuple[float, float, float]:
    """What the curve reaches at `to`: the fit, and the 5 % and 95 % quantiles over fits of resampled points.

    >>> x = np.arange(10.0, 100.0, 5.0)
    >>> middle, low, high = extrapolate(x, 1.5 + 4 * x**-0.4, to=1000.0, repeats=5)
    >>> abs(middle - (1.5 + 4 * 1000**-0.4)) < 1e-3, low <= middle + 1e-6, middle - 1e-6 <= high
    (True, True, True)
    """
    x, losses, rng = np.asarray(x, np.float64), np.asarray(losses, np.float64), np.random.RandomState(seed)
    found = []
    while len(found) < repeats:
        rows = np.sort(rng.randint(len(x), size=len(x)))
        if len(set(x[rows])) >= 4:
            found.append(float(fit_power_law(x[rows], losses[rows])(to)))
    low, high = np.quantile(found, [0.05, 0.95])
    return float(fit_power_law(x, losses)(to)), float(low), float(high)


def foretold(x: Points, losses: Points, until: Number) -> tuple[PowerLaw, float]:
    """The law of the points up to x = `until`, and how far it is off at the later ones: the largest |law / loss - 1|.

    >>> x = np.arange(10.0, 100.0, 5.0)
    >>> law, off = foretold(x, 1.5 + 4 * x**-0.4, until=50)
    >>> off < 1e-3
    True
    """
    x, losses = np.asarray(x, np.float64), np.asarray(losses, np.float64)
    law, late = fit_power_law(x[x <= until], losses[x <= until]), x > until
    return law, float(np.abs(law(x[late]) / losses[late] - 1).max())


def departure(x: Points, losses: Points, share: float = 1 / 3, deviations: float = 3.0, consecutive: int = 3) -> float:
    """Where a curve rises above the law of its beginning, log L = a + b log x; infinity if it never does.

    The line is fitted to the first `share` of the points by least squares; s is the standard deviation of its residuals
    (n - 2 degrees of freedom). The curve departs at the first of `consecutive` later points that all lie more than
    `deviations` times s above the line.

    A distance to the teacher that leaves its power law tells of teacher hacking without an oracle: Tiapkin et al. 2025,
    https://arxiv.org/abs/2502.02671.

    Args:
      x, losses: points of the curve in order, positive; leave out what the warm-up bends.

    Raises:
      ValueError: the first share has fewer than four points, or some points are not positive.

    >>> x = np.arange(1.0, 31.0)
    >>> law = 2 * x**-0.5 * np.exp(0.01 * np.cos(x))
    >>> departure(x, law), departure(x, law + 0.02 * np.maximum(x - 20, 0))
    (inf, 21.0)
    """
    x, losses = np.asarray(x, np.float64), np.asarray(losses, np.float64)
    fitted = round(share * len(x))
    if fitted < 4 or len(x) != len(losses) or not (np.all(x > 0) and np.all(losses > 0)):
        raise ValueError(
            f"a line with a spread needs four points or more, all positive: {fitted} of {len(x)} are fitted; evaluate "
            "more often, or raise `share`"
        )
    slope, start = np.polyfit(np.log(x[:fitted]), np.log(losses[:fitted]), 1)
    residuals = np.log(losses) - start - slope * np.log(x)
    spread = np.sqrt(np.sum(residuals[:fitted] ** 2) / (fitted - 2))
    above = residuals > deviations * spread
    for at in range(fitted, len(x) - consecutive + 1):
        if above[at : at + consecutive].all():
            return float(x[at])
    return float("inf")

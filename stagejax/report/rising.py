"""What grows with the number of examples, and by which law: a power of it, or one that saturates.

P(D) = a · D^(1/b), against P(D) = P_inf - c · D^-beta.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Rising:
    """Both laws on the same points.

    aic = n log(RSS / n) + 2 k: Akaike's criterion with normal residuals of P itself, whose variance is one of the k
    numbers; 3 of the power, 4 of the one that saturates.
    """

    scale: float  # a, and
    exponent: float  # 1 / b, of the line through log P over log D
    r2: float  # of that line: the share of the variance of log P
    limit: float  # P_inf
    drop: float  # c
    beta: float
    power_aic: float  # lower is better
    saturating_aic: float

    @property
    def saturates(self) -> bool:
        """Whether the law that does has the lower criterion."""
        return self.saturating_aic < self.power_aic


def fit_rising(sizes: ArrayLike, values: ArrayLike, most: float = 1.0) -> Rising:
    """The power by least squares of log P over log D; for the comparison both by least squares of P.

    Args:
      sizes: D, four different ones or more, positive.
      values: P, positive; with several repeats, all of them with their sizes.
      most: P_inf is at most that much: 1 of an accuracy.

    Raises:
      ValueError: fewer sizes, or points that are not positive.

    Reference: the power as in Raghavendra et al. 2024, https://arxiv.org/abs/2410.03717.

    >>> sizes = np.array([30.0, 100, 300, 1000, 3000])
    >>> law = fit_rising(sizes, 0.02 * sizes**0.4)
    >>> round(law.scale, 3), round(law.exponent, 3), round(law.r2, 3), law.saturates
    (0.02, 0.4, 1.0, False)
    >>> law = fit_rising(sizes, 0.7 - 2 * sizes**-0.5)
    >>> round(law.limit, 2), round(law.drop, 2), round(law.beta, 2), law.saturates
    (0.7, 2.0, 0.5, True)
    """
    x, y = (np.asarray(own, np.float64).reshape(-1) for own in (sizes, values))
    if len(x) != len(y) or len(set(x.tolist())) < 4 or not (np.all(x > 0) and np.all(y > 0)):
        raise ValueError(
            f"a law has up to three numbers: give values at four or more sizes, all positive, not {y.tolist()} at "
            f"{x.tolist()}"
        )
    log_x, log_y = np.log(x), np.log(y)
    exponent, start = np.polyfit(log_x, log_y, 1)
    whole = float(np.sum((log_y - log_y.mean()) ** 2))
    rest = float(np.sum((log_y - start - exponent * log_x) ** 2))
    centre = log_x.mean()

    def power(exponent: float) -> float:
        basis = np.exp(exponent * (log_x - centre))
        return float(np.sum((y - basis * (basis @ y) / (basis @ basis)) ** 2))

    def saturating(log_beta: float) -> tuple[float, float, float]:
        basis = np.exp(-np.exp(log_beta) * (log_x - centre))
        drop, limit = np.polyfit(basis, y, 1)
        if limit > most:
            limit, drop = most, basis @ (y - most) / (basis @ basis)
        return float(np.sum((y - limit - drop * basis) ** 2)), float(limit), -float(drop)

    _, power_rest = _least(power, -2.0, 3.0)
    log_beta, saturating_rest = _least(lambda own: saturating(own)[0], np.log(0.01), np.log(5.0))
    _, limit, drop = saturating(log_beta)
    beta = float(np.exp(log_beta))

    def aic(rest: float, numbers: int) -> float:
        return float(len(x) * np.log(max(rest / len(x), 1e-30)) + 2 * numbers)

    return Rising(
        float(np.exp(start)), float(exponent), 1 - rest / whole if whole else float("nan"), limit,
        drop * float(np.exp(beta * centre)), beta, aic(power_rest, 3), aic(saturating_rest, 4),
    )  # fmt: skip


def _least(of: object, low: float, high: float) -> tuple[float, float]:
    """Where a function of one number is least, and how much it is there: on a grid, then between its neighbours."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(low, high, 61)
    at = int(np.argmin([of(own) for own in grid]))  # type: ignore[operator]
    ends = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = minimize_scalar(of, bounds=ends, method="bounded", options={"xatol": 1e-8})
    return float(found.x), float(found.fun)

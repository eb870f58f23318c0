"""Patterns of learning curves that rise towards an asymptote, fitted to many curves and prefixes at once.

A(x) = c - a shape(x / unit; b). For a given b this is linear in a and c, so a fit is a search in b alone, each b with
its best a >= 0 and c (variable projection): no start has to be guessed, and what is found is the least on a whole grid.

Losses that fall are the business of `report.fits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = np.ndarray | np.floating
Shape = Callable[[Any, Any], Values]

_GRID, _ZOOMS, _STEPS = 400, 6, 9


def power(x: Any, b: Any) -> Values:
    """x^-b."""
    return np.asarray(x, np.float64) ** -np.asarray(b)


def exponential(x: Any, b: Any) -> Values:
    """exp(-b x)."""
    return np.exp(-np.asarray(b) * np.asarray(x, np.float64))


def logarithmic(x: Any, b: Any) -> Values:
    """-log x, whatever b: it falls without end, so the curve has no asymptote."""
    return -np.log(np.asarray(x, np.float64)) + 0 * np.asarray(b)


@dataclass(frozen=True)
class Pattern:
    """A family of curves A(x) = c - a shape(x / unit; b): rising and concave for a, b > 0.

    Args:
      shape: falls in x.
      reach: least and greatest b of a fit, where x is in units of the last observation; both alike: b is not fitted.
      bounded: whether shape falls to 0, so that c is the asymptote.
    """

    name: str
    shape: Shape
    reach: tuple[float, float]
    bounded: bool = True


POWER = Pattern("power law", power, (1e-2, 10.0))
EXPONENTIAL = Pattern("exponential", exponential, (1e-2, 100.0))
LOGARITHMIC = Pattern("logarithm", logarithmic, (1.0, 1.0), bounded=False)


@dataclass(frozen=True)
class Trends:
    """Fitted curves of one pattern: a, b, c and unit have the shape of whatever was fitted; NaN where nothing was.

    >>> trend = Trends(POWER, *map(np.asarray, (2.0, 0.5, 0.9, 1.0)))
    >>> float(trend(400.0)), round(float(trend.reaches(0.8))), float(trend.reaches(0.95))
    (0.8, 400, inf)
    """

    pattern: Pattern
    a: Values
    b: Values
    c: Values
    unit: Values

    def __call__(self, x: Any) -> Values:
        """The curves' values; x broadcasts against them, and may be infinite where the pattern is bounded."""
        return self.c - self.a * self.pattern.shape(np.asarray(x) / self.unit, self.b)

    def __getitem__(self, at: Any) -> Trends:
        """Some of the curves."""
        return Trends(self.pattern, *(values[at] for values in (self.a, self.b, self.c, self.unit)))

    def reaches(self, accuracy: float) -> Values:
        """The x at which power laws reach an accuracy; infinity where the asymptote is no higher.

        Raises:
          ValueError: the pattern is not the power law.
        """
        if self.pattern != POWER:
            raise ValueError(f"only power laws are inverted here, not the {self.pattern.name}")
        left = np.maximum(self.c - accuracy, 0) / self.a
        with np.errstate(divide="ignore"):
            return self.unit * left ** (-1 / self.b)


def fit(pattern: Pattern, x: np.ndarray, y: np.ndarray, anchor: Values | None = None) -> Trends:
    """The curves of a pattern that are nearest to observations, by least squares over a >= 0, b within reach, and c.

    Args:
      x: (n,) positive and rising.
      y: (..., n) one curve a row.
      anchor: (...,) one more observation each, at infinity, where a bounded pattern is c.

    Returns:
      Trends of shape (...,).

    Raises:
      ValueError: fewer than three observations; an anchor for a pattern without an asymptote.

    >>> x = np.arange(1.0, 9.0)
    >>> found = fit(POWER, x, 0.9 - 0.4 * x**-0.5)
    >>> round(float(found.b), 4), round(float(found.c), 4), round(float(found(100.0)), 4)
    (0.5, 0.9, 0.86)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 3 or y.shape[-1] != len(x):
        raise ValueError(f"a pattern needs three observations or more, as many y as x: not {len(x)} x, y of {y.shape}")
    if anchor is not None and not pattern.bounded:
        raise ValueError(f"the {pattern.name} has no asymptote that could be anchored")
    unit = x[-1]
    x = x / unit
    if anchor is not None:
        x, y = np.append(x, np.inf), np.concatenate([y, np.asarray(anchor)[..., None]], -1)
    low, high = pattern.reach
    b = np.geomspace(low, high, _GRID if low < high else 1)
    gain = _gains(pattern.shape(x, b[:, None]), y)
    best, ratio = b[gain.argmax(-1)], (high / low) ** (1 / (_GRID - 1))
    for _ in range(_ZOOMS if low < high else 0):  # each time the steps beside the best one are divided anew
        near = best[..., None] * ratio ** np.linspace(-1, 1, _STEPS)
        near = np.clip(near, low, high)
        gain = _gains(pattern.shape(x, near[..., None]), y)
        best = np.take_along_axis(near, gain.argmax(-1)[..., None], -1)[..., 0]
        ratio = ratio ** (2 / (_STEPS - 1))
    falls = pattern.shape(x, best[..., None])
    middle = falls.mean(-1)
    centred = falls - middle[..., None]
    a = np.maximum(-(centred * y).sum(-1) / np.maximum((centred**2).sum(-1), 1e-300), 0)
    return Trends(pattern, a, best, y.mean(-1) + a * middle, np.full(a.shape, unit))


def _gains(falls: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By how much each shape (..., G, n) lowers the squared residuals of y (..., n) below those of a constant."""
    centred = falls - falls.mean(-1, keepdims=True)
    along = np.maximum(-(centred @ (y - y.mean(-1, keepdims=True))[..., None])[..., 0], 0)
    return along**2 / np.maximum((centred**2).sum(-1), 1e-300)

"""How long a response is asked to be, in words and as an interval, and how well a length follows that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: About, between, above and below.
CUES = ("about", "from", "to", "over", "under")


@dataclass(frozen=True)
class AskedLength:
    """A constraint on a number of lines: "about N", "from N to M", "over N" or "under N"; `high` is N but of "from".

    The published rules: https://github.com/QwenLM/Self-Lengthen (LonGen's `length_following_eval`).

    Raises:
      ValueError: an unknown cue, numbers that are no interval, or none of two digits.

    >>> AskedLength("from", 8, 12).words, AskedLength("over", 8, 8).words, AskedLength("over", 8, 8).interval
    ('from 0 8 to 1 2', 'over 0 8', (8, 12.0))
    """

    cue: str
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.cue not in CUES or self.cue == "to" or not 0 < self.low <= self.high < 100:
            raise ValueError(f"{self}: need a cue of about, from, over and under, and 0 < low <= high < 100")

    @property
    def words(self) -> str:
        """In words, numbers as two digits."""
        first, last = (" ".join(f"{number:02}") for number in (self.low, self.high))
        return f"from {first} to {last}" if self.cue == "from" else f"{self.cue} {first}"

    @property
    def interval(self) -> tuple[int | float, int | float]:
        """Lengths that follow it: [0.8 N, 1.2 N] about N, [N, 1.5 N] over N, [0.5 N, N] under N, or its own two."""
        n = self.low
        return {
            "about": (0.8 * n, 1.2 * n), "from": (n, self.high), "over": (n, 1.5 * n), "under": (0.5 * n, n)
        }[self.cue]  # fmt: skip

    def score(self, length: int | float) -> float:
        """1 in [a, b], max(2 L / a - 1, 0) below and max(3 - 2 L / b, 0) above.

        >>> [AskedLength("from", 8, 12).score(length) for length in (4, 6, 10, 15)]
        [0.0, 0.5, 1.0, 0.5]
        """
        low, high = self.interval
        return max(0.0, min(1.0, 2 * length / low - 1, 3 - 2 * length / high))

    @classmethod
    def drawn(cls, length: int, draws: np.random.Generator, units: tuple[int, int] = (2, 4)) -> AskedLength:
        """A constraint that a response of `length` follows as well as rounding allows: about (40 %), from (25 %), over
        or under; N is a multiple of the first unit (80 %) or of the second.

        >>> draws = np.random.default_rng(0)
        >>> [AskedLength.drawn(11, draws).words for _ in range(3)]
        ['from 1 0 to 1 2', 'about 1 2', 'over 0 8']
        """
        kind, unit = draws.random(), units[int(draws.random() >= 0.8)]
        below, above = length // unit * unit, -(-length // unit) * unit
        if kind < 0.4:
            near = max(round(length / unit) * unit, unit)
            return cls("about", near, near)
        if kind < 0.65:
            return cls("from", max(below, 1), max(above, below + unit))
        number = max(below, 1) if kind < 0.825 else max(above, 1)
        return cls("over" if kind < 0.825 else "under", number, number)

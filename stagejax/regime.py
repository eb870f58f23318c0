"""Training regimes: a learning rate that is constant in phases, declared in epochs and carried out in updates.

A regime is written for one size of batch. For a larger one it may stay as it is in epochs (fewer updates), have its
rates raised by a rule, or be stretched to as many updates as before (more epochs).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

from stagejax.ledger import Number


@dataclass(frozen=True)
class Regime:
    """Phase i has the learning rate `rates[i]` and ends with epoch `ends[i]`.

    Raises:
      ValueError: not one rate for every end, a rate that is not positive, or ends that do not rise.

    >>> regime = Regime(rates=(0.1, 0.01), ends=(2, 3))
    >>> regime.phases(rows=6400, batch=64), regime.phases(rows=6400, batch=640)
    ([(200, 0.1), (100, 0.01)], [(20, 0.1), (10, 0.01)])
    >>> regime.stretched(640 / 64).phases(rows=6400, batch=640)
    [(200, 0.1), (100, 0.01)]
    """

    rates: tuple[float, ...]
    ends: tuple[Number, ...]  # epochs

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in itertools.pairwise((0, *self.ends)))
        if not self.rates or len(self.rates) != len(self.ends) or min(self.rates) <= 0 or not rising:
            raise ValueError(
                f"rates={self.rates} and ends={self.ends}: give each phase a positive rate, and an end after that of "
                "the phase before it"
            )

    def phases(self, rows: int, batch: int) -> list[tuple[int, float]]:
        """Updates and learning rate of every phase, where an epoch has `rows` examples.

        Ends are rounded, not lengths, so rounding does not add up.

        Raises:
          ValueError: a phase has no update.
        """
        ends = [0, *(round(end * rows / batch) for end in self.ends)]
        updates = [after - before for before, after in itertools.pairwise(ends)]
        if min(updates) < 1:
            raise ValueError(f"{self}: with {rows} rows in batches of {batch} the phases have {updates} updates")
        return list(zip(updates, self.rates, strict=True))

    def updates(self, rows: int, batch: int) -> int:
        """Those of all phases together."""
        return sum(updates for updates, _ in self.phases(rows, batch))

    def stretched(self, factor: Number) -> Regime:
        """Every end times a factor: regime adaptation, where the factor is that of the batch."""
        return replace(self, ends=tuple(end * factor for end in self.ends))

    def scaled(self, factor: float) -> Regime:
        """Every rate times a factor, such as that of `square_root_rule`."""
        return replace(self, rates=tuple(rate * factor for rate in self.rates))


def square_root_rule(large: int, small: int) -> float:
    """√(large / small): the factor of the learning rate that keeps the covariance of an update as it is.

    An update is lr times a mean of `batch` gradients, so its covariance is that of one gradient times lr² / batch.
    Hoffer et al. 2017, https://arxiv.org/abs/1705.08741, section 4.

    >>> square_root_rule(1024, 64)
    4.0
    """
    return math.sqrt(large / small)


def linear_rule(large: int, small: int) -> float:
    """large / small: the factor that keeps the mean progress of an epoch. Goyal et al. 2017 (arXiv 1706.02677).

    >>> linear_rule(1024, 64)
    16.0
    """
    return large / small

"""How much of the records each round of training sees: in cycles, or more and more.

A pace is an endless series of shares; `paced_rounds` makes as many rounds of it as a budget of samples needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def cyclic(start: float, end: float, factor: float) -> Iterator[float]:
    """Shares that rise from `start` to `end` and fall again: by 1 / `factor` up to `end`, by `factor` down to `start`.

    Reference: Kesgin and Amasyali 2022, https://arxiv.org/abs/2202.05531, algorithm 1.

    >>> from itertools import islice
    >>> list(islice(cyclic(0.25, 1.0, 0.5), 6))
    [0.25, 0.5, 1.0, 0.5, 0.25, 0.5]
    """
    _check(start, end, factor)
    share, rising = start, True
    while True:
        yield share
        rising = share <= start or (rising and share < end)
        share = min(share / factor, end) if rising else max(share * factor, start)


def rising(start: float, end: float, factor: float) -> Iterator[float]:
    """Shares that rise from `start` by 1 / `factor` to `end` and stay there: exponential pacing.

    Reference: Hacohen and Weinshall 2019, https://arxiv.org/abs/1904.03626, section 3.

    >>> from itertools import islice
    >>> list(islice(rising(0.25, 1.0, 0.5), 4))
    [0.25, 0.5, 1.0, 1.0]
    """
    _check(start, end, factor)
    share = start
    while True:
        yield share
        share = min(share / factor, end)


def paced_rounds(shares: Iterable[float], records: int, batch: int, samples: int) -> tuple[int, ...]:
    """How many records each round holds, up to the one in which `samples` are reached: whole batches.

    A budget may end within the last round, which then is the beginning of a whole one.

    Args:
      shares: of `records`, for each round; rounded down to whole batches, at least one.
      samples: that are to be seen in all rounds together.

    Raises:
      ValueError: `samples` are no whole batches, or the shares end before them.

    >>> paced_rounds(cyclic(0.25, 1.0, 0.5), records=1000, batch=50, samples=2400)
    (250, 500, 1000, 500, 250)
    """
    if samples < batch or samples % batch:
        raise ValueError(f"samples={samples} are no whole batches of {batch}: make them a multiple of it")
    rounds, left = [], samples
    for share in shares:
        rounds.append(batch * max(1, int(share * records / batch + 1e-9)))
        left -= rounds[-1]
        if left <= 0:
            return tuple(rounds)
    raise ValueError(f"the shares end {left} samples before samples={samples}: give more of them")


def _check(start: float, end: float, factor: float) -> None:
    if not 0 < start <= end <= 1 or not 0 < factor < 1:
        raise ValueError(
            f"start={start}, end={end}, factor={factor}: needed are 0 < start <= end <= 1 and 0 < factor < 1"
        )

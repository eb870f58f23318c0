"""Where long recordings are cut when nobody says where sentences end: by pauses, by length, by both.

A segmenter sees frames that speak or not, and gives pieces as (first frame, frame behind the last).

Letters: S samples, F frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Pieces = list[tuple[int, int]]
Segmenter = Callable[[Bool[np.ndarray, " F"]], Pieces]


@dataclass(frozen=True)
class Activity:
    """A voice-activity detector by energy: a frame speaks if it is `margin` dB or more above the quiet ones.

    Args:
      rate: samples a second.
      seconds: of a frame.
      quiet: the share of frames of a recording below whose energy the noise is taken to lie.
      margin: dB above that.

    >>> signal = np.concatenate([np.full(1600, 0.001), np.full(800, 0.1)])
    >>> Activity(rate=8000)(signal).astype(int).tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    """

    rate: int = 8000
    seconds: float = 0.02
    quiet: float = 0.1
    margin: float = 10.0

    @property
    def samples(self) -> int:
        """Of a frame."""
        return round(self.rate * self.seconds)

    def __call__(self, signal: Float[np.ndarray, " S"]) -> Bool[np.ndarray, " F"]:
        """Which whole frames of a recording speak."""
        frames = signal[: len(signal) // self.samples * self.samples].reshape(-1, self.samples)
        energy = 10 * np.log10(np.square(frames, dtype=np.float64).mean(1) + 1e-12)
        return energy >= np.quantile(energy, self.quiet) + self.margin

    def frames(self, seconds: float) -> int:
        """How many frames last so long."""
        return round(seconds / self.seconds)


def runs(speech: Bool[np.ndarray, " F"], of: bool) -> Pieces:
    """The longest runs of frames that speak, or of those that do not.

    >>> runs(np.array([1, 0, 0, 1], bool), False), runs(np.array([1, 0, 0, 1], bool), True)
    ([(1, 3)], [(0, 1), (3, 4)])
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], speech == of, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


@dataclass(frozen=True)
class ByPauses:
    """Voice activity alone: a pause of at least so many frames ends a piece. Pieces may be of any length.

    >>> ByPauses(2)(np.array([1, 0, 1, 0, 0, 1], bool))
    [(0, 3), (5, 6)]
    """

    pause: int

    def __call__(self, speech: Bool[np.ndarray, " F"]) -> Pieces:
        found: Pieces = []
        for begin, end in runs(speech, True):
            if found and begin - found[-1][1] < self.pause:
                found[-1] = (found[-1][0], end)
            else:
                found.append((begin, end))
        return found


@dataclass(frozen=True)
class ByLength:
    """Pieces of one length, whatever is said; those without speech are dropped.

    >>> ByLength(2)(np.array([1, 0, 0, 0, 1], bool))
    [(0, 2), (4, 5)]
    """

    size: int

    def __call__(self, speech: Bool[np.ndarray, " F"]) -> Pieces:
        every = [(at, min(at + self.size, len(speech))) for at in range(0, len(speech), self.size)]
        return [(a, b) for a, b in every if speech[a:b].any()]


@dataclass(frozen=True)
class DivideAndConquer:
    """Pieces are cut at their longest pause until none has more than `most` frames; without a pause, in the middle.

    Reference: the algorithm of Potapczyk and Przybysz 2020 (SRPOL at IWSLT), as in Tsiamas et al. 2022 (SHAS),
    https://arxiv.org/abs/2202.04774.

    >>> DivideAndConquer(3)(np.array([1, 1, 0, 0, 1, 0, 1], bool))
    [(0, 2), (4, 7)]
    """

    most: int

    def __call__(self, speech: Bool[np.ndarray, " F"]) -> Pieces:
        spoken = np.flatnonzero(speech)
        return self._cut(speech, int(spoken[0]), int(spoken[-1]) + 1) if len(spoken) else []

    def _cut(self, speech: np.ndarray, begin: int, end: int) -> Pieces:
        if end - begin <= self.most:
            return [(begin, end)]
        pauses = runs(speech[begin:end], False)
        half = (end - begin) // 2
        first, last = max(pauses, key=lambda own: own[1] - own[0]) if pauses else (half, half)
        return self._cut(speech, begin, begin + first) + self._cut(speech, begin + last, end)


@dataclass(frozen=True)
class Hybrid:
    """Pauses and length together, in one pass: a buffer is filled up to `most` frames and cut at the longest pause.

    Of a pause the part behind the first `least` frames of the buffer counts, and must be longer than `pause` frames.
    Everything before it is a piece, it is discarded, and what follows stays in the buffer. Without such a pause the
    whole buffer is a piece. Pieces without speech are dropped; each gets `margin` frames more in front, as far as there
    are any.

    Raises:
      ValueError: `least` is not from 0 to below `most`.

    Reference: Papi et al. 2021, https://arxiv.org/abs/2106.12607; Gaido et al. 2021 (beyond voice activity detection),
    https://arxiv.org/abs/2104.11710.

    >>> Hybrid(least=2, most=7, pause=1)(np.array([0, 1, 1, 0, 1, 0, 0, 1, 1], bool))
    [(0, 5), (7, 9)]
    """

    least: int
    most: int
    pause: int
    margin: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.least < self.most:
            raise ValueError(f"least={self.least}, most={self.most}: need 0 <= least < most")

    def __call__(self, speech: Bool[np.ndarray, " F"]) -> Pieces:
        found, at = [], 0
        while at < len(speech):
            end = min(at + self.most, len(speech))
            pauses = [(at + self.least + a, at + self.least + b) for a, b in runs(speech[at + self.least : end], False)]
            cut, after = max(pauses, key=lambda own: own[1] - own[0], default=(end, end))
            if after - cut <= self.pause:
                cut, after = end, end
            if speech[at:cut].any():
                found.append((max(0, at - self.margin), cut))
            at = after
        return found


def in_samples(pieces: Sequence[tuple[int, int]], activity: Activity) -> list[tuple[int, int]]:
    """Pieces in samples instead of frames."""
    return [(a * activity.samples, b * activity.samples) for a, b in pieces]


def cut_at(pieces: Pieces, pauses: Pieces) -> list[bool]:
    """Whether a talk is cut in each of some pauses: no piece has something from before and from behind it.

    >>> cut_at([(0, 4), (5, 9)], [(3, 6), (7, 8)])
    [True, False]
    """
    return [not any(a < begin and end < b for a, b in pieces) for begin, end in pauses]

"""A large source once and a small one again and again, until both are about as much text."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import EmptySource, Record, Source
from stagejax.data.tokenizers import texts


@dataclass(frozen=True)
class Amplified(Source):
    """The records of `large`, then those of `small` round(characters of large / characters of small) times, at least 1.

    A vocabulary that is learned from it is "amplified": words of a small domain count as much as general ones.

    Raises:
      EmptySource: on reading, the small source has no text.

    Reference: Wada et al. 2020, https://arxiv.org/abs/2005.07202 (pre-training from simultaneous corpora, amplified
    vocabulary).

    >>> from stagejax.data import Stdlib
    >>> both = Amplified(Stdlib(limit=400_000), Stdlib(limit=100_000))
    >>> both.times, len(both) == len(both.large) + 4 * len(both.small)
    (4, True)
    """

    large: Source
    small: Source
    field: str = "text"

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.large.split

    @property
    def times(self) -> int:
        """How often the small source is repeated."""
        return _parts(self)[2]

    def __len__(self) -> int:
        large, small, times = _parts(self)
        return large + times * small

    def __getitem__(self, index: int) -> Record:
        large, small, times = _parts(self)
        index = range(large + times * small)[index]
        return self.large[index] if index < large else self.small[(index - large) % small]

    def of_split(self, split: str) -> Source:
        return Amplified(self.large.of_split(split), self.small.of_split(split), self.field)

    def digest(self) -> str:
        return joint_digest(self.large.digest(), self.small.digest(), "amplified")


@functools.lru_cache(maxsize=16)
def _parts(both: Amplified) -> tuple[int, int, int]:
    """Records of both sources, and how often the small one is repeated."""
    large, small = (characters(part, both.field) for part in (both.large, both.small))
    if not small:
        raise EmptySource(f"{both.small} has no text in {both.field!r} that could be amplified")
    return len(both.large), len(both.small), max(1, round(large / small))


@functools.lru_cache(maxsize=16)
def characters(source: Source, field: str = "text") -> int:
    """Characters of all texts of a source.

    >>> from stagejax.data.tasks.pairs import SynonymPairs
    >>> characters(SynonymPairs(size=1), "s1") == len(SynonymPairs()[0]["s1"])
    True
    """
    return sum(map(len, texts(source, field)))

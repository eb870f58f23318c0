"""Training records without those that are too near a test record: a shared run of words, and much in common besides."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


@dataclass(frozen=True)
class Decontaminated(Derived):
    """The records of a source but those whose text shares a run of `run` words with the text of a test record, of which
    LCS(a, b) / min(|a|, |b|) exceeds `ratio`: the longest common subsequence over the shorter text, in words.

    Texts are compared in lower case, by words that spaces part. A held-out split is left as it is.

    Args:
      source: what is trained on.
      tests: what is tested on.
      run: words in a row; the paper's 13.
      ratio: of the longest common subsequence.
      field: the text in records of both.

    Reference: Yang et al. 2024 (Qwen2.5-Math), https://arxiv.org/abs/2409.12122, section 4.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> train = Problems(size=40, steps=(1,))
    >>> len(Decontaminated(train, (Problems(split="test", size=40, steps=(1,)),))) < len(train)
    True
    """

    source: Source
    tests: tuple[Source, ...]
    run: int = 13
    ratio: float = 0.6
    field: str = "question"

    def __post_init__(self) -> None:
        if self.run < 1 or not 0 <= self.ratio <= 1:
            raise ValueError(f"run={self.run}, ratio={self.ratio}: need a run of at least 1 and a ratio from 0 to 1")

    def __len__(self) -> int:
        return len(_kept(self))

    def __getitem__(self, index: int) -> Record:
        return self.source[_kept(self)[index]]

    def of_split(self, split: str) -> Source:
        return self if split == self.split else self.source.of_split(split)

    def digest(self) -> str:
        tests = joint_digest(*(test.digest() for test in self.tests))
        return joint_digest(self.source.digest(), tests, f"{self.run} words, {self.ratio}, by {self.field}")


def left_out(sources: tuple[Decontaminated, ...], field: str) -> dict[str, int]:
    """How many "problems" the sources have, how many more were "dropped", and how many "tests" they were held against.

    Raises:
      ValueError: a record that is kept has the same `field` as a test record.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> own = Decontaminated(Problems(size=40, steps=(1,)), (Problems(split="test", size=40, steps=(1,)),))
    >>> found = left_out((own,), "program")
    >>> found["problems"] + found["dropped"], found["tests"]
    (40, 40)
    """
    tests = {test for own in sources for test in own.tests}
    tested = {test[i][field] for test in tests for i in range(len(test))}
    shared = {record[field] for own in sources for record in (own[i] for i in range(len(own)))} & tested
    if shared:
        raise ValueError(f"{len(shared)} values of {field!r} are trained on and tested: {min(shared)!r}")
    kept, whole = sum(map(len, sources)), sum(len(own.source) for own in sources)
    return {"problems": kept, "dropped": whole - kept, "tests": sum(map(len, tests))}


@functools.lru_cache(maxsize=32)
def _kept(of: Decontaminated) -> tuple[int, ...]:
    tests = [tuple(test[i][of.field].lower().split()) for test in of.tests for i in range(len(test))]
    having: dict[tuple[str, ...], list[int]] = {}
    for number, words in enumerate(tests):
        for run in _runs(words, of.run):
            having.setdefault(run, []).append(number)

    def contaminated(words: tuple[str, ...]) -> bool:
        near = {number for run in _runs(words, of.run) for number in having.get(run, ())}
        return any(common_words(words, tests[n]) > of.ratio * min(len(words), len(tests[n])) for n in sorted(near))

    texts = (tuple(of.source[i][of.field].lower().split()) for i in range(len(of.source)))
    return tuple(index for index, words in enumerate(texts) if not contaminated(words))


def _runs(words: tuple[str, ...], run: int) -> set[tuple[str, ...]]:
    return {words[at : at + run] for at in range(len(words) - run + 1)}


def common_words(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """The length of the longest common subsequence, by bits: as many steps as `other` has words.

    Reference: Hyyrö 2004, Bit-parallel LCS-length computation revisited.

    >>> common_words(tuple("abcd"), tuple("bxda"))
    2
    """
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    every = (1 << len(one)) - 1
    free = every
    for word in other:
        taken = free & places.get(word, 0)
        free = ((free + taken) | (free - taken)) & every
    return len(one) - free.bit_count()

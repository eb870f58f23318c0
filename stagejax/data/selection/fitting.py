"""The records of a source whose texts have at most so many tokens."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record
from stagejax.data.tokenizers import Tokenizer, codec


@dataclass(frozen=True)
class Fitting(Derived):
    """The records of a source of which each field has at most so many tokens. None is cut.

    Args:
      tokenizer: of all fields; trained on the first one of all records, unless it is `LearnedFrom` another source. Of
        one to be trained a reader of the kept records alone makes another: give both the same `LearnedFrom`.
      fields, most: names of texts, and the most tokens of each.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> problems = Problems(size=20, steps=(1, 2))
    >>> fitting = Fitting(problems, problems.tokenizer(), ("question", "solution"), (40, 8))
    >>> {fitting[i]["steps"] for i in range(len(fitting))}
    {1}
    """

    tokenizer: Tokenizer
    fields: tuple[str, ...]
    most: tuple[int, ...]

    def __len__(self) -> int:
        return len(_kept(self))

    def __getitem__(self, index: int) -> Record:
        return self.source[_kept(self)[index]]

    def digest(self) -> str:
        code = codec(self.tokenizer, self.source, self.fields[0])
        return joint_digest(self.source.digest(), code.digest(), f"{self.fields} {self.most}")


@functools.lru_cache(maxsize=16)
def _kept(fitting: Fitting) -> tuple[int, ...]:
    code = codec(fitting.tokenizer, fitting.source, fitting.fields[0])
    records = [fitting.source[i] for i in range(len(fitting.source))]
    sizes = [[len(ids) for ids in code.encode([record[name] for record in records])] for name in fitting.fields]
    fits = (all(size <= most for size, most in zip(own, fitting.most, strict=True)) for own in zip(*sizes, strict=True))
    return tuple(i for i, own in enumerate(fits) if own)


__all__ = ["Fitting"]

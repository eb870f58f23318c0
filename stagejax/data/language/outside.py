"""Rows of which spans between two tokens are read, but not learned."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Around, Batch, Data, joint_digest


@dataclass(frozen=True, kw_only=True)
class Outside(Around):
    """The rows of `data` with weight 0 on targets from `begin` to `end`: of a corpus of problems, on the questions.

    The target that is the token `end` itself has weight 0 as well. Every `begin` needs an `end` in its row.

    >>> from stagejax.data.vocabulary.words import Words
    >>> from stagejax.data.language.packed_answers import PackedAnswers
    >>> from stagejax.data.reasoning.problems import Problems
    >>> from stagejax.data.reasoning.synthesis import Solved
    >>> problems = Solved(Problems(size=4, steps=(1,)))
    >>> code = Words((*problems.source.tokenizer().words, "=>"))
    >>> rows = PackedAnswers(source=problems, tokenizer=code, batch=1, length=40, fields=("text",))
    >>> begin, end = (int(code.encode([word])[0][0]) for word in ("has", "=>"))
    >>> row = Outside(data=rows, begin=begin, end=end).take(np.arange(1))
    >>> code.decode(row["targets"][0][row["weights"][0] > 0])
    'cleo has 24 / 2 = 12 ; ans 12'
    """

    data: Data
    begin: int
    end: int

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec()

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = dict(self.data.take(numbers))
        opened, closed = ((rows["tokens"] == token).cumsum(1) for token in (self.begin, self.end))
        return rows | {"weights": rows["weights"] * (opened <= closed)}

    def digest(self) -> str:
        return joint_digest(self.data.digest(), f"{self.begin} {self.end}")

"""Problems to be solved by programs, as batches: prompts, their numbers, and the reference programs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.prompts.answers import encoded
from stagejax.data.sources import Source
from stagejax.data.tokenizers import Tokenizer, codec

GIVEN = 16  # most numbers of a problem


@dataclass(frozen=True, kw_only=True)
class Solving(Data):
    """Problems with the program that solves each: for a learner that samples programs of its own.

    A batch has, with B rows: "tokens" (B, prompt), [CLS, question] padded on the right, and "lengths" (B,);
    "reference" (B, program), the program's tokens without an end, padded; "record" (B,), the number of the record; and
    "numbers" (B, 16, 2), numerators and denominators of n0, n1, ..., padded with 0 / 0. All are int32.

    Args:
      source: records with "question", "program" and "numbers"; see `program_problems`.
      tokenizer: of both texts.
      prompt, program: tokens of a prompt with CLS, and of a program.

    Raises:
      ValueError: on reading, where a text does not fit, or there are too many or too large numbers.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> from stagejax.data.reasoning.program_problems import ProgramChains
    >>> source = ProgramChains(Problems(size=8, steps=(1,)))
    >>> data = Solving(source=source, tokenizer=source.tokenizer(), batch=2, prompt=24, program=8)
    >>> batch = data.take(np.arange(2))
    >>> record = source[int(batch["record"][0])]
    >>> source.tokenizer().decode(batch["reference"][0]) == record["program"]
    True
    >>> numbers_of(batch["numbers"][0]) == record["numbers"]
    True
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    prompt: int
    program: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        shapes = {"tokens": (self.prompt,), "lengths": (), "reference": (self.program,), "record": ()}
        return {
            name: jax.ShapeDtypeStruct(shape, np.dtype("int32"))
            for name, shape in {**shapes, "numbers": (GIVEN, 2)}.items()
        }

    def size(self) -> int:
        return len(self.source)

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return shuffled(self.seed, numbers, self.size())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        columns = _columns(self.source, self.tokenizer, self.prompt, self.program)
        records = self.records(numbers)
        return {name: column[records] for name, column in columns.items()}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.source, "question").digest())


@functools.lru_cache(maxsize=16)
def _columns(source: Source, tokenizer: Tokenizer, prompt: int, program: int) -> Batch:
    code, size = codec(tokenizer, source, "question"), len(source)
    tokens, reference = np.zeros((size, prompt), np.int32), np.zeros((size, program), np.int32)
    lengths, given = np.zeros(size, np.int32), np.zeros((size, GIVEN, 2), np.int32)
    for row in range(size):
        record = source[row]
        first, second = encoded(code, record["question"], record["program"])
        second = second[:-1]  # SEP
        if len(first) > prompt or len(second) > program or len(record["numbers"]) > GIVEN:
            raise ValueError(
                f"record {row} of {source} has {len(first)} tokens of prompt, {len(second)} of program and "
                f"{len(record['numbers'])} numbers: raise prompt={prompt} or program={program}; {GIVEN} numbers fit"
            )
        tokens[row, : len(first)], lengths[row], reference[row, : len(second)] = first, len(first), second
        for place, number in enumerate(record["numbers"]):
            if max(abs(number.numerator), number.denominator) >= 1 << 31:
                raise ValueError(f"record {row} of {source} has the number {number}: it does not fit into 32 bits")
            given[row, place] = number.numerator, number.denominator
    columns = {"tokens": tokens, "lengths": lengths, "reference": reference, "numbers": given}
    return {**columns, "record": np.arange(size, dtype=np.int32)}


def numbers_of(given: np.ndarray) -> tuple[Fraction, ...]:
    """The numbers of a problem, from its row of a batch.

    >>> numbers_of(np.array([[3, 1], [1, 2], [0, 0]]))
    (Fraction(3, 1), Fraction(1, 2))
    """
    return tuple(Fraction(int(a), int(b)) for a, b in given if b)

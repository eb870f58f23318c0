"""Word problems told over several turns: before each answer a thought, which the next turns do not hear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.order import random_words
from stagejax.data.pipeline import Around, Batch, joint_digest
from stagejax.data.prompts.answers import Answers, token_rows
from stagejax.data.reasoning.problems import ITEMS, NAMES, Wording, applied, held_out, program_of
from stagejax.data.reasoning.written import BRIEF, words_of
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.vocabulary.words import Words

_ATTEMPTS = 1_000_000
#: The word of a slot, in which a thought is to stand.
SLOT = "[CoT]"


@dataclass(frozen=True)
class Dialogues(Source):
    """Problems about one number in turns x_1 (z_1) y_1 x_2 (z_2) y_2 ...: a record is one turn with all before it.

    A record holds "prefix" (x_1 y_1 ... x_i, without thoughts), "thought" z_i (the turn's steps), "content" y_i (the
    answer), "wrong" (the thought with one false value, which the steps behind it go on from), "answer" and "middle"
    (integers: the last value and the first), "turn" and "steps". The programs of the turns of a dialogue, each from the
    value that it begins with, belong all to the train or all to the test split by their hash. So no turn of the tests
    was trained on.

    Args:
      split: "train" or "test".
      size: number of dialogues; `len` is the number of their turns.
      steps: how many operations a turn may have, turn by turn; each as often.
      largest: of all values and of the numbers added.
      wording: the sentences.
      seed: of the draws.

    Raises:
      ValueError: an unknown split, no turn or one without steps, or too small a range; when a record is read: no
        program of so many steps stays in the range.

    >>> first, second = (Dialogues(steps=((2,), (2,)))[i] for i in range(2))
    >>> first["prefix"], first["thought"], first["content"]
    ('ben has 16 . loses 4 . splits in 2 . how many ?', '16 - 4 = 12 ; 12 / 2 = 6 ;', 'ans 6')
    >>> second["prefix"]
    'ben has 16 . loses 4 . splits in 2 . how many ? ans 6 . finds 13 . gets 1 . how many ?'
    """

    split: str = "train"
    size: int = 2000
    steps: tuple[tuple[int, ...], ...] = ((3,), (2,))
    largest: int = 20
    wording: Wording = BRIEF
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in ("train", "test") or self.largest < 6:
            raise ValueError(f"split={self.split!r}, largest={self.largest}: 'train' or 'test', and at least 6")
        if not self.steps or not all(self.steps) or min(map(min, self.steps)) < 1:
            raise ValueError(f"steps={self.steps}: at least one turn, each of at least one step")

    def __len__(self) -> int:
        return self.size * len(self.steps)

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        dialogue, turn = divmod(index, len(self.steps))
        draw = _draws(self.seed, dialogue)
        turns, value = [], None
        for steps in self.steps:
            turns.append(self._program(draw, steps, value))
            value = values_of(turns[-1])[-1]
        return self.record_of(turns[: turn + 1], dialogue)

    def digest(self) -> str:
        return joint_digest(str(self))

    def tokenizer(self) -> Words:
        """One token a word and a number, and `SLOT`; the numbers 0, 1, ... stand in order, last."""
        return Words((SLOT, *words_of((self.wording,), self.largest).words))

    def _program(self, draw: Iterator[int], steps: tuple[int, ...], start: int | None) -> list[tuple[str, int]]:
        """Start and operations of one turn, of this split, with values in their range."""
        signs = sorted({sign for sign, _ in self.wording.clauses})
        for _ in range(_ATTEMPTS):
            value = 1 + next(draw) % self.largest if start is None else start
            found, count = [("", value)], steps[next(draw) % len(steps)]
            while len(found) <= count and 0 <= value <= self.largest:
                sign = signs[next(draw) % len(signs)]
                n = 1 + next(draw) % self.largest if sign in "+-" else 2 + next(draw) % 2
                value = -1 if sign == "/" and value % n else applied(value, sign, n)
                found.append((sign, n))
            if 0 <= value <= self.largest and held_out(program_of(found)) == (self.split == "test"):
                return found
        raise ValueError(f"{self}: no program found. Raise `largest`, or lower `steps`.")

    def record_of(self, turns: list[list[tuple[str, int]]], dialogue: int) -> Record:
        """The record of the last of some turns, told by the draws of a dialogue."""
        draw = _draws(self.seed, dialogue, 1)
        name, item = NAMES[next(draw) % len(NAMES)], ITEMS[next(draw) % len(ITEMS)]
        friend, said = NAMES[next(draw) % len(NAMES)], []
        for number, turn in enumerate(turns):
            sentences = [] if number else [self.wording.start.format(name=name, item=item, n=turn[0][1])]
            for sign, n in turn[1:]:
                ways = [sentence for own, sentence in self.wording.clauses if own == sign]
                sentences.append(ways[next(draw) % len(ways)].format(name=name, friend=friend, item=item, n=n))
            said.append(" ".join([*sentences, self.wording.question.format(name=name)]))
            last = values_of(turn)[-1]
            said.append(f"ans {last} .")
        values = values_of(turns[-1])
        false = self._false(turns[-1], values)
        return {
            "prefix": " ".join(said[:-1]),
            "thought": told(turns[-1], values),
            "content": f"ans {values[-1]}",
            "wrong": told(turns[-1], false[next(draw) % len(false)]),
            "answer": values[-1],
            "middle": values[1],
            "turn": len(turns),
            "steps": len(values) - 1,
        }

    def _false(self, program: list[tuple[str, int]], values: list[int]) -> list[list[int]]:
        """All values with one mistake, all in their range, and without remainders in what follows it."""
        tries = ((at, value) for at in range(1, len(values)) for value in range(self.largest + 1))
        made = [values_of(program, {at: value}) for at, value in tries if value != values[at]]
        made = [own for own in made if min(own) >= 0 and max(own) <= self.largest]
        return [v for v in made if all(x % n == 0 for (sign, n), x in zip(program[1:], v, strict=False) if sign == "/")]


def _draws(seed: int, dialogue: int, of: int = 0) -> Iterator[int]:
    for block in range(_ATTEMPTS):
        number = np.array([(2 * dialogue + of) * _ATTEMPTS + block])
        yield from (random_words(seed, number, 64)[0] >> 11).tolist()


def values_of(program: list[tuple[str, int]], false: dict[int, int] | None = None) -> list[int]:
    """The values of a program from its start on; some of them false, from which it goes on.

    >>> values_of([("", 4), ("*", 3), ("-", 2)]), values_of([("", 4), ("*", 3), ("-", 2)], {1: 11})
    ([4, 12, 10], [4, 11, 9])
    """
    values = [program[0][1]]
    for at, (sign, n) in enumerate(program[1:], 1):
        values.append((false or {}).get(at, applied(values[-1], sign, n)))
    return values


def told(program: list[tuple[str, int]], values: list[int]) -> str:
    """The steps of a program with these values, each ended by ";".

    >>> told([("", 4), ("*", 3), ("-", 2)], [4, 12, 10])
    '4 * 3 = 12 ; 12 - 2 = 10 ;'
    """
    steps = zip(program[1:], values, values[1:], strict=False)
    return " ".join(f"{before} {sign} {n} = {after} ;" for (sign, n), before, after in steps)


@dataclass(frozen=True)
class Slotted(Derived):
    """Records with thoughts as texts to learn from, for any number of slots.

    They hold, beside what they held, "asked" (prefix and slots), "visible" (the content), "explicit" (thought and
    content), and "thought in slot" and "wrong in slot" (the thought or the wrong one, then the slots).

    Args:
      source: records with "prefix", "thought", "wrong" and "content".
      slots: how many; 0: none.

    >>> record = Slotted(Dialogues(steps=((1,),)), slots=2)[0]
    >>> record["asked"], record["thought in slot"]
    ('ben has 17 . loses 1 . how many ? [CoT] [CoT]', '17 - 1 = 16 ; [CoT] [CoT]')
    """

    slots: int = 1

    def __getitem__(self, index: int) -> Record:
        record, slots = self.source[index], [SLOT] * self.slots
        made = {"asked": ["prefix", *slots], "visible": ["content"], "explicit": ["thought", "content"]}
        made |= {f"{name} in slot": [name, *slots] for name in ("thought", "wrong")}
        return record | {name: " ".join(record.get(part, part) for part in parts) for name, parts in made.items()}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), str(self.slots))


@dataclass(frozen=True, kw_only=True)
class Beside(Around):
    """The samples of `data`, and beside them further texts of their records, each as a row [CLS, text].

    Args:
      data: rows to learn answers from.
      texts: (name in the batch, field of the record).
      length: of these rows, which are padded with 0.

    >>> source = Slotted(Dialogues(size=4))
    >>> how = {"tokenizer": source.source.tokenizer(), "fields": ("asked", "thought")}
    >>> data = Beside(data=Answers(source=source, batch=4, length=60, **how), texts=(("thought", "thought in slot"),))
    >>> data.take(np.arange(2))["thought"].shape
    (2, 32)
    """

    data: Answers
    texts: tuple[tuple[str, str], ...]
    length: int = 32

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        row = jax.ShapeDtypeStruct((self.length,), np.dtype("int32"))
        return self.data.sample_spec() | {name: row for name, _ in self.texts}

    @property
    def tokens(self) -> int:
        """Those of all rows."""
        return self.data.tokens + self.data.batch * self.length * len(self.texts)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The samples with their texts."""
        return self.data.take(numbers) | {
            name: self._rows(field)[self.data.records(numbers)] for name, field in self.texts
        }

    def digest(self) -> str:
        return self.data.digest()

    def _rows(self, field: str) -> Int32[np.ndarray, "R U"]:
        return token_rows(self.data.source, self.data.tokenizer, field, self.length, ())["tokens"]

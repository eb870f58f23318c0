"""Tasks with guidelines: what all videos of a task have in common, step by step, and what a single video says instead.

A guideline is abstract ("choose any garment", "color it"), the steps of a video are concrete ("take dress", "paint
dress green"). Of each step it is known which step of the guideline it carries out; some carry out none.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.data.order import random_words

TAKE, PAINT, TURN, SHRINK, MOVE, ADD, REMOVE, BOX, DIM = range(9)
#: What a guideline says of each operation; F is the family of the item, G that of the second one.
ABSTRACT = (
    "choose any F", "color it", "rotate it", "reduce it", "put it elsewhere", "join any G", "undo joining",
    "surround it", "darken it",
)  # fmt: skip
#: What a video says of each; I is the item, S the second one, C a colour, P a place.
CONCRETE = (
    "take I", "paint I C", "turn I", "shrink I", "move I P", "add S", "remove S", "box I", "dim I",
)  # fmt: skip
PLACES = ("northwest", "northeast", "southwest", "southeast")
#: Operations that a video may have beyond its guideline.
EXTRA = (PAINT, TURN, SHRINK, MOVE, BOX, DIM)
#: Steps of a list at most: five of a guideline and one more.
MOST = 6
#: Twentieths of all sequences of operations that belong to each split.
SPLITS: Mapping[str, range] = {"train": range(14), "valid": range(14, 16), "test": range(16, 20)}


@dataclass(frozen=True)
class Task:
    """A domain (family of the item, family of the second one) and the operations of the guideline.

    >>> Task(("garment", "odd"), (TAKE, ADD, PAINT)).guideline
    ('choose any garment', 'join any odd', 'color it')
    """

    families: tuple[str, str]
    operations: tuple[int, ...]

    @property
    def guideline(self) -> tuple[str, ...]:
        """The steps, in words."""
        return tuple(self.step(operation) for operation in self.operations)

    @property
    def domain(self) -> str:
        return f"{self.families[0]} with {self.families[1]}"

    @property
    def query(self) -> str:
        """What one would search for."""
        return f"how to arrange {self.domain}"

    def step(self, operation: int) -> str:
        """What the guideline says of an operation."""
        first, second = self.families
        return " ".join({"F": first, "G": second}.get(word, word) for word in ABSTRACT[operation].split())


def said_of_step(operation: int, item: str, second: str, color: str, place: str) -> str:
    """What a video says of an operation.

    >>> said_of_step(PAINT, "boot", "seven", "green", "northeast")
    'paint boot green'
    """
    meant = {"I": item, "S": second, "C": color, "P": place}
    return " ".join(meant.get(word, word) for word in CONCRETE[operation].split())


def legal(operations: Sequence[int]) -> bool:
    """Whether TAKE comes first and nothing is removed that was not added.

    >>> legal((TAKE, ADD, REMOVE)), legal((TAKE, REMOVE, ADD)), legal((PAINT, TAKE))
    (True, False, False)
    """
    own = list(operations)
    return own[0] == TAKE and (REMOVE not in own or (ADD in own and own.index(ADD) < own.index(REMOVE)))


@functools.cache
def sequences(split: str, steps: tuple[int, int] = (3, 5)) -> tuple[tuple[int, ...], ...]:
    """All sequences of a split, in an order drawn once: each is of one split, whatever the domain.

    Args:
      steps: from how many to how many.

    >>> len(sequences("train")), len(sequences("test")), set(sequences("train")) & set(sequences("test"))
    (880, 268, set())
    """
    rest = range(1, len(CONCRETE))
    counts = range(steps[0] - 1, steps[1])
    every = [(TAKE, *own) for k in counts for own in itertools.permutations(rest, k) if legal((TAKE, *own))]
    numbers = np.array([sum((op + 1) * 10**at for at, op in enumerate(own)) for own in every])
    words = random_words(11, numbers, 2)
    chosen = np.flatnonzero(np.isin((words[:, 0] % np.uint64(20)).astype(int), list(SPLITS[split])))
    return tuple(every[i] for i in chosen[np.argsort(words[chosen, 1])])


@functools.cache
def tasks(split: str, count: int, families: tuple[str, ...], steps: tuple[int, int] = (3, 5)) -> tuple[Task, ...]:
    """So many tasks of a split, no two of one sequence of operations; domains take turns.

    Raises:
      ValueError: more tasks than the split has sequences.

    >>> tasks("valid", 2, ("garment", "digit"))[1].domain
    'digit with garment'
    """
    found = sequences(split, steps)
    if count > len(found):
        raise ValueError(f"{count} tasks, but {split!r} has {len(found)} sequences of {steps} steps: lower `count`")
    pairs = domains(families)
    return tuple(Task(pairs[at % len(pairs)], found[at]) for at in range(count))


def domains(families: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of different families: each with the next one, and with the one behind that.

    >>> domains(("a", "b")), len(domains(("a", "b", "c", "d")))
    ((('a', 'b'), ('b', 'a')), 8)
    """
    n = len(families)
    pairs = [(families[at], families[(at + by) % n]) for by in (1, 2) for at in range(n)]
    return tuple(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))


def varied(operations: Sequence[int], share: float, u: Sequence[float]) -> list[tuple[int, int]]:
    """What a video does: (operation, number of the guideline's step from 1 on, 0: of none).

    With probability `share` one step more is done, or two neighbours behind the first one change places, as often.

    Args:
      u: four numbers from 0 to 1.

    >>> varied((TAKE, PAINT, TURN), 0.3, (0.9, 0.0, 0.0, 0.0)), varied((TAKE, PAINT, TURN), 1.0, (0.0, 0.9, 0.0, 0.0))
    ([(0, 1), (1, 2), (2, 3)], [(0, 1), (2, 3), (1, 2)])
    """
    own = [(operation, at) for at, operation in enumerate(operations, 1)]
    if u[0] >= share:
        return own
    swaps = [at for at in range(1, len(own) - 1) if legal(_swapped([op for op, _ in own], at))]
    if u[1] >= 0.5 and swaps:
        return _swapped(own, swaps[int(u[2] * len(swaps))])
    more = [operation for operation in EXTRA if operation not in operations]
    at = 1 + int(u[2] * len(own))
    return [*own[:at], (more[int(u[3] * len(more))], 0), *own[at:]] if more else own


def _swapped(own: list, at: int) -> list:
    return [*own[:at], own[at + 1], own[at], *own[at + 2 :]]


def numbered(steps: Sequence[str]) -> str:
    """A list as one text, each of the first `MOST` steps behind its number.

    >>> numbered(("take boot", "turn boot"))
    '1 take boot 2 turn boot'
    """
    return " ".join(f"{at} {step}" for at, step in enumerate(steps[:MOST], 1))


def steps_of(text: str) -> list[str]:
    """The steps of such a text; whatever stands before the first number is one as well, an empty step is none.

    >>> steps_of("1 take boot 2 turn boot")
    ['take boot', 'turn boot']
    """
    found: list[list[str]] = [[]]
    for word in text.split():
        if word.isdigit():
            found.append([])
        else:
            found[-1].append(word)
    return [" ".join(words) for words in found if words]


def vocabulary(families: Sequence[str], items: Sequence[str], colors: Sequence[str]) -> tuple[str, ...]:
    """Every word of guidelines and of videos' steps, and the numbers of steps."""
    fixed = [word for text in (*ABSTRACT, *CONCRETE) for word in text.split() if not word.isupper()]
    own = [word for text in (*families, *items) for word in text.split()]
    return tuple(dict.fromkeys((*map(str, range(1, MOST + 1)), *fixed, *PLACES, *colors, *own)))

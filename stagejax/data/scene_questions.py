"""Questions with four choices about scenes of real digits and things, and the reasons for their answers, in words.

A scene has up to four coloured objects in the nine cells of a square. An answer takes two or three steps: which objects
are meant, where they are or what they show, and what follows. As in ScienceQA, some questions come with a picture, some
with a text that says what would be in it, and some with neither.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.composites import COLORS, SPLITS, Objects, pools
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.words import Words

PICTURE, TEXT, NOTHING = CONTEXTS = ("picture", "text", "nothing")
SUM, SIDE, LARGEST = SUBJECTS = ("sum", "side", "largest")

NUMERALS = tuple(map(str, range(10)))
COLOURS = ("red", "green", "blue", "yellow")
CELLS = ("northwest", "north", "northeast", "west", "centre", "east", "southwest", "south", "southeast")
LETTERS = ("(A)", "(B)", "(C)", "(D)")
#: Rows and columns from an object to what lies on that side of it.
SIDES: Mapping[str, tuple[int, int]] = {"left": (0, -1), "right": (0, 1), "above": (-1, 0), "below": (1, 0)}
#: What ends a prompt, as in Multimodal-CoT: a rationale or an answer is to follow.
SOLUTION, ANSWER = "solution:", "answer:"
_FIXED = (
    "what is the sum of digits and which object lies colour has largest plus . , context: options: answer "
    f"{PICTURE}: {SOLUTION} {ANSWER}"
)

Thing = tuple[str, str]  # colour and name
T = TypeVar("T")


class Question(NamedTuple):
    """What is drawn for one record."""

    context: str
    subject: str
    text: str
    scene: dict[int, Thing]  # by cell
    facts: tuple[str, ...]  # of which the last one says the answer
    options: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class SceneQuestions(Source):
    """Multiple-choice questions about scenes. Records are texts, and integers beside them:

    - `asked`: question, context, options, `solution:`; Multimodal-CoT's QCM
    - `rationale`: the facts that answer it, each with a full stop; its LE. In the training split a share `noise` of
      them have one wrong word: another digit, colour, cell or thing.
    - `told`: the same with the rationale and `answer:`; its QCMG. `direct`: without a rationale.
    - `answer`: "the answer is (B)"
    - `context`, `subject`, `label`: places in `CONTEXTS`, `SUBJECTS`, `LETTERS`

    Record i is drawn by (seed, split, i). Splits share no image. Contexts take turns, and subjects with them; of those
    with nothing beside the question all are sums.

    - sum: two digits of one colour are to be found among others, and added
    - side: an object is to be found, the cell on one side of it, and what is in there
    - largest: three digits of different colours are to be compared, and the colour of one is to be said

    Args:
      objects: images of the digits, under the names "0" to "9", and of things; the side of an image is `glyph`.
      things: names of things among them.
      count: of records.
      turns: the contexts, over and over.
      glyph: pixels of an object; a cell has two more in each direction, within which it is shifted.

    Raises:
      ValueError: an unknown split or context, or names that no object has.

    Reference: the form of the records: Lu et al. 2022 (ScienceQA), https://arxiv.org/abs/2209.09513.

    >>> from stagejax.data import Digits
    >>> questions = SceneQuestions((Objects(Digits(), NUMERALS),), count=20, glyph=8)
    >>> print(questions[0]["asked"])
    >>> print(questions[0]["rationale"])
    """

    objects: tuple[Objects, ...]
    things: tuple[str, ...] = ()
    count: int = 1000
    turns: tuple[str, ...] = (PICTURE, PICTURE, PICTURE, TEXT, NOTHING)
    noise: float = 0.1
    glyph: int = 14
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        names = {name for own in self.objects for name in own.names}
        for what, own, known in (
            ("split", (self.split,), SPLITS),
            ("context", self.turns, CONTEXTS),
            ("thing", self.things, names),
            ("digit", NUMERALS, names),
        ):
            if unknown := [one for one in own if one not in known]:
                raise ValueError(f"{what} {unknown[0]!r} is none of {', '.join(sorted(known))}")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        return _records(self)[index]

    @property
    def cell(self) -> int:
        """Pixels of a cell's side."""
        return self.glyph + 2

    @property
    def kinds(self) -> tuple[Thing, ...]:
        """All objects that can be in a cell."""
        return tuple((colour, name) for colour in COLOURS for name in (*NUMERALS, *self.things))

    def words(self) -> Words:
        """The vocabulary, which is the same for all splits and contexts."""
        numbers = [str(n) for n in range(2 * int(NUMERALS[-1]) + 1)]
        return Words(tuple(dict.fromkeys((*_FIXED.split(), *numbers, *COLOURS, *CELLS, *SIDES, *LETTERS, *self.things))))

    def cells(self, index: int) -> Float32[np.ndarray, "9 y x 3"]:
        """The picture of a record, cut into its cells, row by row; black where it has none.

        >>> from stagejax.data import Digits
        >>> SceneQuestions((Objects(Digits(), NUMERALS),), count=5, glyph=8).cells(0).shape
        (9, 10, 10, 3)
        """
        own, rng = _questions(self)[index], np.random.default_rng([*self._drawn_by(index), 1])
        cells = np.zeros((len(CELLS), self.cell, self.cell, 3), np.float32)
        if own.context == PICTURE:
            for at, thing in own.scene.items():
                cells[at] = self.painted(thing, rng)
        return cells

    def painted(self, thing: Thing, rng: np.random.Generator) -> Float32[np.ndarray, "y x 3"]:
        """Some image of an object of this split, in its colour, somewhere in a cell."""
        colour, name = thing
        pool, canvas = pools(self.objects, self.split, self.glyph)[name], np.zeros((self.cell, self.cell, 3), np.float32)
        y, x = rng.integers(0, 3, 2)
        grey = pool[int(rng.integers(len(pool)))]
        canvas[y : y + self.glyph, x : x + self.glyph] = grey[..., None] * np.asarray(COLORS[colour], np.float32)
        return canvas

    def digest(self) -> str:
        own = (self.things, self.count, self.turns, self.noise, self.glyph, self.seed, self.split)
        return joint_digest(*(each.source.digest() for each in self.objects), repr(own))

    def _drawn_by(self, index: int) -> list[int]:
        return [self.seed, list(SPLITS).index(self.split), index]


@dataclass(frozen=True)
class SceneCells(Source):
    """Single cells of such scenes, to learn objects from: {"image": float32 (side, side, 3), "label"}.

    The label is a place in `scenes.kinds`, or behind them that of an empty cell. All come equally often.

    >>> from stagejax.data import Digits
    >>> cells = SceneCells(SceneQuestions((Objects(Digits(), NUMERALS),), glyph=8), count=82)
    >>> cells.classes, cells[40]["label"], float(cells[40]["image"].max()), cells[81]["image"].shape
    (41, 40, 0.0, (10, 10, 3))
    """

    scenes: SceneQuestions
    count: int = 10_000
    split: str = "train"

    @property
    def classes(self) -> int:
        """Objects, and none."""
        return len(self.scenes.kinds) + 1

    def of_split(self, split: str) -> SceneCells:
        return SceneCells(self.scenes, self.count, split)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        return _cell(self, index)

    def digest(self) -> str:
        return joint_digest(self.scenes.digest(), f"cells {self.count} {self.split}")


@functools.lru_cache(maxsize=1 << 16)
def _cell(cells: SceneCells, index: int) -> Record:
    scenes, label = replace(cells.scenes, split=cells.split), index % cells.classes
    rng = np.random.default_rng([scenes.seed, list(SPLITS).index(cells.split), index, 2])
    image = np.zeros((scenes.cell, scenes.cell, 3), np.float32)
    return {"image": image if label == len(scenes.kinds) else scenes.painted(scenes.kinds[label], rng), "label": label}


@functools.lru_cache(maxsize=64)
def _questions(source: SceneQuestions) -> tuple[Question, ...]:
    return tuple(_drawn(source, index) for index in range(len(source)))


@functools.lru_cache(maxsize=64)
def _records(source: SceneQuestions) -> tuple[Record, ...]:
    return tuple(_record(source, index, own) for index, own in enumerate(_questions(source)))


def _record(source: SceneQuestions, index: int, own: Question) -> Record:
    rng = np.random.default_rng([*source._drawn_by(index), 3])
    options = " ".join(f"{letter} {option}" for letter, option in zip(LETTERS, own.options, strict=True))
    said = "".join(f"{fact} . " for fact in own.facts).strip()
    if source.split == "train" and rng.random() < source.noise:
        said = misremembered(said, source.things, rng)
    about = f"{own.text} {_context(own)}options: {options}"
    return {
        "asked": f"{about} {SOLUTION}",
        "rationale": said,
        "told": f"{about} {SOLUTION} {said} {ANSWER}",
        "direct": f"{about} {ANSWER}",
        "answer": f"the answer is {LETTERS[own.label]}",
        "context": CONTEXTS.index(own.context),
        "subject": SUBJECTS.index(own.subject),
        "label": own.label,
    }


def _context(own: Question) -> str:
    """A picture's is the names of its cells, where what is seen can be put; a text says what is in them."""
    if own.context == PICTURE:
        return f"context: {PICTURE}: {' '.join(CELLS)} "
    said = " , ".join(f"{CELLS[at]} {colour} {name}" for at, (colour, name) in sorted(own.scene.items()))
    return f"context: {said} " if own.context == TEXT else ""


def misremembered(said: str, things: Sequence[str], rng: np.random.Generator) -> str:
    """A rationale with one word exchanged for another of its sort.

    >>> misremembered("red 3 is north .", (), np.random.default_rng(0))
    """
    words = said.split()
    sorts = (NUMERALS, COLOURS, CELLS, tuple(things))
    places = [(at, sort) for at, word in enumerate(words) for sort in sorts if word in sort and len(sort) > 1]
    at, sort = places[int(rng.integers(len(places)))]
    others = [word for word in sort if word != words[at]]
    words[at] = others[int(rng.integers(len(others)))]
    return " ".join(words)


def facts_of(rationale: str) -> tuple[str, ...]:
    """What a rationale says, one fact after the other.

    >>> facts_of("red 3 is north . 3 plus 5 is 8 .")
    ('red 3 is north', '3 plus 5 is 8')
    """
    return tuple(fact for fact in (part.strip() for part in rationale.split(" .")) if fact)


# --- what is drawn ---


def _drawn(source: SceneQuestions, index: int) -> Question:
    rng, turn = np.random.default_rng(source._drawn_by(index)), index % len(source.turns)
    context = source.turns[turn]
    if context == NOTHING:
        one, other = (int(n) for n in rng.integers(0, len(NUMERALS), 2))
        fact, (options, label) = f"{one} plus {other} is {one + other}", _near(one + other, rng)
        return Question(context, SUM, f"what is the sum of {one} and {other}", {}, (fact,), options, label)
    # Subjects take turns within each place of the contexts' turn.
    subject = SUBJECTS[index // len(source.turns) % len(SUBJECTS)]
    return {SUM: _sum, SIDE: _side, LARGEST: _largest}[subject](source, context, rng)


def _sum(source: SceneQuestions, context: str, rng: np.random.Generator) -> Question:
    colour, free = _one(COLOURS, rng), _cells(rng)
    scene = {free.pop(): (colour, _one(NUMERALS, rng)) for _ in range(2)}
    others = [own for own in source.kinds if own[0] != colour or own[1] in source.things]
    scene |= {free.pop(): _one(others, rng) for _ in range(int(rng.integers(1, 3)))}
    meant = [at for at in sorted(scene) if scene[at][0] == colour and scene[at][1] in NUMERALS]
    one, other = (int(scene[at][1]) for at in meant)
    facts = (*(f"{' '.join(scene[at])} is {CELLS[at]}" for at in meant), f"{one} plus {other} is {one + other}")
    text = f"what is the sum of the {colour} digits"
    return Question(context, SUM, text, scene, facts, *_near(one + other, rng))


def _side(source: SceneQuestions, context: str, rng: np.random.Generator) -> Question:
    side = _one(tuple(SIDES), rng)
    down, right = SIDES[side]
    places = [(at, at + 3 * down + right) for at in range(9) if 0 <= at // 3 + down < 3 and 0 <= at % 3 + right < 3]
    at, beside = _one(places, rng)
    drawn = [source.kinds[int(k)] for k in rng.permutation(len(source.kinds))]
    meant, answer = drawn.pop(), drawn.pop()
    free = [cell for cell in _cells(rng) if cell not in (at, beside)]
    scene = {at: meant, beside: answer} | {free.pop(): drawn.pop() for _ in range(int(rng.integers(1, 3)))}
    of = f"{side} of" if side in ("left", "right") else side
    facts = (
        f"{' '.join(meant)} is {CELLS[at]}",
        f"{of} {CELLS[at]} is {CELLS[beside]}",
        f"{CELLS[beside]} is {' '.join(answer)}",
    )
    wrong = [own for own in scene.values() if own not in (meant, answer)]
    wrong = [*wrong, *drawn][:3]
    options = tuple(" ".join(own) for own in (answer, *wrong))
    text = f"which object lies {of} {' '.join(meant)}"
    return Question(context, SIDE, text, scene, facts, *_shuffled(options, rng))


def _largest(source: SceneQuestions, context: str, rng: np.random.Generator) -> Question:
    colours = [COLOURS[int(k)] for k in rng.permutation(len(COLOURS))]
    numerals = [NUMERALS[int(k)] for k in rng.permutation(len(NUMERALS))[:3]]
    free = _cells(rng)
    scene = {free.pop(): (colour, name) for colour, name in zip(colours, numerals, strict=False)}
    digits = sorted(scene)
    if source.things:
        scene[free.pop()] = (_one(COLOURS, rng), _one(source.things, rng))
    answer = max((scene[at] for at in digits), key=lambda own: int(own[1]))
    facts = (*(f"{' '.join(scene[at])} is {CELLS[at]}" for at in digits), f"largest is {' '.join(answer[::-1])}")
    options = (answer[0], *(colour for colour in COLOURS if colour != answer[0]))
    text = "which colour has the largest of the digits"
    return Question(context, LARGEST, text, scene, facts, *_shuffled(options, rng))


def _near(right: int, rng: np.random.Generator) -> tuple[tuple[str, ...], int]:
    """A sum among three that are at most six from it."""
    most = 2 * int(NUMERALS[-1])
    others = [n for n in range(max(0, right - 6), min(most, right + 6) + 1) if n != right]
    chosen = [str(others[int(k)]) for k in rng.permutation(len(others))[:3]]
    return _shuffled((str(right), *chosen), rng)


def _shuffled(options: tuple[str, ...], rng: np.random.Generator) -> tuple[tuple[str, ...], int]:
    """Options in random order, and where the first one is now."""
    order = rng.permutation(len(options))
    return tuple(options[int(k)] for k in order), int(np.argmin(order))


def _cells(rng: np.random.Generator) -> list[int]:
    return [int(at) for at in rng.permutation(len(CELLS))]


def _one(among: Sequence[T], rng: np.random.Generator) -> T:
    return among[int(rng.integers(len(among)))]

"""Questions with four choices about scenes of real digits and things, and the reasons for their answers, in words.

A scene has two to four coloured objects in the four cells of a square. An answer takes two or three steps: what is
where, which objects are meant, and what follows. As in ScienceQA, some questions come with a picture, some with a text
that says what would be in it, and some with neither.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32

from stagejax.data.multimodal.composites import COLORS, SPLITS, Objects, pools
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words

PICTURE, TEXT, NOTHING = CONTEXTS = ("picture", "text", "nothing")
SUM, SIDE, LARGEST = SUBJECTS = ("sum", "side", "largest")

NUMERALS = ("1", "2", "3", "4", "5")
COLOURS = ("red", "green", "blue", "yellow")
CELLS = ("northwest", "northeast", "southwest", "southeast")
#: What two of them may be together.
SUMS = tuple(str(n) for n in range(1, 2 * int(NUMERALS[-1]) + 1))
#: For each cell, which one lies on which side of it.
SIDES: Mapping[str, Mapping[int, int]] = {
    "west": {1: 0, 3: 2}, "east": {0: 1, 2: 3}, "north": {2: 0, 3: 1}, "south": {0: 2, 1: 3},
}  # fmt: skip
EMPTY = "no object"
#: What ends a prompt, as in Multimodal-CoT: a rationale or an answer is to follow.
SOLUTION, ANSWER = "solution:", "answer:"
SO = "so"  # begins what follows from the facts
_FIXED = (
    f"sum of digits and side colour largest plus is context: options: the answer {PICTURE} {SOLUTION} {ANSWER} {SO}"
)

Thing = tuple[str, str]  # colour and name
T = TypeVar("T")


class Question(NamedTuple):
    """What is drawn for one record."""

    context: str
    subject: str
    text: str
    scene: dict[int, Thing]  # by cell
    conclusion: str
    options: tuple[str, ...]
    label: int  # the right one's place


@dataclass(frozen=True)
class SceneQuestions(Source):
    """Multiple-choice questions about scenes. Records are texts, and integers beside them:

    - `asked`: question, context, options, `solution:`; Multimodal-CoT's QCM
    - `rationale`: what is in each cell, and what follows; its LE. In the training split a share `noise` of them have
      one wrong word: another digit, colour, cell or thing.
    - `told`: the same with the rationale and `answer:`; its QCMG. `direct`: without a rationale.
    - `answer`: "the answer is", and the text of an option, as UnifiedQA has it
    - `context`, `subject`, `label`: places in `CONTEXTS`, `SUBJECTS`, and among the options

    Record i is drawn by (seed, split, i). Splits share no image. Contexts take turns, and subjects with them; questions
    with nothing beside them are sums of two numbers.

    - sum: two digits of one colour are to be found among other objects, and added
    - side: an object is to be found, and what lies on one side of it
    - largest: three digits of different colours are to be compared, and the colour of one is to be said

    Args:
      objects: images of objects; the digits have the names "1" to "5". The side of an image becomes `glyph`.
      things: names of objects that are no digits.
      count: of records.
      turns: the contexts, over and over.
      glyph: pixels of an object; a cell has two more in each direction, within which it is shifted.

    Raises:
      ValueError: an unknown split or context, or a name that no object has.

    Reference: the form of the records: Lu et al. 2022 (ScienceQA), https://arxiv.org/abs/2209.09513.

    >>> from stagejax.data import Digits
    >>> names = ("ring", "1", "2", "3", "4", "5", "hook", "7", "8", "9")
    >>> record = SceneQuestions((Objects(Digits(), names),), ("ring", "hook"), count=20, glyph=8)[3]
    >>> print(record["asked"].split(" options: ")[1], "|", record["answer"])
    8 7 5 4 solution: | the answer is 5
    >>> print(record["rationale"])
    northwest red 2 northeast yellow hook southwest blue 3 southeast blue 2 so 3 plus 2 is 5
    """

    objects: tuple[Objects, ...]
    things: tuple[str, ...]
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
        words = (*_FIXED.split(), *SUMS, *COLOURS, *CELLS, *SIDES, *EMPTY.split(), *self.things)
        return Words(tuple(dict.fromkeys(words)))

    def cells(self, index: int) -> Float32[np.ndarray, "4 y x 3"]:
        """The picture of a record, cut into its cells, row by row; black where there is no object.

        >>> from stagejax.data import Digits
        >>> SceneQuestions((Objects(Digits(), tuple("0123456789")),), ("0",), glyph=8).cells(0).shape
        (4, 10, 10, 3)
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
        pool, canvas = (
            pools(self.objects, self.split, self.glyph)[name],
            np.zeros((self.cell, self.cell, 3), np.float32),
        )
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
    >>> questions = SceneQuestions((Objects(Digits(), tuple("0123456789")),), ("0",), glyph=8)
    >>> cells = SceneCells(questions, count=75)
    >>> cells.classes, cells[24]["label"], float(cells[24]["image"].max()), cells[74]["image"].shape
    (25, 24, 0.0, (10, 10, 3))
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
    said = f"{_described(own)}{SO} {own.conclusion}"
    if source.split == "train" and rng.random() < source.noise:
        said = misremembered(said, source.things, rng)
    about = f"{own.text} {_context(own)}options: {' '.join(own.options)}"
    return {
        "asked": f"{about} {SOLUTION}",
        "rationale": said,
        "told": f"{about} {SOLUTION} {said} {ANSWER}",
        "direct": f"{about} {ANSWER}",
        "answer": f"the answer is {own.options[own.label]}",
        "context": CONTEXTS.index(own.context),
        "subject": SUBJECTS.index(own.subject),
        "label": own.label,
    }


def _described(own: Question) -> str:
    if not own.scene:
        return ""
    return "".join(f"{cell} {' '.join(own.scene.get(at, (EMPTY,)))} " for at, cell in enumerate(CELLS))


def _context(own: Question) -> str:
    """A text says what is in the cells; a picture's has a word in each place where what is seen can be put."""
    shown = "".join(f"{cell} {PICTURE} {PICTURE} " for cell in CELLS)
    return {PICTURE: f"context: {shown}", TEXT: f"context: {_described(own)}", NOTHING: ""}[own.context]


def misremembered(said: str, things: Sequence[str], rng: np.random.Generator) -> str:
    """A rationale with one word exchanged for another of its sort.

    >>> misremembered("northwest red bag", ("bag", "boot"), np.random.default_rng(0))
    'northwest red boot'
    """
    words, sorts = said.split(), (SUMS, COLOURS, CELLS, tuple(things))
    places = [(at, sort) for at, word in enumerate(words) for sort in sorts if word in sort and len(sort) > 1]
    at, sort = places[int(rng.integers(len(places)))]
    others = [word for word in sort if word != words[at]]
    words[at] = others[int(rng.integers(len(others)))]
    return " ".join(words)


def facts_of(rationale: str) -> tuple[str, ...]:
    """What a rationale says, one fact after the other: of each cell, and what follows.

    >>> facts_of("northwest red 3 northeast no object so 3 plus 5 is 8")
    ('northwest red 3', 'northeast no object', 'so 3 plus 5 is 8')
    """
    found: list[list[str]] = []
    for word in rationale.split():
        if not found or (found[-1][0] != SO and word in (*CELLS, SO)):
            found.append([])
        found[-1].append(word)
    return tuple(" ".join(fact) for fact in found)


# --- what is drawn ---


def _drawn(source: SceneQuestions, index: int) -> Question:
    rng, (round_, turn) = np.random.default_rng(source._drawn_by(index)), divmod(index, len(source.turns))
    if source.turns[turn] == NOTHING:
        one, other = (_one(NUMERALS, rng) for _ in range(2))
        return _added(NOTHING, f"sum of {one} and {other}", {}, one, other, rng)
    return (_sum, _side, _largest)[round_ % len(SUBJECTS)](source, source.turns[turn], rng)


def _sum(source: SceneQuestions, context: str, rng: np.random.Generator) -> Question:
    colour, free = _one(COLOURS, rng), _cells(rng)
    scene = {free.pop(): (colour, _one(NUMERALS, rng)) for _ in range(2)}
    meant = [scene[at][1] for at in sorted(scene)]
    others = [own for own in source.kinds if own[0] != colour or own[1] in source.things]
    scene |= {free.pop(): _one(others, rng) for _ in range(int(rng.integers(1, 3)))}
    return _added(context, f"sum of {colour} digits", scene, *meant, rng)


def _added(
    context: str, text: str, scene: dict[int, Thing], one: str, other: str, rng: np.random.Generator
) -> Question:
    """The options are sums at most four from the right one."""
    right = int(one) + int(other)
    near = [own for own in SUMS if 0 < abs(int(own) - right) <= 4]
    options = (str(right), *(near[int(k)] for k in rng.permutation(len(near))[:3]))
    return Question(context, SUM, text, scene, f"{one} plus {other} is {right}", *_shuffled(options, rng))


def _side(source: SceneQuestions, context: str, rng: np.random.Generator) -> Question:
    side = _one(tuple(SIDES), rng)
    at, beside = _one(tuple(SIDES[side].items()), rng)
    drawn = [source.kinds[int(k)] for k in rng.permutation(len(source.kinds))]
    meant, answer = drawn.pop(), drawn.pop()
    free = [cell for cell in _cells(rng) if cell not in (at, beside)]
    others = {free.pop(): drawn.pop() for _ in range(int(rng.integers(0, 3)))}
    options = tuple(" ".join(own) for own in (answer, *others.values(), *drawn)[:4])
    said = f"{side} of {CELLS[at]} is {' '.join(answer)}"
    text = f"{side} of {' '.join(meant)}"
    return Question(context, SIDE, text, {at: meant, beside: answer, **others}, said, *_shuffled(options, rng))


def _largest(source: SceneQuestions, context: str, rng: np.random.Generator) -> Question:
    colours = [COLOURS[int(k)] for k in rng.permutation(len(COLOURS))]
    numerals = [NUMERALS[int(k)] for k in rng.permutation(len(NUMERALS))[:3]]
    free = _cells(rng)
    scene = {free.pop(): own for own in zip(colours, numerals, strict=False)}
    colour, numeral = max(scene.values(), key=lambda own: int(own[1]))
    if rng.random() < 0.5:
        scene[free.pop()] = (_one(COLOURS, rng), _one(source.things, rng))
    options = (colour, *(own for own in COLOURS if own != colour))
    text, said = "colour of largest of digits", f"largest is {numeral} {colour}"
    return Question(context, LARGEST, text, scene, said, *_shuffled(options, rng))


def _shuffled(options: tuple[str, ...], rng: np.random.Generator) -> tuple[tuple[str, ...], int]:
    """Options in random order, and where the first one is now."""
    order = rng.permutation(len(options))
    return tuple(options[int(k)] for k in order), int(np.argmin(order))


def _cells(rng: np.random.Generator) -> list[int]:
    return [int(at) for at in rng.permutation(len(CELLS))]


def _one(among: Sequence[T], rng: np.random.Generator) -> T:
    return among[int(rng.integers(len(among)))]

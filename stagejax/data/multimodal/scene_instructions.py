"""Instructions of six types about pictures of coloured objects: right answers by rule, and new instructions like old.

A picture has two to four objects in the four cells of a square, each of another name. A type is a closed set of
questions, of which those can be asked about a picture that have one answer there.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from stagejax.data.multimodal.composites import SPLITS
from stagejax.data.multimodal.scene_questions import CELLS, COLOURS, NUMERALS, SIDES, SceneQuestions, Thing
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words

CAPTION, OBJECT, COLOUR, COUNT, SIDE, MATCH = TYPES = ("caption", "object", "colour", "count", "side", "match")
#: What is in each cell; None: nothing.
Scene = tuple[Thing | None, ...]
GROUPS = ("digits", "things")  # that can be counted, beside colours
PICTURE = "picture"  # what a picture is written as, word by word
_FIXED = f"{PICTURE} describe what is colour of how many same as"


class Instruction(NamedTuple):
    """A question of a type about a picture."""

    picture: int
    type: str
    text: str


@dataclass(frozen=True)
class Pictures(Source):
    """Pictures of coloured objects. Records are {"scene": what is in each cell, "text": a caption}.

    Record i is drawn by (seed, split, i). Splits share neither an image of an object nor a scene: which split a scene
    is for is decided by a hash of its caption.

    Args:
      world: whose objects, names, colours and cells these are; its own questions are not asked.
      count: of records.
      seed: of scenes and of what objects look like.

    Raises:
      ValueError: an unknown split.

    >>> from stagejax.data import Digits
    >>> from stagejax.data.multimodal.composites import Objects
    >>> names = ("ring", "1", "2", "3", "4", "5", "hook", "7", "8", "9")
    >>> world = SceneQuestions((Objects(Digits(), names),), ("ring", "hook"), glyph=8)
    >>> pictures = Pictures(world, count=3)
    >>> pictures[0]["text"], pictures.cells(0).shape
    ('northwest blue 2 northeast blue 1 southwest yellow ring southeast blue hook', (4, 10, 10, 3))
    """

    world: SceneQuestions
    count: int = 1000
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"pictures have the splits {', '.join(SPLITS)}, not split={self.split!r}")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        scene = self.scenes[index]
        return {"scene": scene, "text": truth("describe", scene)}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all objects."""
        return (*NUMERALS, *self.world.things)

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """Of all records."""
        return _scenes(self)

    def words(self) -> Words:
        """The vocabulary of questions, answers, captions and phrases."""
        phrases = (phrase(None), *(phrase((colour, name)) for colour in COLOURS for name in self.names))
        words = (*_FIXED.split(), *GROUPS, *NUMERALS, *self.world.things, *COLOURS, *CELLS, *SIDES, *phrases)
        return Words(tuple(dict.fromkeys(words)))

    def cells(self, index: int) -> Float32[np.ndarray, "4 y x 3"]:
        """The picture of a record, cut into its cells, row by row; black where there is no object."""
        painter, rng = replace(self.world, split=self.split), np.random.default_rng([*self._drawn_by(index), 1])
        cells = np.zeros((len(CELLS), painter.cell, painter.cell, 3), np.float32)
        for at, thing in enumerate(self.scenes[index]):
            if thing is not None:
                cells[at] = painter.painted(thing, rng)
        return cells

    def digest(self) -> str:
        return joint_digest(self.world.digest(), repr((self.count, self.seed, self.split)))

    def _drawn_by(self, index: int) -> list[int]:
        return [self.seed, list(SPLITS).index(self.split), index]


@functools.lru_cache(maxsize=32)
def _scenes(pictures: Pictures) -> tuple[Scene, ...]:
    return tuple(_scene(pictures, np.random.default_rng(pictures._drawn_by(i))) for i in range(len(pictures)))


def _scene(pictures: Pictures, rng: np.random.Generator) -> Scene:
    while True:
        names = [pictures.names[int(k)] for k in rng.permutation(len(pictures.names))]
        taken = set(rng.permutation(len(CELLS))[: int(rng.integers(2, 5))].tolist())
        scene = tuple(
            (COLOURS[int(rng.integers(len(COLOURS)))], names.pop()) if at in taken else None for at in range(len(CELLS))
        )
        if zlib.crc32(str(truth("describe", scene)).encode()) % 10 in SPLITS[pictures.split]:
            return scene


def phrase(thing: Thing | None) -> str:
    """One word for what is in a cell, where language describes what no picture shows.

    >>> phrase(("red", "3")), phrase(None)
    ('red-3', 'nothing')
    """
    return "nothing" if thing is None else "-".join(thing)


def questions(type: str, names: Iterable[str]) -> tuple[str, ...]:
    """All questions of a type.

    - caption: what is in each cell; object: in one; colour: of an object
    - count: objects of a colour, digits, or things; side: what lies on a side of an object
    - match: two steps, the colour of an object and which other one has it

    Raises:
      ValueError: an unknown type.

    >>> questions("object", ())
    ('what is northwest', 'what is northeast', 'what is southwest', 'what is southeast')
    """
    made = {
        CAPTION: ("describe",),
        OBJECT: tuple(f"what is {cell}" for cell in CELLS),
        COLOUR: tuple(f"colour of {name}" for name in names),
        COUNT: tuple(f"how many {what}" for what in (*COLOURS, *GROUPS)),
        SIDE: tuple(f"{side} of {name}" for side in SIDES for name in names),
        MATCH: tuple(f"same colour as {name}" for name in names),
    }
    if type not in made:
        raise ValueError(f"type={type!r} is none of {', '.join(made)}")
    return made[type]


def truth(question: str, scene: Scene) -> str | None:
    """The verifier: the answer to a question about a scene, None where it has none or more than one.

    >>> scene = (("red", "3"), ("blue", "bag"), None, ("red", "1"))
    >>> [truth(own, scene) for own in ("what is northeast", "east of 3", "same colour as 3", "how many red")]
    ['blue bag', 'blue bag', '1', '2']
    >>> truth("describe", scene), truth("same colour as bag", scene)
    ('northwest red 3 northeast blue bag southeast red 1', None)
    """
    there = {thing[1]: at for at, thing in enumerate(scene) if thing is not None}
    words = question.split()
    first, last = words[0], words[-1]
    if first == "describe":
        return " ".join(f"{CELLS[at]} {' '.join(own)}" for at, own in enumerate(scene) if own is not None)
    if first == "what":
        return _said(scene[CELLS.index(last)])
    if first == "how":
        found = [own for own in scene if own is not None and last in (own[0], GROUPS[own[1] not in NUMERALS])]
        return str(len(found)) if found else None
    at = there.get(last)
    if at is None:
        return None
    colour = _of(scene, at)[0]
    if words[:2] == ["colour", "of"]:
        return colour
    if first == "same":
        others = [own[1] for own in scene if own is not None and own[0] == colour and own[1] != last]
        return others[0] if len(others) == 1 else None
    beside = SIDES[first].get(at)
    return None if beside is None else _said(scene[beside])


def _of(scene: Scene, at: int) -> Thing:
    thing = scene[at]
    assert thing is not None
    return thing


def _said(thing: Thing | None) -> str | None:
    return None if thing is None else " ".join(thing)


def askable(type: str, scene: Scene, names: Iterable[str]) -> list[str]:
    """The questions of a type that have one answer in a scene.

    >>> askable("side", (("red", "3"), None, ("blue", "bag"), None), ("3", "bag"))
    ['north of bag', 'south of 3']
    """
    return [text for text in questions(type, names) if truth(text, scene) is not None]


def drawn(pictures: Pictures, types: Sequence[str], seed: int) -> list[Instruction]:
    """Instructions of these types, in their order, each about a picture drawn at random. No two are the same.

    Raises:
      ValueError: there are not so many.

    >>> from stagejax.data import Digits
    >>> from stagejax.data.multimodal.composites import Objects
    >>> world = SceneQuestions((Objects(Digits(), tuple("0123456789")),), ("0",), glyph=8)
    >>> [own.text for own in drawn(Pictures(world, 50), ("object", "caption"), seed=0)]
    ['what is northeast', 'describe']
    """
    rng, found = np.random.default_rng([seed, 5]), dict[Instruction, None]()
    for type in types:
        for _ in range(1000):
            picture = int(rng.integers(len(pictures)))
            own = _one(picture, type, pictures, rng)
            if own is not None and own not in found:
                found[own] = None
                break
        else:
            raise ValueError(f"{len(pictures)} pictures have too few questions of type {type!r}: raise their `count`")
    return list(found)


def _one(
    picture: int, type: str, pictures: Pictures, rng: np.random.Generator, without: str = ""
) -> Instruction | None:
    """One of the questions of a type about a picture, all answers being as likely; None where there is none."""
    by_answer: dict[str, list[str]] = {}
    for text in askable(type, pictures.scenes[picture], pictures.names):
        if text != without:
            by_answer.setdefault(str(truth(text, pictures.scenes[picture])), []).append(text)
    if not by_answer:
        return None
    texts = list(by_answer.values())[int(rng.integers(len(by_answer)))]
    return Instruction(picture, type, texts[int(rng.integers(len(texts)))])


@dataclass(frozen=True)
class Augmentor:
    """Writes instructions in the manner of given ones: same type, other content, as many objects or more.

    It reads captions, as where a language model writes instructions about pictures that it cannot see. Near-duplicates
    are rejected: with U and V the words of two instructions, those of the caption each with its cell, U and V are too
    near if |U ∩ V| > limit · max(|U|, |V|).

    Args:
      same: share of the new instructions about the picture of the given one; the others are about any picture.
      limit: of overlap.
      tries: for one new instruction before it is given up.

    Reference: Jiang et al. 2023 (Lion), https://arxiv.org/abs/2305.12870, section 3.3; Chen et al. 2023 (CoMD),
    https://arxiv.org/abs/2311.08213. The template engine in place of a language model, and the overlap, are ours.
    """

    same: float = 0.3
    limit: float = 0.9
    tries: int = 20

    def __call__(
        self,
        pictures: Pictures,
        parents: Sequence[Instruction],
        existing: Sequence[Instruction],
        count: int,
        rng: np.random.Generator,
    ) -> tuple[list[Instruction], list[int], int]:
        """New instructions, which parent each has, and how many were rejected as near-duplicates. Parents take turns.

        Raises:
          ValueError: no parents, or all that is like them is there already.

        >>> from stagejax.data import Digits
        >>> from stagejax.data.multimodal.composites import Objects
        >>> world = SceneQuestions((Objects(Digits(), tuple("0123456789")),), ("0",), glyph=8)
        >>> pictures = Pictures(world, 50)
        >>> old = drawn(pictures, ("side",), seed=0)
        >>> new, parents, _ = Augmentor()(pictures, old, old, 2, np.random.default_rng(0))
        >>> [own.type for own in new], parents, old[0] in new
        (['side', 'side'], [0, 0], False)
        """
        if not parents:
            raise ValueError("no instruction to write others like it: give at least one parent")
        known = [fingerprint(own, pictures) for own in existing]
        bags = np.zeros((len(known) + count, len(_columns(pictures))), np.uint8)
        bags[: len(known)] = np.array(known).reshape(len(known), -1)
        made: list[Instruction] = []
        origin: list[int] = []
        order, rejected, turn = rng.permutation(len(parents)), 0, 0
        while len(made) < count:
            at, turn = int(order[turn % len(order)]), turn + 1
            if turn > 100 * count:
                raise ValueError(f"{len(made)} of {count} instructions in {turn} turns: give more pictures or parents")
            for _ in range(self.tries):
                own = self._like(pictures, parents[at], rng)
                if own is None:
                    continue
                bag = fingerprint(own, pictures)
                if near(bag, bags[: len(known) + len(made)], self.limit):
                    rejected += 1
                    continue
                bags[len(known) + len(made)] = bag
                made.append(own)
                origin.append(at)
                break
        return made, origin, rejected

    def _like(self, pictures: Pictures, parent: Instruction, rng: np.random.Generator) -> Instruction | None:
        """One try; None where the picture drawn has too few objects or no such question."""
        size = sum(own is not None for own in pictures.scenes[parent.picture])
        again = rng.random() < self.same
        picture = parent.picture if again else int(rng.integers(len(pictures)))
        if sum(own is not None for own in pictures.scenes[picture]) < size:
            return None
        return _one(picture, parent.type, pictures, rng, without=parent.text if again else "")


def fingerprint(own: Instruction, pictures: Pictures) -> UInt8[np.ndarray, " words"]:
    """Which words an instruction has: those of its question, and those of the caption, each with its cell."""
    columns = _columns(pictures)
    bag = np.zeros(len(columns), np.uint8)
    for at, thing in enumerate(pictures.scenes[own.picture]):
        for word in thing or ():
            bag[columns[f"{CELLS[at]} {word}"]] = 1
    for word in own.text.split():
        bag[columns[word]] = 1
    return bag


@functools.lru_cache(maxsize=8)
def _columns(pictures: Pictures) -> dict[str, int]:
    words = pictures.words().words
    return {word: at for at, word in enumerate((*words, *(f"{cell} {word}" for cell in CELLS for word in words)))}


def near(bag: UInt8[np.ndarray, " words"], others: UInt8[np.ndarray, "n words"], limit: float) -> bool:
    """Whether one of the others has more than a share `limit` of the words of the larger in common with it.

    >>> near(np.uint8([1, 1, 0]), np.uint8([[1, 0, 1]]), 0.4), near(np.uint8([1, 1, 0]), np.uint8([[1, 0, 1]]), 0.5)
    (True, False)
    """
    shared, sizes = others.astype(np.int32) @ bag.astype(np.int32), others.sum(1, dtype=np.int32)
    return bool((shared > limit * np.maximum(sizes, int(bag.sum()))).any())

"""Stickers: pairs of pictures that differ by one known operation, composed of real images, with an instruction.

A sticker is an image of a digit, a garment or a letter in a colour, which covers as much as it is bright; a ground is
one colour or a photograph. What a sentence tells and what a pixel must be is known, as the pair is composed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.multimodal.composites import COLORS, SPLITS, Objects, named_kinds, plain_objects
from stagejax.data.multimodal.object_scenes import resized_all
from stagejax.data.named import Dataset
from stagejax.data.pictures.omniglot import Omniglot
from stagejax.data.pictures.tasks import resized
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import EmptySource, Record, Source
from stagejax.data.vocabulary.words import Words

DRAW, ADD, REMOVE, REPLACE, MOVE = "draw", "add", "remove", "replace", "move"
RESIZE, FILL, REFERENCE = "resize", "fill", "reference"
#: What a pair may differ by; "draw" has no picture before.
OPERATIONS = (DRAW, ADD, REMOVE, REPLACE, MOVE, RESIZE, FILL, REFERENCE)

#: The sentences of each, in which A and B are stickers, P and Q places and G a ground.
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    DRAW: ("draw A P on G", "show A P on G"),
    ADD: ("add A P", "put A P"),
    REMOVE: ("remove A", "erase A"),
    REPLACE: ("replace A by B", "turn A into B"),
    MOVE: ("move A P", "drag A to P"),
    RESIZE: ("make A Z", "resize A to Z"),
    FILL: ("fill with A", "paint A here"),
    REFERENCE: ("this P on G", "put this P on G"),
}
PLACES = ("northwest", "northeast", "southwest", "southeast")
#: Grounds of one colour.
GROUNDS: Mapping[str, tuple[float, float, float]] = {
    "black": (0.0, 0.0, 0.0),
    "grey": (0.4, 0.4, 0.4),
    "brown": (0.35, 0.2, 0.1),
    "navy": (0.1, 0.1, 0.4),
}
PHOTO = "photo"
_LETTERS = 1000  # images of letters that are read, at most
IMAGE = "<image>"  # the word in whose place a patch of the picture before stands

#: Which concepts an instruction calls for: all, those that edits show, or those that only drawings do.
Called = Literal["all", "edited", "drawn"]


class Sticker(NamedTuple):
    """Something that lies on a ground."""

    concept: tuple[int, int]  # kind and colour; the kind behind the last is a letter
    alpha: Float32[np.ndarray, "y x"]
    place: int
    corner: tuple[int, int]  # within its quarter


@dataclass(frozen=True)
class Stickers(Source):
    """Pairs of pictures with an instruction, addressed by index; record i is of operation i modulo their number.

    Records are {"source", "target", "under": float32 (size, size, 3) from 0 to 1, "edited": bool (size, size), "asked":
    int32 (4,), "focus": bool (4,), "text", "operation", "sourced"}: the pictures before and after, the one after
    without the sticker that changed, the pixels that may change, the class that each quarter shall show (0: nothing;
    see `class_of`), the quarters that the instruction is about, the operation's place in `OPERATIONS`, and whether
    there is a picture before.

    A third of the concepts (kind, colour), those with (kind + colour) % 3 = 0, are shown by drawings only. Nothing else
    in an edit is of these, unless the instruction `calls` for one. Letters have no name: they are put by "this" from a
    picture of one. Splits share no image, and the letters of the test are of other alphabets.

    Args:
      objects: grey images of the kinds that have names.
      letters: grey images of what has none.
      photos: grounds, as `x` or `image`; None: colours only.
      operations: among `OPERATIONS`, equally often.
      calls: which concepts instructions call for, where they call for one that was not there before.
      size: rows and columns of a picture; a quarter has half of it.
      sides: of a large and a small sticker.
      photographed: share of pictures on a photograph.
      second: share of pictures with a second sticker (of edits: in what is there before).

    Raises:
      ValueError: an unknown operation, split or kind of call, or stickers that are larger than a quarter.

    >>> from stagejax.data.multimodal.composites import DIGITS
    >>> from stagejax.data.sources import Digits
    >>> source = Stickers((Objects(Digits(), DIGITS[:6]),), Digits(), None, 16, size=16, sides=(7, 5))
    >>> [source[i]["text"] for i in (1, 3)]
    ['put blue three southeast', 'replace yellow two by red two']
    >>> record = source[1]
    >>> bool((record["source"] == record["target"])[~record["edited"]].all())
    True
    """

    objects: tuple[Objects, ...]
    letters: Source
    photos: Source | None
    count: int
    operations: tuple[str, ...] = OPERATIONS
    calls: Called = "edited"
    colors: tuple[str, ...] = ("red", "green", "blue", "yellow")
    size: int = 32
    sides: tuple[int, int] = (14, 9)
    photographed: float = 0.2
    second: float = 0.5
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        unknown = set(self.operations) - set(OPERATIONS)
        if unknown or self.split not in SPLITS or self.calls not in get_args(Called):
            raise ValueError(
                f"operations {sorted(unknown)} are unknown, or split={self.split!r} or calls={self.calls!r}: choose "
                f"among {', '.join(OPERATIONS)}; {', '.join(SPLITS)}; {', '.join(get_args(Called))}"
            )
        if max(self.sides) > self.size // 2:
            raise ValueError(f"sides={self.sides} do not fit into a quarter of {self.size // 2}: lower them")

    @property
    def names(self) -> tuple[str, ...]:
        """The words for all kinds."""
        return named_kinds(self.objects)

    @property
    def words(self) -> Words:
        """A tokenizer of all instructions; `IMAGE` comes first."""
        said = " ".join(text for texts in TEMPLATES.values() for text in texts).split()
        own = [word for word in said if not (len(word) == 1 and word.isupper())]
        more = (*PLACES, *GROUNDS, PHOTO, "large", "small", *self.colors, *self.names)
        return Words(tuple(dict.fromkeys((IMAGE, *own, *more))))

    @property
    def classes(self) -> int:
        """Nothing, and every kind in every colour, letters as one more kind."""
        return 1 + (len(self.names) + 1) * len(self.colors)

    def class_of(self, concept: tuple[int, int]) -> int:
        """The number of a concept among the classes."""
        return 1 + concept[0] * len(self.colors) + concept[1]

    def concepts(self, calls: Called) -> list[tuple[int, int]]:
        """Kind and colour of what may be called for.

        >>> from stagejax.data.multimodal.composites import DIGITS
        >>> from stagejax.data.sources import Digits
        >>> Stickers((Objects(Digits(), DIGITS[:2]),), Digits(), None, 1).concepts("drawn")
        [(0, 0), (0, 3), (1, 2)]
        """
        every = [(kind, color) for kind in range(len(self.names)) for color in range(len(self.colors))]
        return [own for own in every if calls == "all" or (sum(own) % 3 == 0) == (calls == "drawn")]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        """One pair, drawn from (seed, split, index)."""
        if not 0 <= index < self.count:
            raise IndexError(f"record {index} of {self.count}")
        rng = np.random.default_rng([self.seed, list(SPLITS).index(self.split), index])
        operation = self.operations[index % len(self.operations)]
        return _Composer(self, operation, rng).record() | {"operation": OPERATIONS.index(operation)}

    def digest(self) -> str:
        """The sha256 of the images that pictures are made of."""
        sources = [each.source for each in self.objects] + [self.letters] + ([self.photos] if self.photos else [])
        return joint_digest(*(source.digest() for source in dict.fromkeys(sources)))


def real_stickers(count: int, **fields: Any) -> Stickers:
    """Digits of MNIST and clothes of Fashion-MNIST that small pictures can tell apart, letters of Omniglot, and
    grounds of CIFAR-10.

    >>> real_stickers(8).names
    ('zero', 'seven', 'trousers', 'bag')
    """
    return Stickers(plain_objects(), Omniglot(), Dataset("cifar10"), count, **fields)


class _Composer:
    """One record in the making."""

    def __init__(self, source: Stickers, operation: str, rng: np.random.Generator) -> None:
        self.source, self.operation, self.rng = source, operation, rng
        self.pools = _pools(source.objects, source.letters, source.split, source.sides)
        self.quarter = source.size // 2
        self.ground, self.ground_name = self._ground()

    def record(self) -> dict[str, Any]:
        """All fields but the operation's number."""
        free = [int(place) for place in self.rng.permutation(4)]
        s, op = self.source, self.operation
        lie, calls = (s.concepts("all"),) * 2 if op == DRAW else (s.concepts("edited"), s.concepts(s.calls))
        called = self._pick(calls)
        others = [own for own in lie if own != called]
        count = 1 + int(self.rng.random() < s.second)
        known = [others[int(i)] for i in self.rng.choice(len(others), count, replace=False)]
        things = [self._sticker(concept, free.pop(), jitter=op != DRAW) for concept in known]
        first, rest, words = things[0], things[1:], {"G": self.ground_name}
        if op == DRAW:
            new = self._sticker(called, free.pop(), jitter=False)
            told = [new, *things[:-1]]  # one or two
            words["A P"] = " ".join(f"{self._said(own.concept)} {PLACES[own.place]}" for own in told)
            target = self._painted(told)
            return self._made(None, target, self.ground, words, told, range(4))
        if op == REFERENCE:
            letter = self._letter(free.pop())
            middle = (s.size - len(letter.alpha)) // 2
            source = np.zeros_like(self.ground)
            _paint(source, letter.alpha, s.colors[letter.concept[1]], (middle, middle))
            words["P"] = PLACES[letter.place]
            return self._made(source, self._painted([letter]), self.ground, words, [letter], range(4))
        source, under = self._painted(things), self._painted(rest)
        if op in (ADD, FILL):
            new = self._sticker(called, free.pop(), jitter=False)
            words |= {"A": self._said(called), "P": PLACES[new.place]}
            if op == FILL:
                source = source.copy()
                source[self._box(new.place)] = 1.0
            return self._made(source, self._painted([*things, new]), source, words, [*things, new], [new.place],
                              under=self._painted(things))  # fmt: skip
        words["A"] = self._said(first.concept)
        if op == REMOVE:
            return self._made(source, under, under, words, rest, [first.place])
        if op == REPLACE:
            new = self._sticker(called, first.place, jitter=False)
            new, words["B"] = new._replace(corner=first.corner), self._said(called)
        elif op == MOVE:
            new = first._replace(place=free.pop())
            words["P"] = PLACES[new.place]
        else:
            first, new, words["Z"] = self._resized(first)
            source = self._painted([first, *rest])
        return self._made(source, self._painted([new, *rest]), under, words, [new, *rest], [first.place, new.place])

    def _made(
        self, source: Any, target: Any, plain: Any, words: dict[str, str], things: Sequence[Sticker], focus: Any,
        under: Any = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The record; `plain` is the target without what changed, unless `under` is."""
        templates = TEMPLATES[self.operation]
        text = templates[int(self.rng.integers(len(templates)))]
        for mark, word in words.items():
            text = " ".join(f" {text} ".replace(f" {mark} ", f" {word} ").split())
        asked, about = np.zeros(4, np.int32), np.zeros(4, bool)
        about[list(focus)] = True
        for own in things:
            asked[own.place] = self.source.class_of(own.concept)
        edited = np.zeros(target.shape[:2], bool)
        for place in np.flatnonzero(about).tolist():
            edited[self._box(place)] = True
        before = np.zeros_like(target) if source is None else source
        pictures = {"source": before, "target": target, "under": plain if under is None else under}
        return {
            **pictures,
            "edited": edited,
            "asked": asked,
            "focus": about,
            "text": text,
            "sourced": source is not None,
        }

    def _ground(self) -> tuple[np.ndarray, str]:
        """A ground and the word for it."""
        s, shape = self.source, (self.source.size, self.source.size, 3)
        if s.photos is not None and self.rng.random() < s.photographed:
            photos = s.photos.of_split("train" if s.split == "train" else "test")
            row = int(self.rng.integers(len(photos) // 2)) * 2 + (s.split == "test")
            return _photo(photos, row, s.size).copy(), PHOTO
        name = list(GROUNDS)[int(self.rng.integers(len(GROUNDS)))]
        return np.broadcast_to(np.float32(GROUNDS[name]), shape).copy(), name

    def _pick(self, own: Any) -> Any:
        return own[int(self.rng.integers(len(own)))]

    def _said(self, concept: tuple[int, int]) -> str:
        return f"{self.source.colors[concept[1]]} {self.source.names[concept[0]]}"

    def _sticker(self, concept: tuple[int, int], place: int, jitter: bool) -> Sticker:
        alpha = self._pick(self.pools[0][concept[0]])
        return Sticker(concept, alpha, place, self._corner(len(alpha), jitter))

    def _letter(self, place: int) -> Sticker:
        alpha, color = self._pick(self.pools[0][-1]), int(self.rng.integers(len(self.source.colors)))
        return Sticker((len(self.source.names), color), alpha, place, self._corner(len(alpha), False))

    def _corner(self, side: int, jitter: bool) -> tuple[int, int]:
        room = self.quarter - side
        y, x = self.rng.integers(room + 1, size=2) if jitter else (room // 2, room // 2)
        return int(y), int(x)

    def _resized(self, thing: Sticker) -> tuple[Sticker, Sticker, str]:
        """The sticker before and after, about the same middle, and the word for the size after."""
        number, corner = int(self.rng.integers(len(self.pools[0][thing.concept[0]]))), []
        both = [pools[thing.concept[0]][number] for pools in self.pools]
        for alpha in both:
            corner.append(self._corner(len(alpha), False))
        large, small = (thing._replace(alpha=a, corner=c) for a, c in zip(both, corner, strict=True))
        return (large, small, "small") if self.rng.random() < 0.5 else (small, large, "large")

    def _box(self, place: int) -> tuple[slice, slice]:
        y, x = divmod(place, 2)
        q = self.quarter
        return slice(y * q, y * q + q), slice(x * q, x * q + q)

    def _painted(self, things: Sequence[Sticker]) -> np.ndarray:
        """The ground with these stickers on it."""
        canvas = self.ground.copy()
        for own in things:
            rows, columns = self._box(own.place)
            corner = rows.start + own.corner[0], columns.start + own.corner[1]
            _paint(canvas, own.alpha, self.source.colors[own.concept[1]], corner)
        return canvas


def _paint(canvas: np.ndarray, alpha: np.ndarray, color: str, corner: tuple[int, int]) -> None:
    """Lay a sticker over the canvas; it covers as much as it is bright."""
    (y, x), side = corner, len(alpha)
    under = canvas[y : y + side, x : x + side]
    under[...] = alpha[..., None] * np.float32(COLORS[color]) + (1 - alpha[..., None]) * under


@functools.lru_cache(maxsize=1 << 12)
def _photo(photos: Source, row: int, size: int) -> np.ndarray:
    """A photograph at half its brightness, so that stickers stand out."""
    record = photos[row]
    image = np.asarray(record["x" if "x" in record else "image"], np.float32) / 255
    return 0.5 * resized(image, size)


@functools.lru_cache(maxsize=16)
def _pools(
    objects: tuple[Objects, ...], letters: Source, split: str, sides: tuple[int, int]
) -> list[list[Float32[np.ndarray, "n s s"]]]:
    """For both sizes the alphas of every kind, letters last."""
    found: list[np.ndarray] = []
    for each in objects:
        records = [each.source[i] for i in range(min(each.limit, len(each.source)))]
        labels = np.array([int(record[each.label]) for record in records])
        mine = np.isin(np.arange(len(labels)) % 10, SPLITS[split])
        for label, name in enumerate(each.names):
            rows: Int64[np.ndarray, " n"] = np.flatnonzero(mine & (labels == label))
            if name and not len(rows):
                raise EmptySource(f"the {split} images of {each.source} show no {name!r}: raise `limit`")
            if name:
                found.append(_grey([records[row][each.image] for row in rows]))
    own = letters.of_split("train" if split == "train" else "test")
    half = np.linspace(0, (len(own) - 1) // 2 - 1, min(_LETTERS, len(own) // 2)).astype(int)
    found.append(_grey([own[int(row)]["image"] for row in 2 * half + (split == "test")]))
    sized = [[resized_all(images, side) for images in found] for side in sides]
    return [[own / np.maximum(own.max((1, 2), keepdims=True), 1e-6) for own in pool] for pool in sized]


def _grey(images: Sequence[Any]) -> Float32[np.ndarray, "n y x"]:
    """Images of values from 0 to 1."""
    stacked = np.stack([np.asarray(image) for image in images])
    stacked = stacked.reshape(stacked.shape[:3])
    return stacked.astype(np.float32) / np.float32(255 if stacked.dtype == np.uint8 else 1)

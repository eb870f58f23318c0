"""Prompts in which words and pictures alternate, each with the picture that it asks for, composed of real images.

Pictures show one or two images of named kinds, each in a colour and in a quarter. What they show and how they change is
known, so captions, edits, crops and answers are written by a program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from stagejax.data.multimodal.composites import COLORS, SPLITS, Objects, named_kinds, plain_objects, pools
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words

DRAW, COPY, COMBINE = "draw", "copy", "combine"
RECOLOUR, REPLACE, MOVE, REMOVE = "recolour", "replace", "move", "remove"
EDITS = (RECOLOUR, REPLACE, MOVE, REMOVE)
#: What a prompt may ask for.
REQUESTS = (DRAW, COPY, COMBINE, *EDITS)
QUARTERS = ("northwest", "northeast", "southwest", "southeast")
PICTURE = "<image>"  # the word in whose place a patch of a picture stands
MOST = 2  # things in a picture, and pictures in a prompt
TASK_WORDS = 3  # words by which a prompt begins, that say its task alone

_TASKS: Mapping[str, str] = {DRAW: "generate image :", COPY: f"copy image : {PICTURE}", COMBINE: "combine objects :"}
_EDITS: Mapping[str, str] = {
    RECOLOUR: "make {old} {color}",
    REPLACE: "replace {old} by {color} {kind}",
    MOVE: "move {old} {place}",
    REMOVE: "remove {old}",
}
_WORDS = f"{PICTURE} generate copy edit combine image objects : following make replace by move remove describe what"


class Thing(NamedTuple):
    """An image of a kind in a colour, in a quarter."""

    kind: int
    color: int
    place: int
    image: int  # among those of its kind


@dataclass(frozen=True)
class PicturePrompts(Source):
    """Prompts with their pictures, addressed by index; record i asks for `requests[i % len(requests)]`.

    Records are {"text", "caption", "images": float32 (2, size, size, 3), "pictures": how many of them there are,
    "target": float32 (size, size, 3), "asked": int32 (4,), "about": bool (4,), "request"}: a prompt with a `PICTURE`
    for each image; what the target shows, in words and as the class of each quarter (0: nothing); the quarters that an
    edit is about (of others all); and the request's place in `REQUESTS`.

    - draw: "generate image : red seven northwest blue bag southeast";
    - copy: "copy image : <image>";
    - combine: "combine objects : seven <image> northwest bag <image> southeast", each image a thing cut out and
      enlarged, so that colour and shape are told by the image alone;
    - edits: "edit image : <image> following : make seven red", or "replace seven by blue bag", "move seven southeast",
      "remove seven".

    Edits and combinations have two things, others one or two; their kinds differ. Splits share no image.

    Raises:
      ValueError: an unknown request or split, fewer than three kinds, or a side that is larger than a quarter.

    >>> from stagejax.data.multimodal.composites import DIGITS
    >>> from stagejax.data import Digits
    >>> source = PicturePrompts((Objects(Digits(), DIGITS[:4]),), 7, side=8)
    >>> source[0]["text"], source[2]["text"]
    ('generate image : green one southwest', 'combine objects : one <image> northwest two <image> southwest')
    >>> source[4]["text"], source[4]["caption"]
    ('edit image : <image> following : replace one by green zero', 'green zero northwest blue three southeast')
    """

    objects: tuple[Objects, ...]
    count: int
    requests: tuple[str, ...] = REQUESTS
    colors: tuple[str, ...] = ("red", "green", "blue", "yellow")
    size: int = 16
    side: int = 7
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        unknown = set(self.requests) - set(REQUESTS)
        if unknown or not self.requests or self.split not in SPLITS:
            raise ValueError(
                f"requests {sorted(unknown)} are unknown, or split={self.split!r}: choose among {', '.join(REQUESTS)}; "
                f"{', '.join(SPLITS)}"
            )
        if len(self.names) < MOST + 1 or 2 * self.side > self.size:
            raise ValueError(
                f"{len(self.names)} kinds with side={self.side} in a picture of {self.size}: give {MOST + 1} kinds or "
                "more, and a side of at most half of the picture"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The words for all kinds."""
        return named_kinds(self.objects)

    @property
    def words(self) -> Words:
        """A tokenizer of all prompts, captions and questions; `PICTURE` comes first."""
        return Words((*_WORDS.split(), *QUARTERS, *self.colors, *self.names, "nothing"))

    @property
    def classes(self) -> int:
        """Nothing, and every kind in every colour."""
        return 1 + len(self.names) * len(self.colors)

    def class_of(self, thing: Thing) -> int:
        """The number of a thing among the classes."""
        return 1 + thing.kind * len(self.colors) + thing.color

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        """One prompt, drawn from (seed, split, index)."""
        if not 0 <= index < self.count:
            raise IndexError(f"record {index} of {self.count}")
        rng = np.random.default_rng([self.seed, list(SPLITS).index(self.split), index])
        request = self.requests[index % len(self.requests)]
        things = self._scene(rng, 1 + int(rng.random() < 0.5) if request in (DRAW, COPY) else MOST)
        shown, images, about = things, [self.painted(things)], np.ones(4, bool)
        if request == DRAW:
            text, images = f"{_TASKS[DRAW]} {self.caption(things)}", []
        elif request == COPY:
            text = _TASKS[COPY]
        elif request == COMBINE:
            images = [self.enlarged(own) for own in things]
            said = [f"{self.names[own.kind]} {PICTURE} {QUARTERS[own.place]}" for own in things]
            text = f"{_TASKS[COMBINE]} {' '.join(said)}"
        else:
            shown, edit = self._edited(rng, request, things)
            text = f"edit image : {PICTURE} following : {edit}"
            about = np.isin(np.arange(4), [own.place for own in set(things) ^ set(shown)])
        asked = np.zeros(4, np.int32)
        for own in shown:
            asked[own.place] = self.class_of(own)
        none = np.zeros((self.size, self.size, 3), np.float32)
        return {
            "text": text,
            "caption": self.caption(shown),
            "images": np.stack([*images, *[none] * (MOST - len(images))]),
            "pictures": len(images),
            "target": self.painted(shown),
            "asked": asked,
            "about": about,
            "request": REQUESTS.index(request),
        }

    def caption(self, things: Sequence[Thing]) -> str:
        """What a picture shows, from the northwest to the southeast."""
        ordered = sorted(things, key=lambda own: own.place)
        return " ".join(f"{self.said(own)} {QUARTERS[own.place]}" for own in ordered)

    def said(self, thing: Thing) -> str:
        """Colour and kind."""
        return f"{self.colors[thing.color]} {self.names[thing.kind]}"

    def painted(self, things: Sequence[Thing]) -> Float32[np.ndarray, "y x 3"]:
        """A picture of these things, on black."""
        canvas, half = np.zeros((self.size, self.size, 3), np.float32), self.size // 2
        for own in things:
            top, left = half * (own.place // 2), half * (own.place % 2)
            grey = self._pool(own.kind)[own.image]
            canvas[top : top + self.side, left : left + self.side] = grey[..., None] * np.float32(
                COLORS[self.colors[own.color]]
            )
        return canvas

    def enlarged(self, thing: Thing) -> Float32[np.ndarray, "y x 3"]:
        """A thing cut out of its picture, twice as large."""
        half = self.size // 2
        quarter = self.painted([thing._replace(place=0)])[:half, :half]
        return quarter.repeat(2, axis=0).repeat(2, axis=1)

    def digest(self) -> str:
        """The sha256 of the images that pictures are made of."""
        return joint_digest(*(source.digest() for source in dict.fromkeys(each.source for each in self.objects)))

    def _pool(self, kind: int) -> np.ndarray:
        return pools(self.objects, self.split, self.side)[self.names[kind]]

    def _scene(self, rng: np.random.Generator, count: int) -> list[Thing]:
        """Things of different kinds in different quarters, in the order of these."""
        places = np.sort(rng.choice(4, count, replace=False))
        kinds = rng.choice(len(self.names), count, replace=False)
        return [self._thing(rng, int(kind), int(place)) for kind, place in zip(kinds, places, strict=True)]

    def _thing(self, rng: np.random.Generator, kind: int, place: int) -> Thing:
        return Thing(kind, int(rng.integers(len(self.colors))), place, int(rng.integers(len(self._pool(kind)))))

    def _edited(self, rng: np.random.Generator, request: str, things: list[Thing]) -> tuple[list[Thing], str]:
        """The things after an edit of one of them, and the words for it."""
        at = int(rng.integers(len(things)))
        old, rest = things[at], things[:at] + things[at + 1 :]
        new = old
        if request == RECOLOUR:
            new = old._replace(color=_another(rng, len(self.colors), [old.color]))
        elif request == REPLACE:
            new = self._thing(rng, _another(rng, len(self.names), [own.kind for own in things]), old.place)
        elif request == MOVE:
            new = old._replace(place=_another(rng, 4, [own.place for own in things]))
        words = {"color": self.colors[new.color], "kind": self.names[new.kind], "place": QUARTERS[new.place]}
        text = _EDITS[request].format(old=self.names[old.kind], **words)
        return rest if request == REMOVE else [*rest, new], text


def _another(rng: np.random.Generator, count: int, taken: Sequence[int]) -> int:
    return int(rng.choice([i for i in range(count) if i not in taken]))


def real_prompts(count: int, **fields: Any) -> PicturePrompts:
    """Digits of MNIST and clothes of Fashion-MNIST that 7 x 7 pixels can tell apart.

    >>> real_prompts(8).names
    ('zero', 'seven', 'trousers', 'bag')
    """
    return PicturePrompts(plain_objects(20_000), count, **fields)

"""Illustrated stories: small pictures of one real image on a coarse grid, and the sentences between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, UInt8

from stagejax.data.multimodal.composites import COLORS, SPLITS, Objects, as_bytes, paint, pools
from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

Form = Literal["picture", "story", "video"]
FRAMES: Mapping[str, int] = {"picture": 1, "story": 3, "video": 3}

#: Rows and columns by which an object moves.
MOVES: Mapping[str, tuple[int, int]] = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}

_SIDE = 3  # places of the grid in a row, as many as a video has frames
_DRAWS = 12  # random words of a record


@dataclass(frozen=True)
class Stories(Source):
    """Pictures of a coloured object, of which sentences say what it is and what happens to it. Addressed by index.

    Record i is {"images": uint8 (frames, size, size, 3), "texts": a sentence for each image, "labels": (frames,), and
    the first image and label as "image" and "label"}. A label is kind · colors + color. The corner of an object is at
    one of 3 x 3 places, `step` pixels apart, so that what a patch of `step` pixels can show is limited.

    - picture: "a red seven";
    - story: "a red seven", then twice "then it turns blue" or "then it moves left", one of each, in either order;
    - video: "a red seven moves left", three frames of it; the sentence is the first of its texts, the others are empty.

    Args:
      objects: grey images with the words for their kinds.
      size: height and width of a picture in pixels.
      side: of an object.
      seed: of everything drawn. Splits share no image.

    Raises:
      ValueError: the grid does not fit into the picture; an unknown split, form or colour.

    >>> from stagejax.data import Digits
    >>> from stagejax.data.multimodal.composites import DIGITS
    >>> story = Stories((Objects(Digits(), DIGITS),), 100, "story", side=8)[4]
    >>> story["texts"], story["images"].shape
    (('a blue zero', 'then it moves right', 'then it turns green'), (3, 16, 16, 3))
    """

    objects: tuple[Objects, ...]
    count: int
    form: Form = "picture"
    colors: tuple[str, ...] = ("red", "green", "blue")
    size: int = 16
    side: int = 7
    step: int = 4
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in SPLITS or self.form not in get_args(Form) or set(self.colors) - set(COLORS):
            raise ValueError(
                f"split={self.split!r}, form={self.form!r}, colors={self.colors}: choose among {', '.join(SPLITS)}, "
                f"among {', '.join(get_args(Form))}, and of {', '.join(COLORS)}"
            )
        if self.side + self.step * (_SIDE - 1) > self.size:
            raise ValueError(
                f"{_SIDE} places {self.step} pixels apart for an object of side={self.side} do not fit into "
                f"size={self.size}: make it larger"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The words for all kinds."""
        return tuple(name for objects in self.objects for name in objects.names)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of its sentences, once."""
        return tuple(dict.fromkeys(("a", "then", "it", "turns", "moves", *MOVES, *self.colors, *self.names)))

    def caption(self, label: int) -> str:
        """What is said of an object alone."""
        kind, color = divmod(label, len(self.colors))
        return f"a {self.colors[color]} {self.names[kind]}"

    def __len__(self) -> int:
        return self.count

    def texts(self, index: int) -> tuple[str, ...]:
        """The sentences of a record."""
        return self._told(index)[0]

    def __getitem__(self, index: int) -> Record:
        texts, kind, image, colors, places = self._told(index)
        grey = pools(self.objects, self.split, self.side)[self.names[kind]]
        shown = [self._shown(grey[int(image * len(grey))], c, p) for c, p in zip(colors, places, strict=True)]
        images, labels = np.stack(shown), np.array([kind * len(self.colors) + c for c in colors], np.int32)
        return {"images": images, "texts": texts, "labels": labels, "image": images[0], "label": int(labels[0])}

    def _told(self, index: int) -> tuple[tuple[str, ...], int, float, list[int], list[np.ndarray]]:
        """Sentences, kind, which of its images (a share), and the colour and place in each picture."""
        if not 0 <= index < self.count:
            raise IndexError(f"record {index} of {self.count}")
        seed = (self.seed * len(SPLITS) + list(SPLITS).index(self.split)) * len(FRAMES) + list(FRAMES).index(self.form)
        u = uniforms(random_words(seed, np.array([index]), _DRAWS)[0])
        kind, color = int(u[0] * len(self.names)), int(u[1] * len(self.colors))
        place = np.array([int(u[3] * _SIDE), int(u[4] * _SIDE)])
        colors, places, texts = [color], [place], [self.caption(kind * len(self.colors) + color)]
        if self.form == "video":
            move = list(MOVES)[int(u[5] * len(MOVES))]
            way = np.array(MOVES[move])
            start = np.where(way == 0, place, np.where(way > 0, 0, _SIDE - 1))
            colors, places, texts = (
                [color] * 3,
                [start + t * way for t in range(3)],
                [f"{texts[0]} moves {move}", "", ""],
            )
        elif self.form == "story":
            changes = ("turns", "moves") if u[6] < 0.5 else ("moves", "turns")
            for change in changes:
                colors.append(colors[-1])
                places.append(places[-1])
                if change == "turns":
                    colors[-1] = (color + 1 + int(u[7] * (len(self.colors) - 1))) % len(self.colors)
                    texts.append(f"then it turns {self.colors[colors[-1]]}")
                else:
                    free = [move for move, way in MOVES.items() if _inside(places[-1] + np.array(way))]
                    move = free[int(u[8] * len(free))]
                    places[-1] = places[-1] + np.array(MOVES[move])
                    texts.append(f"then it moves {move}")
        return tuple(texts), kind, float(u[2]), colors, places

    def digest(self) -> str:
        """The sha256 of the images that it is made of."""
        return joint_digest(*(source.digest() for source in {each.source: None for each in self.objects}))

    def _shown(self, grey: Float32[np.ndarray, "s s"], color: int, place: np.ndarray) -> UInt8[np.ndarray, "n n 3"]:
        canvas = np.zeros((self.size, self.size, 3), np.float32)
        paint(canvas, grey[..., None] * np.asarray(COLORS[self.colors[color]], np.float32), self.step * place)
        return as_bytes(canvas)


def _inside(place: np.ndarray) -> bool:
    return bool(((place >= 0) & (place < _SIDE)).all())

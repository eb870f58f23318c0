"""Signed phrases: videos in which a hand draws a letter for every word that carries meaning, in an order of its own.

The phrases and the handwriting are real, how they become videos is a program.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.language.phrases import FUNCTION, Phrases, word_set
from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pictures.tasks import resized
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source

#: Words for where something is, which are signed first.
PLACES = word_set(
    "street water front outside building sidewalk field beach table snow grass background city air park wall top"
)
#: Words for what is done, which are signed last; and all that end in -ing.
DEEDS = word_set("dressed stands sits stand looks walks plays holds")

#: Drawers, numbered from 1, whose hands a split shows.
SIGNERS = {"train": (1, 14), "val": (15, 16), "test": (17, 20)}


def sign_order(words: Sequence[str]) -> tuple[str, ...]:
    """The words that are signed, in the order in which they are: places, all others, deeds; function words never.

    >>> sign_order("a red dog jumping in the street".split())
    ('street', 'red', 'dog', 'jumping')
    """

    def rank(word: str) -> int:
        return 0 if word in PLACES else 2 if word in DEEDS or word.endswith("ing") else 1

    return tuple(sorted((word for word in words if word not in FUNCTION), key=rank))


@dataclass(frozen=True)
class Signed(Derived):
    """Videos of phrases: records {"video": uint8 (frames, size, size, 1), "text", "signer", "signs"}.

    Every word that is no function word has a letter of its own. A phrase is signed in the order of `sign_order` by one
    drawer: `hold` frames of each letter, which drifts by at most a pixel a frame, and between two letters a frame in
    which one passes into the other. Each split has drawers of its own (see `SIGNERS`). "signs" are the letters; no
    model is to see them. Record i is a function of the declaration and i.

    Args:
      source: of the phrases.
      letters: records with an image of bright ink, a letter and a drawer.
      size: height and width of a frame.
      side: of a letter.
      hold: frames of a letter.

    Raises:
      ValueError: fewer letters than words that are signed.

    >>> from stagejax.data.language.phrases import DrawnCaptions
    >>> signed = Signed(Phrases(DrawnCaptions(99)), DrawnLetters(24), size=12, side=9)
    >>> signed[0]["video"].shape, signed[0]["text"]
    ((15, 12, 12, 1), 'a white woman walking in the water')
    """

    source: Phrases
    letters: Source
    size: int = 20
    side: int = 16
    hold: int = 3
    seed: int = 0

    @property
    def lexicon(self) -> dict[str, int]:
        """The letter of every word that is signed."""
        words = [word for word in self.source.vocabulary if word not in FUNCTION]
        count = len(_hands(self.letters, self.side))
        if len(words) > count:
            raise ValueError(f"{len(words)} words are signed, but there are {count} letters: lower `words`")
        order = shuffled(self.seed, np.arange(len(words)), count)
        return {word: int(letter) for word, letter in zip(words, order, strict=True)}

    def __getitem__(self, index: int) -> Record:
        return _signed(self, range(len(self))[index])

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.letters.digest(), f"{self.size} {self.side} {self.hold}")


@functools.lru_cache(maxsize=1 << 14)
def _signed(signed: Signed, index: int) -> Record:
    text = signed.source[index]["text"]
    signs = [_lexicon(signed)[word] for word in sign_order(text.split())]
    stream = 4 * signed.seed + list(SIGNERS).index(signed.split)
    u = uniforms(random_words(stream, np.array([index]), 1 + 4 * len(signs))[0])
    first, last = SIGNERS[signed.split]
    signer = first + int(u[0] * (last + 1 - first))
    images = _hands(signed.letters, signed.side)[signs, signer - 1]
    frames: list[np.ndarray] = []
    for image, own in zip(images, u[1:].reshape(-1, 4), strict=True):
        shown = _drifting(image, signed.size, signed.hold, own)
        if frames:
            frames.append((frames[-1] + shown[0]) / 2)
        frames += list(shown)
    video = np.rint(255 * np.stack(frames)).astype(np.uint8)[..., None]
    return {"video": video, "text": text, "signer": signer, "signs": tuple(signs)}


def _drifting(
    image: Float32[np.ndarray, "s s"], size: int, hold: int, u: np.ndarray
) -> Float32[np.ndarray, "hold size size"]:
    """The letter from a drawn place on, moving by a drawn step of -1, 0 or 1 pixels both ways, within the frame."""
    free, side = size - len(image), len(image)
    starts, steps = (u[:2] * (free + 1)).astype(int), (u[2:] * 3).astype(int) - 1
    frames = np.zeros((hold, size, size), np.float32)
    for k, frame in enumerate(frames):
        y, x = np.clip(starts + k * steps, 0, free)
        frame[y : y + side, x : x + side] = image
    return frames


@functools.lru_cache(maxsize=8)
def _lexicon(signed: Signed) -> dict[str, int]:
    return signed.lexicon


@functools.lru_cache(maxsize=8)
def _hands(letters: Source, side: int) -> Float32[np.ndarray, "letters drawers s s"]:
    """Every letter by every drawer, from 0 to 1."""
    records = [letters[i] for i in range(len(letters))]
    images = np.stack([np.asarray(record["image"])[..., 0] for record in records]).astype(np.float32)
    small = resized(images.transpose(1, 2, 0), side).transpose(2, 0, 1) / np.float32(255)
    table = np.zeros((max(r["letter"] for r in records) + 1, max(r["drawer"] for r in records), side, side), np.float32)
    for record, image in zip(records, small, strict=True):
        table[record["letter"], record["drawer"] - 1] = image
    return table


@dataclass(frozen=True)
class DrawnLetters(Source):
    """Made-up letters by twenty hands, for tests: {"image": uint8 (12, 12, 1), "letter", "drawer"}.

    A letter is a pattern of 4 x 4 cells, a hand shifts it.
    """

    count: int
    split: str = "train"

    def __len__(self) -> int:
        return 20 * self.count

    def __getitem__(self, index: int) -> Record:
        letter, drawer = divmod(range(len(self))[index], 20)
        cells = random_words(1, np.array([letter]), 16)[0].reshape(4, 4) > np.uint64(1 << 63)
        image = np.roll(np.kron(cells, np.ones((3, 3))), (drawer % 3 - 1, drawer // 3 % 3 - 1), (0, 1))
        return {"image": (255 * image).astype(np.uint8)[..., None], "letter": letter, "drawer": drawer + 1}

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        return np.arange(len(self)) // 20 if field == "letter" else super().column(field)

    def digest(self) -> str:
        return joint_digest(f"{self}")

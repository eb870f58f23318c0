"""Remarks on what is done and seen, in words, sound and moving pictures: real ones, put together by a program.

Letters: n records, L tokens, T frames of sound, M mel bands, F pictures of a clip.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Int32, Int64

from stagejax.data.multimodal.composites import Objects
from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.selection.pools import images_of, mel_energies, sentences_of
from stagejax.data.sound.audio import LogMel
from stagejax.data.sound.sounds import Sounds
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import SPECIAL
from stagejax.data.vocabulary.common_words import CommonWords

#: What is told of a remark, in the order of its labels.
LABELS = ("anatomic", "technical", "procedural", "praise", "visual aid")
SPLITS = ("train", "valid", "test")

_QUIET, _LOUD = (-16.0, -8.0), (-8.0, 0.0)  # decibels; the border is at -8
_DRAWS = 15  # random words of a record, beside those of its errors


@dataclass(frozen=True)
class Sentences:
    """Short sentences of two kinds.

    Args:
      positive: labels of the kind that counts as 1.
      longest: words of a sentence; longer ones are left out.
    """

    source: Source
    positive: tuple[int, ...]
    longest: int
    text: str = "text"
    label: str = "label"

    def kinds(self, split: str) -> tuple[list[str], list[str]]:
        """Those of a split that are not of the positive kind, and those that are."""
        return sentences_of(self.source, split, self.positive, self.longest, self.text, self.label)


@dataclass(frozen=True)
class Feedback(Source):
    """Remarks, addressed by index: {"tokens", "frames", "video", "labels"}; a record is a function of its index.

    The text is a sentence with a mood, "watch", the name of a group of things, and a sentence on a topic, as a
    transcript gives it: a word is wrong with probability `errors` (of ten such words, six are replaced by any word,
    two are left out, two have any word behind them). The sound is a recording, quiet or loud. The video is a thing
    that moves left or right. Of the labels, each in half of the records unless it says otherwise,

    - anatomic is the kind of the topic (text);
    - technical is whether the recording's event is in the second half of the events (sound);
    - procedural is whether the thing moves right (order of pictures);
    - praise is a loud sound and a positive mood: a quarter (sound and text);
    - visual aid is whether the thing seen is of the group that is named (pictures and text); each is drawn by itself
      with the probabilities `shares`, so that they are one in the sum of their squares.

    Of the train split, a share `flipped` of each label is wrong. Splits share no row of a source (a sentence that is in
    two rows may be in two splits); the test's are those of the sources' own test splits, where with `SpokenDigits` no
    speaker and with MNIST no writer of the train split is.

    Args:
      sounds: their labels are events.
      objects: a group of images each, whose `names` are one word, or empty for labels that are left out.
      size, held: records of the train split, and of the two others.
      side: of a thing in pixels; speeds: pixels a frame.
      length: tokens of a text; vocabulary: its commonest words have ids of their own.

    Raises:
      ValueError: an unknown split; a thing would leave the picture; shares that do not fit the groups.

    >>> Feedback.names.fget(toy()), toy()[3]["labels"].shape, toy()[3]["video"].shape
    (('little', 'much'), (5,), (4, 12, 12, 1))
    """

    topics: Sentences
    moods: Sentences
    sounds: Sounds
    objects: tuple[Objects, ...]
    shares: tuple[float, ...] = (0.5, 0.3, 0.2)
    size: int = 8000
    held: int = 1000
    errors: float = 0.35
    flipped: float = 0.1
    mel: LogMel = field(default_factory=lambda: LogMel(window=400, hop=200, bands=32, low=60.0, floor=1e-4))
    pictures: int = 4
    pixels: int = 20
    side: int = 10
    speeds: tuple[int, ...] = (1, 2)
    length: int = 32
    vocabulary: int = 3000
    split: str = "train"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"Feedback has the splits {', '.join(SPLITS)}, not split={self.split!r}")
        if max(self.speeds) * (self.pictures - 1) > self.pixels - self.side:
            raise ValueError(
                f"at {max(self.speeds)} pixels a frame, {self.pictures} pictures need a way longer than "
                f"pixels - side = {self.pixels - self.side}: lower `speeds` or `side`"
            )
        if len(self.shares) != len(self.objects) or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares={self.shares}: give one for each of {len(self.objects)} groups, 1 together")

    @property
    def frequencies(self) -> tuple[float, ...]:
        """How often each label is there, before any is flipped."""
        return (0.5, 0.5, 0.5, 0.25, sum(share**2 for share in self.shares))

    @property
    def names(self) -> tuple[str, ...]:
        """The word for each group of images."""
        return tuple(next(filter(None, own.names)) for own in self.objects)

    @property
    def words(self) -> CommonWords:
        """The tokenizer, before it has seen the train split."""
        return CommonWords(self.vocabulary, declared=("watch", *self.names))

    @property
    def sound_frames(self) -> int:
        """T."""
        return self.mel.frames(self.sounds.samples)

    def __len__(self) -> int:
        return self.size if self.split == "train" else self.held

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return {name: rows[0] for name, rows in self.take(np.array([index])).items()}

    def true_labels(self, records: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n 5"]:
        """The labels before any is flipped."""
        drawn = self._drawn(records)
        praise = drawn["mood"] & drawn["loud"]
        return np.stack(
            [drawn["topic"], drawn["event"], drawn["right"], praise, drawn["seen"] == drawn["named"]], 1
        ).astype(np.float32)

    def take(self, records: Int64[np.ndarray, " n"]) -> Batch:
        """Records, stacked."""
        drawn, labels = self._drawn(records), self.true_labels(records)
        if self.split == "train":
            labels = np.where(drawn["flips"] < self.flipped, 1 - labels, labels).astype(np.float32)
        return {
            "tokens": np.stack([_text(self, int(record)) for record in records]),
            "frames": self._sound(drawn),
            "video": self._video(drawn),
            "labels": labels,
        }

    def digest(self) -> str:
        """The sha256 of what remarks are made of."""
        own = (self.topics.source, self.moods.source, self.sounds, *(each.source for each in self.objects))
        return joint_digest(*(source.digest() for source in own))

    def _drawn(self, records: Int64[np.ndarray, " n"]) -> dict[str, Any]:
        """What a record is, from its random numbers."""
        u = uniforms(random_words(self.seed * len(SPLITS) + SPLITS.index(self.split), records, _DRAWS))
        until = np.cumsum(self.shares)[:-1]
        seen, named = np.searchsorted(until, u[:, 0], side="right"), np.searchsorted(until, u[:, 1], side="right")
        found = {"topic": u[:, 2] < 0.5, "mood": u[:, 3] < 0.5, "event": u[:, 4] < 0.5, "loud": u[:, 5] < 0.5}
        found |= {"right": u[:, 6] < 0.5, "seen": seen, "named": named}
        places = {"topic": 7, "mood": 8, "event": 9, "level": 10, "image": 11, "speed": 12, "start": 13, "row": 14}
        more = random_words(-1 - self.seed * len(SPLITS) - SPLITS.index(self.split), records, len(LABELS))
        return found | {f"u_{name}": u[:, k] for name, k in places.items()} | {"flips": uniforms(more)}

    def _sound(self, drawn: Mapping[str, Any]) -> Float32[np.ndarray, "n T M"]:
        """Log-mels at the level that is drawn, near -1 to 1."""
        energies, events = mel_energies(self.sounds, self.split, self.mel)
        second = events >= len(self.sounds.names) / 2
        rows = _picked(np.flatnonzero(second), np.flatnonzero(~second), drawn["event"], drawn["u_event"])
        low = np.where(drawn["loud"], _LOUD[0], _QUIET[0])
        gain = 10 ** ((low + 8 * drawn["u_level"]) / 10)
        return ((np.log(self.mel.floor + gain[:, None, None] * energies[rows]) + 4) / 4).astype(np.float32)

    def _video(self, drawn: Mapping[str, Any]) -> Float32[np.ndarray, "n F y x 1"]:
        """A thing on its way across dark pictures."""
        n, free, side = len(drawn["seen"]), self.pixels - self.side, self.side
        pools = [images_of(own, self.split, self.side) for own in self.objects]
        things = np.stack(
            [pools[g][int(u * len(pools[g]))] for g, u in zip(drawn["seen"], drawn["u_image"], strict=True)]
        )
        speed = np.array(self.speeds)[(drawn["u_speed"] * len(self.speeds)).astype(int)]
        start = (drawn["u_start"] * (free - speed * (self.pictures - 1) + 1)).astype(int)
        x = start[:, None] + speed[:, None] * np.arange(self.pictures)
        x, y = np.where(drawn["right"][:, None], x, free - x), (drawn["u_row"] * (free + 1)).astype(int)
        video = np.zeros((n, self.pictures, self.pixels, self.pixels), np.float32)
        rows = (y[:, None] + np.arange(side))[:, None, :, None]
        columns = (x[..., None] + np.arange(side))[:, :, None, :]
        at = np.arange(n)[:, None, None, None], np.arange(self.pictures)[None, :, None, None]
        video[(*at, rows, columns)] = things[:, None]
        return video[..., None]


@dataclass(frozen=True, kw_only=True)
class Remarks(OfRecords):
    """Batches of remarks: {"tokens": int32 (batch, L), "frames": float32 (batch, T, M), "video": float32 (batch, F,
    pixels, pixels, 1), "labels": float32 (batch, 5)}."""

    source: Feedback
    batch: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own, real = self.source, np.dtype("float32")
        return {
            "tokens": jax.ShapeDtypeStruct((own.length,), np.dtype("int32")),
            "frames": jax.ShapeDtypeStruct((own.sound_frames, own.mel.bands), real),
            "video": jax.ShapeDtypeStruct((own.pictures, own.pixels, own.pixels, 1), real),
            "labels": jax.ShapeDtypeStruct((len(LABELS),), real),
        }

    def size(self) -> int:
        return len(self.source)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.source.take(numbers)

    def digest(self) -> str:
        return self.source.digest()


def _picked(ones: np.ndarray, zeros: np.ndarray, kind: np.ndarray, u: np.ndarray) -> Int64[np.ndarray, " n"]:
    """A row of the kind that each record has."""
    return np.where(kind, ones[(u * len(ones)).astype(int)], zeros[(u * len(zeros)).astype(int)])


@functools.lru_cache(maxsize=8)
def _codec(words: CommonWords, topics: Sentences, moods: Sentences) -> Any:
    return words.train(text for own in (topics, moods) for kind in own.kinds("train") for text in kind)


@functools.lru_cache(maxsize=1 << 15)
def _text(source: Feedback, record: int) -> Int32[np.ndarray, " L"]:
    """The tokens of a record's transcript, with its errors."""
    drawn, code = source._drawn(np.array([record])), _codec(source.words, source.topics, source.moods)
    said = {}
    for name in ("topic", "mood"):
        own = source.topics if name == "topic" else source.moods
        pool = own.kinds(source.split)[int(drawn[name][0])]
        said[name] = pool[int(drawn[f"u_{name}"][0] * len(pool))]
    text = f"{said['mood']} watch {source.names[int(drawn['named'][0])]} {said['topic']}"
    true = code.encode([text])[0]
    u = uniforms(random_words(source.seed + 97 + SPLITS.index(source.split), np.array([record]), 2 * len(true)))[0]
    heard: list[int] = []
    for token, chance, which in zip(true, u[::2], u[1::2], strict=True):
        kind, any_word = chance / max(source.errors, 1e-9), SPECIAL + int(which * (source.words.vocab - SPECIAL))
        if kind < 0.6:
            heard.append(any_word)
        elif kind >= 0.8:
            heard.extend([int(token)] if kind >= 1 else [int(token), any_word])
    cut = heard[: source.length]
    return np.array(cut + [0] * (source.length - len(cut)), np.int32)


def toy(split: str = "train", size: int = 64, errors: float = 0.35) -> Feedback:
    """Remarks of generated sentences and sounds and of scikit-learn's digits, for tests."""
    from stagejax.data.sound.sounds import Whistles
    from stagejax.data.sources import Digits
    from stagejax.data.tasks.text_tasks import SynonymRows

    rows = SynonymRows(size=200)
    digits = (Objects(Digits(), ("little",) * 5 + ("",) * 5), Objects(Digits(), ("",) * 5 + ("much",) * 5))
    return Feedback(
        Sentences(rows, (0, 1), 8, "s1", "who"), Sentences(rows, (0, 1), 8, "s1", "does"),
        Whistles(events=4, seconds=0.15), digits, (0.6, 0.4), size=size, held=size, errors=errors, split=split,
        mel=LogMel(window=256, hop=200, bands=16, low=60.0, floor=1e-4),
        pixels=12, side=8, speeds=(1,), length=16, vocabulary=60,
    )  # fmt: skip

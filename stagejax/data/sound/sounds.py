"""Recordings of named events, cut to windows of one length: environmental sounds, spoken digits, generated ones.

Letters: n windows, S samples of a window.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from stagejax.data.named import TFDS, Dataset, read_npz
from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import EmptySource, Record, Source

_LEVEL = 0.1  # root mean square of every window
_QUIET = 0.3  # of the loudest window of a recording: what is below is not kept


class Recording(NamedTuple):
    """A signal from -1 to 1, which event it is, and what it must not share with others: a fold, a speaker."""

    signal: Float32[np.ndarray, " samples"]
    label: int
    origin: int


class _Cut(NamedTuple):
    """All recordings one behind the other, and where each window begins."""

    flat: np.ndarray
    starts: np.ndarray
    labels: np.ndarray
    origins: np.ndarray


class Sounds(Source):
    """Windows of recordings. Records are {"signal": float32 (S,), "label": int, "origin": int}.

    A recording is cut into a window every quarter of one, as far as they lie in it; a shorter one is a window with
    silence behind it. Windows below 0.3 of the recording's loudest are left out; the others get the same root mean
    square, so that loudness tells nothing.

    Subclasses are frozen dataclasses with the fields `split` and `seconds` (of a window), and give `rate`, `names` (of
    the events), `recordings` and `digest`.
    """

    seconds: float
    rate: int
    names: tuple[str, ...]

    def recordings(self) -> Sequence[Recording]:
        """Those of the split."""
        raise NotImplementedError

    @property
    def samples(self) -> int:
        """Of a window."""
        return round(self.seconds * self.rate)

    def __len__(self) -> int:
        return len(_cut(self).starts)

    def __getitem__(self, index: int) -> Record:
        found = _cut(self)
        row = range(len(self))[index]
        label, origin = int(found.labels[row]), int(found.origins[row])
        return {"signal": self.signals(np.array([row]))[0], "label": label, "origin": origin}

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        found = {"label": _cut(self).labels, "origin": _cut(self).origins}.get(field)
        return super().column(field) if found is None else found

    def signals(self, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n S"]:
        """The windows of these records."""
        found = _cut(self)
        windows = found.flat[found.starts[rows][:, None] + np.arange(self.samples)]
        size = np.sqrt(np.square(windows).mean(1, keepdims=True))
        return windows * (_LEVEL / np.maximum(size, 1e-6))


@functools.lru_cache(maxsize=8)
def _cut(source: Sounds) -> _Cut:
    recordings, samples = source.recordings(), source.samples
    if not recordings:
        raise EmptySource(f"{source} holds no recording")
    pieces, starts, labels, origins, before = [], [], [], [], 0
    for signal, label, origin in recordings:
        own = np.pad(signal, (0, max(0, samples - len(signal))))
        places = np.arange(0, len(own) - samples + 1, max(1, samples // 4))
        power = np.concatenate([[0.0], np.cumsum(np.square(own, dtype=np.float64))])
        loud = np.sqrt(np.maximum(power[places + samples] - power[places], 0))
        kept = places[loud >= _QUIET * loud.max()]
        pieces.append(own)
        starts.append(before + kept)
        labels.append(np.full(len(kept), label))
        origins.append(np.full(len(kept), origin))
        before += len(own)
    return _Cut(np.concatenate(pieces), *(np.concatenate(rows).astype(np.int64) for rows in (starts, labels, origins)))


def _both(name: str) -> list[Path]:
    """The train and the test file of a folder under `$STAGEJAX_DATA`."""
    found = [Dataset(name, split).path() for split in ("train", "test")]
    if None in found:
        len(Dataset(name))  # says where it was looked for
        raise ValueError(f"{name} is read from files under $STAGEJAX_DATA")
    return [path for path in found if path is not None]


@dataclass(frozen=True)
class Esc10(Sounds):
    """ESC-10, two files under `$STAGEJAX_DATA`: ten kinds of environmental sounds, 40 recordings of 5 s each, 8 kHz.

    Its five folds are kept: pieces of one recording are never in two of them.

    Args:
      split: "test": the folds `held`; "train": the others.
      held: folds, from 1 to 5, that are tested.
      left_out: folds that are in no split.

    Reference: Piczak 2015, ESC: Dataset for Environmental Sound Classification.

    >>> Esc10().names[3], Esc10("test").folds, Esc10(held=(4,), left_out=(5,)).folds
    ('dog bark', (5,), (1, 2, 3))
    """

    split: str = "train"
    held: tuple[int, ...] = (5,)
    left_out: tuple[int, ...] = ()
    seconds: float = 1.0

    rate = 8000
    names = ("baby cry", "chainsaw", "clock tick", "dog bark", "fire crackling",
             "helicopter", "person sneeze", "rain", "rooster", "sea waves")  # fmt: skip

    def __post_init__(self) -> None:
        _check_split(self)

    @property
    def folds(self) -> tuple[int, ...]:
        """Those of the split."""
        away = {*self.held, *self.left_out}
        return self.held if self.split == "test" else tuple(fold for fold in range(1, 6) if fold not in away)

    def recordings(self) -> Sequence[Recording]:
        found = [read_npz(path) for path in _both("esc10")]
        return [
            Recording(signal.astype(np.float32) / 32768, int(label), int(fold))
            for file in found
            for signal, label, fold in zip(file["audio"], file["y"], file["fold"], strict=True)
            if fold in self.folds
        ]

    def digest(self) -> str:
        return joint_digest(*(Dataset("esc10", split).digest() for split in ("train", "test")))


@dataclass(frozen=True)
class SpokenDigits(Sounds):
    """The Free Spoken Digit Dataset, two files under `$STAGEJAX_DATA`: ten digits said 50 times by six speakers, 8 kHz.

    Args:
      split: "test": the speakers `held`; "train": the others.
      held: numbers of speakers that are tested, of george, jackson, lucas, nicolas, theo and yweweler.
      left_out: numbers of speakers that are in no split.

    >>> SpokenDigits("test").speakers, SpokenDigits(left_out=(3,)).speakers
    ((4, 5), (0, 1, 2))
    """

    split: str = "train"
    held: tuple[int, ...] = (4, 5)
    left_out: tuple[int, ...] = ()
    seconds: float = 1.0

    rate = 8000
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

    def __post_init__(self) -> None:
        _check_split(self)

    @property
    def speakers(self) -> tuple[int, ...]:
        """Those of the split."""
        away = {*self.held, *self.left_out}
        return self.held if self.split == "test" else tuple(speaker for speaker in range(6) if speaker not in away)

    def recordings(self) -> Sequence[Recording]:
        made = []
        for file in (read_npz(path) for path in _both("fsdd")):
            audio, bounds = file["audio"], file["offset"]
            for i in np.flatnonzero(np.isin(file["speaker"], self.speakers)):
                signal = audio[bounds[i] : bounds[i + 1]].astype(np.float32) / 32768
                made.append(Recording(signal[: self.samples], int(file["digit"][i]), int(file["speaker"][i])))
        return made

    def digest(self) -> str:
        return joint_digest(*(Dataset("fsdd", split).digest() for split in ("train", "test")))


@dataclass(frozen=True)
class Whistles(Sounds):
    """Generated events for tests: harmonics of a pitch that is the event's, switched on and off at its own pace.

    >>> source = Whistles(events=4, count=5)
    >>> len(source), source[0]["signal"].shape, source.names[:2]
    (20, (2000,), ('whistle a', 'whistle b'))
    """

    split: str = "train"
    events: int = 6
    count: int = 8  # recordings of each event
    seconds: float = 0.25

    rate = 8000

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"whistle {chr(97 + event)}" for event in range(self.events))

    def recordings(self) -> Sequence[Recording]:
        numbers = np.arange(self.events * self.count)
        draws = uniforms(random_words(int(self.split != "train"), numbers, 2))
        t = np.arange(self.samples) / self.rate
        made = []
        for number, (pitch, phase) in zip(numbers, draws, strict=True):
            event = int(number) % self.events
            hertz = 220 * 1.5**event * (0.97 + 0.06 * pitch)
            beats = np.sin(2 * np.pi * (8 * (1 + event % 3) * t + phase)) > 0
            tone = (0.5 * np.sin(2 * np.pi * hertz * t) + 0.2 * np.sin(4 * np.pi * hertz * t)) * (0.2 + beats)
            made.append(Recording(tone.astype(np.float32), event, 0))
        return made

    def digest(self) -> str:
        return "generated"


@dataclass(frozen=True)
class PreparedSounds(Sounds):
    """A TFDS dataset of {"audio", "label", "fold"}, such as ESC-50, which its user prepares: TFDS has no builder of it.

    Args:
      split: "test": the folds `held` of the builder's split "train"; else the others.
      names: of the labels, in their order.
      rate: of its integers of 16 bits.
    """

    names: tuple[str, ...]
    name: str = "esc50"
    split: str = "train"
    held: tuple[int, ...] = (5,)
    seconds: float = 5.0
    rate: int = 44_100

    def __post_init__(self) -> None:
        _check_split(self)

    def recordings(self) -> Sequence[Recording]:
        records = TFDS(self.name)
        made = (records[i] for i in range(len(records)))
        return [
            Recording(np.asarray(record["audio"], np.float32) / 32768, int(record["label"]), int(record["fold"]))
            for record in made
            if (record["fold"] in self.held) == (self.split == "test")
        ]

    def digest(self) -> str:
        return TFDS(self.name).digest()


def _check_split(source: Sounds) -> None:
    if source.split not in ("train", "test"):
        raise ValueError(f"{type(source).__name__} has the splits 'train' and 'test', not split={source.split!r}")

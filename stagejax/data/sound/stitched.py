"""Captioned clips of one event or two, made of single recordings: alone, one behind the other, one over the other.

Every item is two rows, each a clip and its caption. What the second row is to the first is what a temporal contrastive
loss is about: of a clip of two events in a row, it is the same with time reversed.

Letters: n items, S samples of a recording's window, T frames, M mel bands, L tokens, N events, P pairs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64

from stagejax.data.multimodal.captions import padded
from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sound.audio import LogMel
from stagejax.data.sound.sounds import Sounds
from stagejax.data.vocabulary.words import Words

ALONE = ("{}", "a sound of {}", "this is {}")
AND, WHILE = "{} and {}", "{} while {}"
BEFORE, AFTER = "{} before {}", "{} after {}"
UNSEEN = ("{} then {}", "{} followed by {}")  # no clip is captioned so, but their words are in the vocabulary
_DECIBEL = 6.0  # of a clip, and of one event over another: up to this much louder or softer


@dataclass(frozen=True)
class Phrases:
    """Captions of events and of pairs of them as token ids.

    >>> phrases = Phrases(("dog bark", "rain"), length=6)
    >>> code = phrases.words
    >>> code.decode(phrases(BEFORE)[0, 1]), code.decode(phrases(ALONE[1])[1]), phrases.words.vocab
    ('dog bark before rain', 'a sound of rain', 19)
    """

    names: tuple[str, ...]
    length: int

    @property
    def words(self) -> Words:
        """Every word of every caption."""
        texts = (*self.names, *ALONE, AND, WHILE, BEFORE, AFTER, *UNSEEN)
        known = dict.fromkeys(word for text in texts for word in text.split() if word != "{}")
        return Words(tuple(known))

    def __call__(self, template: str) -> Int32[np.ndarray, "*events L"]:
        """The ids of a template with each event in it, (N, L), or with each pair of events, (N, N, L)."""
        return _phrased(self, template)


@dataclass(frozen=True)
class ExamCaptions:
    """What tests of order read: every prompt of every event, and every pair of events with every temporal word.

    >>> {name: table.shape for name, table in ExamCaptions(Phrases(("rain", "rooster"), 4))().items()}["before"]
    (2, 2, 4)
    """

    phrases: Phrases

    def __call__(self) -> dict[str, Int32[np.ndarray, "*events L"]]:
        """Token ids: "single" (prompts, N, L); "before", "after", "while", "then", "followed" (N, N, L)."""
        pairs = {"before": BEFORE, "after": AFTER, "while": WHILE, "then": UNSEEN[0], "followed": UNSEEN[1]}
        prompts = np.stack([self.phrases(template) for template in ALONE])
        return {"single": prompts} | {name: self.phrases(template) for name, template in pairs.items()}


@functools.lru_cache(maxsize=64)
def _phrased(phrases: Phrases, template: str) -> np.ndarray:
    names = phrases.names
    if template.count("{}") == 1:
        return padded(phrases.words, [template.format(name) for name in names], phrases.length)
    texts = [template.format(first, second) for first in names for second in names]
    return padded(phrases.words, texts, phrases.length).reshape(len(names), len(names), -1)


def event_pairs(events: int, held: float, which: str, seed: int = 0) -> Int64[np.ndarray, "P 2"]:
    """All (i, j) with i != j of the pairs {i, j} that are held out ("held"), or of the others ("seen").

    Args:
      events: N.
      held: share of the N (N - 1) / 2 pairs that is held out.

    >>> [len(event_pairs(20, 0.2, which)) for which in ("seen", "held")]
    [304, 76]
    """
    first, second = np.triu_indices(events, 1)
    places = shuffled(seed, np.arange(len(first)), len(first))
    chosen = (places < round(held * len(first))) == (which == "held")
    pairs = np.stack([first[chosen], second[chosen]], axis=1)
    return np.concatenate([pairs, pairs[:, ::-1]])


@dataclass(frozen=True, kw_only=True)
class Stitched(Data):
    """Items of two captioned clips, each as long as two windows; what is not sound is silence.

    A batch is {"frames": float32 (batch, 2, T, M), "tokens": int32 (batch, 2, L), "present": bool (batch, 2), "events":
    int32 (batch, 2)}. `present` is False of a row that there is not: its clip and caption are those of the first row.
    Item n is a function of the declaration and n alone: which events, which recordings of them, how loud, how said.

    Subclasses say by `rows` what an item is.

    Args:
      sources: whose events are told apart; those of one follow those of the one before.
      batch: items.
      mel: how clips become frames.
      length: tokens of a caption.
      held: share of pairs of events that is held out of everything that is "seen".
      pairs: "seen" or "held": of which pairs the events of an item are.
      split_seed: of what is held out.
    """

    sources: tuple[Sounds, ...]
    batch: int
    mel: LogMel = field(default_factory=LogMel)
    length: int = 6
    held: float = 0.2
    pairs: str = "seen"
    split_seed: int = 0
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        rates, samples = ({getattr(source, name) for source in self.sources} for name in ("rate", "samples"))
        if rates != {self.mel.rate} or len(samples) != 1:
            raise ValueError(
                f"the sources have {rates} samples a second in windows of {samples}, and mel has {self.mel.rate}: give "
                "all the same rate and seconds"
            )
        if self.pairs not in ("seen", "held"):
            raise ValueError(f"pairs={self.pairs!r}: it is 'seen' or 'held'")

    @property
    def phrases(self) -> Phrases:
        """The captions of all events."""
        return Phrases(tuple(name for source in self.sources for name in source.names), self.length)

    @property
    def samples_of_a_window(self) -> int:
        return self.sources[0].samples

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        frames = (2, self.mel.frames(2 * self.samples_of_a_window), self.mel.bands)
        return {
            "frames": jax.ShapeDtypeStruct(frames, np.float32),
            "tokens": jax.ShapeDtypeStruct((2, self.length), np.int32),
            "present": jax.ShapeDtypeStruct((2,), np.bool_),
            "events": jax.ShapeDtypeStruct((2,), np.int32),
        }

    def size(self) -> int:
        """Items in which every window could be a first event's and a second's: an endless stream has no epoch."""
        return sum(map(len, self.sources)) ** 2

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        draws = uniforms(random_words(self.seed, numbers, 12))
        known = event_pairs(len(self.phrases.names), self.held, self.pairs, self.split_seed)
        events = known[(draws[:, 0] * len(known)).astype(np.int64)]
        windows = np.stack([self._windows(events[:, k], draws[:, 1 + k]) for k in (0, 1)], axis=1)
        clips, tokens, present = self.rows(events, windows, draws[:, 3:])
        loud = decibels(draws[:, 10:12])[..., None]
        frames = (self.mel(clips * loud) + _SHIFT) / _SCALE
        return {
            "frames": frames.astype(np.float32),
            "tokens": tokens,
            "present": present,
            "events": events.astype(np.int32),
        }

    def rows(
        self,
        events: Int64[np.ndarray, "n 2"],
        windows: Float32[np.ndarray, "n 2 S"],
        draws: Float64[np.ndarray, "n 9"],
    ) -> tuple[Float[np.ndarray, "n 2 _"], Int32[np.ndarray, "n 2 L"], np.ndarray]:
        """Clips, captions, and which rows there are, of items with these events.

        Args:
          windows: a recording of each event.
          draws: from 0 to 1, the last two of them those of loudness.
        """
        raise NotImplementedError

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, sources=tuple(source.of_split(split) for source in self.sources), count=batches)

    def digest(self) -> str:
        return joint_digest(*(source.digest() for source in self.sources))

    def _windows(self, events: np.ndarray, draws: np.ndarray) -> Float32[np.ndarray, "n S"]:
        """A window of each event: any of its own, all alike."""
        made = np.empty((len(events), self.samples_of_a_window), np.float32)
        first = 0
        for source in self.sources:
            order, bounds = _by_event(source)
            mine = np.flatnonzero((events >= first) & (events < first + len(source.names)))
            begin, end = bounds[events[mine] - first], bounds[events[mine] - first + 1]
            made[mine] = source.signals(order[begin + (draws[mine] * (end - begin)).astype(np.int64)])
            first += len(source.names)
        return made


_SHIFT, _SCALE = 2.0, 3.0  # log energies become (x + 2) / 3: silence about -1.6, sound from -1 to 1.5


@functools.lru_cache(maxsize=16)
def _by_event(source: Sounds) -> tuple[np.ndarray, np.ndarray]:
    """The records of a source in the order of their events, and where each event's begin."""
    labels = source.column("label")
    counts = np.bincount(labels, minlength=len(source.names))
    if not counts.all():
        missing = [source.names[event] for event in np.flatnonzero(counts == 0)]
        raise ValueError(f"{source} has no recording of {', '.join(missing)}")
    return np.argsort(labels, kind="stable"), np.concatenate([[0], np.cumsum(counts)])


def decibels(draws: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Factors of a signal, from -6 to 6 dB.

    >>> decibels(np.array([0.0, 0.5, 1.0])).round(2).tolist()
    [0.5, 1.0, 2.0]
    """
    return 10.0 ** (_DECIBEL * (2 * draws - 1) / 20)


def behind(first: Float[np.ndarray, "*n S"], second: Float[np.ndarray, "*n S"]) -> Float[np.ndarray, "*n _"]:
    """[first; second]: one behind the other."""
    return np.concatenate([first, second], axis=-1)


def over(
    first: Float[np.ndarray, "n S"], second: Float[np.ndarray, "n S"], draws: Float64[np.ndarray, " n"]
) -> Float[np.ndarray, "n S"]:
    """The sum, the first up to 6 dB louder or softer than the second, as loud as one of them."""
    gain = decibels(draws)[:, None]
    return (gain * first + second) / np.sqrt(1 + gain**2)


def placed(windows: Float[np.ndarray, "n S"], draws: Float64[np.ndarray, " n"]) -> Float[np.ndarray, "n _"]:
    """Windows anywhere in a clip of twice their length, in silence.

    >>> placed(np.ones((2, 3)), np.array([0.0, 0.9])).tolist()
    [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]
    """
    samples = windows.shape[1]
    clips = np.zeros((len(windows), 2 * samples), windows.dtype)
    at = (draws * (samples + 1)).astype(np.int64)[:, None] + np.arange(samples)
    np.put_along_axis(clips, at, windows, axis=1)
    return clips


def _chosen(draws: np.ndarray, *rows: np.ndarray) -> np.ndarray:
    """One of several rows for each item, all alike."""
    which = (draws * len(rows)).astype(np.int64)
    return np.stack(rows)[which, np.arange(len(which))]


@dataclass(frozen=True, kw_only=True)
class Single(Stitched):
    """Two clips of one event each, which have nothing to do with each other."""

    def rows(self, events: np.ndarray, windows: np.ndarray, draws: np.ndarray) -> Any:
        clips = np.stack([placed(windows[:, k], draws[:, k]) for k in (0, 1)], axis=1)
        said = [_chosen(draws[:, 2 + k], *(self.phrases(one)[events[:, k]] for one in ALONE)) for k in (0, 1)]
        return clips, np.stack(said, axis=1), np.ones((len(events), 2), np.bool_)


@dataclass(frozen=True, kw_only=True)
class Several(Stitched):
    """TeminAL A: a clip of one event, and the same recording with another event, behind, before or over it.

    What is one behind the other is captioned "i and j", what is one over the other "i while j", in either order.
    """

    def rows(self, events: np.ndarray, windows: np.ndarray, draws: np.ndarray) -> Any:
        (first, second), (i, j) = windows.swapaxes(0, 1), events.T
        joined = _chosen(draws[:, 0], behind(first, second), behind(second, first))
        laid = placed(over(first, second, draws[:, 1]), draws[:, 2])
        apart = draws[:, 3] < 0.5
        both = np.where(apart[:, None], joined, laid)
        name = _chosen(draws[:, 4], *(self.phrases(one)[i] for one in ALONE))
        together, meanwhile = (
            _chosen(draws[:, 5], self.phrases(one)[i, j], self.phrases(one)[j, i]) for one in (AND, WHILE)
        )
        clips = np.stack([placed(first, draws[:, 6]), both], axis=1)
        said = np.stack([name, np.where(apart[:, None], together, meanwhile)], axis=1)
        return clips, said, np.ones((len(events), 2), np.bool_)


@dataclass(frozen=True, kw_only=True)
class Ordered(Stitched):
    """TeminAL B: [i; j], captioned "i before j" or "j after i", and the same with time reversed.

    T(clip) = [j; i] of the same recordings. T(caption) has the operands swapped, or the temporal word.
    """

    def rows(self, events: np.ndarray, windows: np.ndarray, draws: np.ndarray) -> Any:
        (first, second), (i, j) = windows.swapaxes(0, 1), events.T
        clips = np.stack([behind(first, second), behind(second, first)], axis=1)
        said = _chosen(draws[:, 0], self.phrases(BEFORE)[i, j], self.phrases(AFTER)[j, i])
        back = _chosen(draws[:, 1], self.phrases(BEFORE)[j, i], self.phrases(AFTER)[i, j])
        return clips, np.stack([said, back], axis=1), np.ones((len(events), 2), np.bool_)


@dataclass(frozen=True, kw_only=True)
class Overlaid(Stitched):
    """TeminAL B: i over j, captioned "i while j" or "j while i". Time reversed it is itself: there is no second row."""

    def rows(self, events: np.ndarray, windows: np.ndarray, draws: np.ndarray) -> Any:
        (first, second), (i, j) = windows.swapaxes(0, 1), events.T
        clip = placed(over(first, second, draws[:, 0]), draws[:, 1])
        said = _chosen(draws[:, 2], self.phrases(WHILE)[i, j], self.phrases(WHILE)[j, i])
        present = np.broadcast_to(np.array([True, False]), (len(events), 2)).copy()
        return np.stack([clip, clip], axis=1), np.stack([said, said], axis=1), present

"""Recordings of single words joined in pairs to utterances of one speaker, and noise over them.

Letters: N utterances, S samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int, Int32

from stagejax.data.named import Dataset
from stagejax.data.sound.sounds import Sounds
from stagejax.data.sound.speech import Spoken, fsdd_clips, recorded
from stagejax.data.sound.utterances import played

_LEVEL = 0.1  # root mean square of every utterance


@dataclass(frozen=True)
class TakesOfDigits(Spoken):
    """Takes of the Free Spoken Digit Dataset, a file under `$STAGEJAX_DATA`: those numbered from `first` to `last` - 1.

    Takes 0 to 4 are the split "test", 5 to 49 "train". Other parts of a system have other takes of the same words.

    >>> TakesOfDigits("test", first=0, last=5).limit
    300
    """

    split: str = "train"
    frames: int = 16
    first: int = 5
    last: int = 50

    @property
    def limit(self) -> int:  # type: ignore[override]
        return 60 * (self.last - self.first)

    def clips(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        return fsdd_clips(self.split, lambda take: np.flatnonzero((take >= self.first) & (take < self.last)))

    def of_split(self, split: str) -> TakesOfDigits:
        return replace(self, split=split, first=0, last=5) if split == "test" else replace(self, split=split)

    def digest(self) -> str:
        return Dataset("fsdd", self.split).digest()


@dataclass(frozen=True)
class WordPairs:
    """Utterances of two words of one speaker, the second right behind the first.

    Clips longer than half an utterance are left out. Every utterance has the root mean square 0.1, silence behind it
    left out.

    Args:
      clips: recordings of single words.
      each: utterances of every speaker.
      samples: of the longest utterance; twice the longest clip that is taken.
      away: pairs of words that are not said.
      only: the pairs that are said, in turn; None: all that are not `away`, drawn.
      speed: each utterance is played by a factor from 1 to 1 + speed faster, pitch and all.

    >>> from stagejax.data.sound.speech import Tones
    >>> made = WordPairs(Tones(limit=60), each=2, samples=5120).made(seed=0)
    >>> {name: array.shape for name, array in made.items()}
    {'signal': (6, 5120), 'length': (6,), 'words': (6, 2), 'speaker': (6,)}
    """

    clips: Spoken
    each: int
    samples: int
    away: Collection[tuple[int, int]] = ()
    only: tuple[tuple[int, int], ...] | None = None
    speed: float = 0.0

    def made(self, seed: int, speakers: tuple[int, ...] | None = None) -> dict[str, np.ndarray]:
        """`signal` float32 (N, S), zeros behind the last word, `length` in samples, `words` (N, 2) and `speaker` (N,).

        Args:
          seed: draws words and clips.
          speakers: of the utterances, speaker by speaker; None: all.

        Raises:
          ValueError: a speaker has no short enough clip of a word.
        """
        signals, words, owners = recorded(self.clips)
        short, rng = np.array([len(signal) for signal in signals]) <= self.samples // 2, np.random.default_rng(seed)
        everyone = sorted(set(owners.tolist())) if speakers is None else speakers
        rows = []
        for speaker in everyone:
            own = {word: np.flatnonzero(short & (owners == speaker) & (words == word)) for word in set(words.tolist())}
            known = sorted(word for word, found in own.items() if len(found))
            pairs = [(a, b) for a in known for b in known if (a, b) not in self.away]
            for i in range(self.each):
                pair = pairs[rng.integers(len(pairs))] if self.only is None else self.only[i % len(self.only)]
                if any(not len(own.get(word, ())) for word in pair):
                    raise ValueError(f"speaker {speaker} says {pair} in no clip of at most {self.samples // 2} samples")
                signal = np.concatenate([signals[rng.choice(own[word])] for word in pair])
                rows.append((played(signal, 1 + self.speed * rng.random()) if self.speed else signal, pair, speaker))
        return {
            "signal": np.stack([np.pad(levelled(row[0]), (0, self.samples - len(row[0]))) for row in rows]),
            "length": np.array([len(row[0]) for row in rows], np.int32),
            "words": np.array([row[1] for row in rows], np.int32),
            "speaker": np.array([row[2] for row in rows], np.int32),
        }


def levelled(signal: Float[np.ndarray, " S"]) -> Float32[np.ndarray, " S"]:
    """The signal with the root mean square 0.1.

    >>> levelled(np.ones(3, np.float32))
    array([0.1, 0.1, 0.1], dtype=float32)
    """
    return (signal * (_LEVEL / max(float(np.sqrt(np.square(signal).mean())), 1e-6))).astype(np.float32)


def with_noise(
    signals: Float[np.ndarray, "N S"],
    lengths: Int[np.ndarray, " N"],
    noise: Float[np.ndarray, "n s"],
    decibel: tuple[float, float],
    seed: int,
) -> Float32[np.ndarray, "N S"]:
    """Signals with a random piece of a random recording of noise over the whole of each, at a drawn ratio.

    Args:
      lengths: samples of speech; power is that of the speech, over as many samples of the noise.
      noise: recordings at least as long as the signals.
      decibel: least and most power of speech over that of noise; both alike where nothing is drawn.

    >>> loud = with_noise(np.ones((1, 100)), np.array([100]), np.ones((1, 100)), (20.0, 20.0), 0)
    >>> loud.round(3)[0, 0]
    np.float32(1.1)
    """
    rng, found = np.random.default_rng(seed), np.array(signals, np.float32)
    for row, length in zip(found, lengths, strict=True):
        own = noise[rng.integers(len(noise))]
        start = rng.integers(len(own) - len(row) + 1)
        piece = own[start : start + len(row)]
        power = np.square(row[:length]).mean() / max(float(np.square(piece[:length]).mean()), 1e-12)
        row += piece * np.sqrt(power * 10 ** (-rng.uniform(*decibel) / 10))
    return found


def noise_of(source: Sounds, samples: int) -> Float32[np.ndarray, "n s"]:
    """The recordings of a source, each again and again up to the longest and up to so many samples.

    >>> from stagejax.data.sound.sounds import Whistles
    >>> noise_of(Whistles(events=2, count=3), 3000).shape
    (6, 3000)
    """
    signals = [own.signal for own in source.recordings()]
    longest = max(samples, *map(len, signals))
    return np.stack([np.resize(own, longest) for own in signals])


@dataclass(frozen=True)
class Spelling:
    """Texts of words as characters: a mark at both ends, words with a space between, 0 behind.

    >>> spelling = Spelling(("one", "two"))
    >>> "".join(spelling.letters), spelling.vocab, spelling([(1, 0)])[0].tolist()
    (' enotw', 8, [7, 5, 6, 4, 1, 4, 3, 2, 7])
    """

    names: tuple[str, ...]

    @property
    def letters(self) -> str:
        """The characters, from 1 on; the mark is behind them."""
        return " " + "".join(sorted(set("".join(self.names))))

    @property
    def vocab(self) -> int:
        """Characters, mark and padding."""
        return len(self.letters) + 2

    def __call__(self, texts: Iterable[Any], words: int = 2) -> Int32[np.ndarray, "N n"]:
        """Texts of at most so many words by their numbers, as long as the longest that there can be."""
        letters, mark = self.letters, self.vocab - 1
        rows = [[mark, *(letters.index(c) + 1 for c in " ".join(self.names[i] for i in own)), mark] for own in texts]
        longest = words * (max(map(len, self.names)) + 1) + 1
        return np.array([row + [0] * (longest - len(row)) for row in rows], np.int32)

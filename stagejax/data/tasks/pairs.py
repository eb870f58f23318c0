"""Pairs of sentences with a grade of how alike they are, and text masked twice for an encoder and a decoder."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.text import MaskedText, corrupt
from stagejax.data.tokenizers import CLS, PAD, Tokenizer, codec


@dataclass(frozen=True)
class Graded:
    """Where a source of sentence pairs keeps its sentences and their grade."""

    source: Source
    grade: str = "score"
    least: float | None = None  # records below it are left out; None: none
    first: str = "s1"
    second: str = "s2"


@dataclass(frozen=True)
class SentencePairs(Source):
    """Records {"first", "second", "grade"} of several sources, one after the other.

    With a least grade for each, they are pairs that mean the same.
    """

    parts: tuple[Graded, ...]

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.parts[0].source.split

    def __len__(self) -> int:
        return len(_kept(self.parts))

    def __getitem__(self, index: int) -> Record:
        number, row = _kept(self.parts)[index]
        part = self.parts[number]
        record = part.source[row]
        return {"first": record[part.first], "second": record[part.second], "grade": float(record[part.grade])}

    def digest(self) -> str:
        return joint_digest(*(part.source.digest() for part in self.parts), str([p.least for p in self.parts]))


@functools.lru_cache(maxsize=16)
def _kept(parts: tuple[Graded, ...]) -> list[tuple[int, int]]:
    """(part, row) of every record whose grade is high enough."""
    return [
        (number, row)
        for number, part in enumerate(parts)
        for row in range(len(part.source))
        if part.least is None or part.source[row][part.grade] >= part.least
    ]


#: Words of the same meaning: the generated pairs say one thing with any of them.
SYNONYMS = {
    "who": (("boy", "lad"), ("woman", "lady"), ("dog", "hound"), ("robber", "thief"), ("doctor", "physician")),
    "does": (("sees", "spots"), ("takes", "grabs"), ("paints", "colours"), ("sells", "vends"), ("lifts", "raises")),
    "what": (("a stone", "a rock"), ("a boat", "a ship"), ("a shop", "a store"), ("a road", "a street")),
    "where": (("quietly", "silently"), ("quickly", "rapidly"), ("today", "this day"), ("nearby", "close by")),
}


@dataclass(frozen=True)
class SynonymPairs(Source):
    """Generated sentence pairs: the score counts the places at which both say the same, in other words, from 0 to 5.

    >>> SynonymPairs()[7]
    {'s1': 'the doctor lifts a street quietly', 's2': 'the lady lifts a road quietly', 'score': 3.75}
    """

    split: str = "train"
    size: int = 2000
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        words = random_words(self.seed + (self.split != "train"), np.array([index]), 24)[0] >> np.uint64(8)
        draw = iter(words.tolist())
        pairs, same = [], 0
        agrees = next(draw) % 5  # of the four places, as many as this share agree: no grade is rare
        for kind, synonyms in SYNONYMS.items():
            own = next(draw) % len(synonyms)
            other = own if next(draw) % 4 < agrees else (own + 1 + next(draw) % (len(synonyms) - 1)) % len(synonyms)
            same += own == other
            pairs.append((synonyms[own][next(draw) % 2], synonyms[other][next(draw) % 2], kind))
        first, second = ("the " + " ".join(pair[side] for pair in pairs) for side in (0, 1))
        return {"s1": first, "s2": second, "score": 5 * same / len(SYNONYMS)}

    def digest(self) -> str:
        return joint_digest(str(self), str(SYNONYMS))


@dataclass(frozen=True, kw_only=True)
class PairBatches(Data):
    """Batches of sentence pairs: {"first", "second": int32 (batch, its length), "grade": float32 (batch,)}.

    A sentence is [CLS, its tokens, padding], cut at its length.

    Args:
      source: of the pairs.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      batch: pairs in a global batch.
      lengths: tokens of a first and of a second sentence.
      seed: of the order.
      count: number of batches; None: endless.

    >>> from stagejax.data import Bytes, Stdlib
    >>> source = SentencePairs((Graded(SynonymPairs(), least=5.0),))
    >>> data = PairBatches(source=source, tokenizer=Bytes(), learned_from=Stdlib(), batch=8, lengths=(24, 32))
    >>> {name: leaf.shape for name, leaf in data.spec().items()}
    {'first': (8, 24), 'second': (8, 32), 'grade': (8,)}
    """

    source: SentencePairs
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    lengths: tuple[int, int]
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        first, second = (jax.ShapeDtypeStruct((length,), np.int32) for length in self.lengths)
        return {"first": first, "second": second, "grade": jax.ShapeDtypeStruct((), np.float32)}

    @property
    def tokens(self) -> int:
        return self.batch * sum(self.lengths)

    def size(self) -> int:
        return len(self.source)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        records = [self.source[row] for row in shuffled(self.seed, numbers, self.size()).tolist()]
        return {
            "first": self._ids([record["first"] for record in records], self.lengths[0]),
            "second": self._ids([record["second"] for record in records], self.lengths[1]),
            "grade": np.array([record["grade"] for record in records], np.float32),
        }

    def _ids(self, texts: list[str], length: int) -> Int32[np.ndarray, "n length"]:
        ids = np.full((len(texts), length), PAD, np.int32)
        ids[:, 0] = CLS
        for row, found in zip(ids, codec(self.tokenizer, self.learned_from).encode(texts), strict=True):
            row[1 : 1 + len(found)] = found[: length - 1]
        return ids

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.learned_from).digest())


@dataclass(frozen=True, kw_only=True)
class TwiceMaskedText(MaskedText):
    """`MaskedText` for a masked autoencoder: the decoder's text has more masks, those of the encoder among them.

    To its keys come "places" (batch, round(rate (length - 2))), where the encoder's masks are, "decoder_tokens" and
    "decoder_places", and with "place_weights" and "decoder_weights" 1, or 0 where a row has fewer masks. `rate` is the
    encoder's, `decoder_rate` the decoder's.

    >>> from stagejax.data import Bytes, Stdlib
    >>> data = TwiceMaskedText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=2, length=22)
    >>> {name: leaf.shape for name, leaf in data.take(np.arange(2)).items() if "places" in name}
    {'places': (2, 4), 'decoder_places': (2, 8)}
    """

    rate: float = 0.2
    decoder_rate: float = 0.4

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        few, many = self._masks(self.rate), self._masks(self.decoder_rate)
        ints = {"places": few, "decoder_tokens": self.length, "decoder_places": many}
        own = {name: jax.ShapeDtypeStruct((size,), np.int32) for name, size in ints.items()}
        floats = {"place_weights": few, "decoder_weights": many}
        return super().sample_spec() | own | {n: jax.ShapeDtypeStruct((k,), np.float32) for n, k in floats.items()}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        batch = super().take(numbers)
        targets, vocab = batch["targets"], self.tokenizer.vocab
        tokens, weights = corrupt(targets, numbers, seed=self.seed, rate=self.decoder_rate, vocab=vocab)
        own = {"decoder_tokens": tokens}
        own["places"], own["place_weights"] = _places(batch["weights"], self._masks(self.rate))
        own["decoder_places"], own["decoder_weights"] = _places(weights, self._masks(self.decoder_rate))
        return batch | own

    def _masks(self, rate: float) -> int:
        return max(1, round(rate * (self.length - 2)))


def _places(weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` places of weight 1 in every row, filled up by others, and their weights."""
    places = np.argsort(-weights, axis=1, kind="stable")[:, :count].astype(np.int32)
    return places, np.take_along_axis(weights, places, axis=1)

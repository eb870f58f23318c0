"""Queries with candidate items: those that always come with a query, and others drawn anew for every sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Batch, Data
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, PAD, Codec


@dataclass(frozen=True, kw_only=True)
class Candidates(Data):
    """Batches {"query": int32 (batch, its length), "items": int32 (batch, candidates, length), "numbers", "scores"}.

    The artifact holds the token ids `queries` (Q, length) and `items` (I, length), for each query the numbers `always`
    (Q, a) of items that come first among its candidates, such as the right one, and `pool` (Q, p), of which `drawn` are
    drawn without repetition, such as hard negatives. With `scored` it holds `scores` (Q, I) too, and a sample has its
    row: by "numbers" (batch, candidates) it gives a query's scores of all candidates of a batch.

    Args:
      of: fingerprint of the artifact.
      arrays: what it holds; None while planning.
      query, item: tokens of a query and of an item.
      always, drawn: candidates of a sample, of each kind.
      scored: number of items whose scores a sample has; 0: it has none.

    >>> arrays = {"queries": np.eye(2, 3, dtype=np.int32), "items": np.eye(4, dtype=np.int32)}
    >>> arrays |= {"always": np.array([[0], [1]]), "pool": np.array([[1, 2, 3], [0, 2, 3]])}
    >>> data = Candidates(of="a1", arrays=arrays, query=3, item=4, always=1, drawn=2, batch=2)
    >>> batch = data.take(np.arange(2))
    >>> batch["items"].shape, bool((batch["numbers"][:, 0] == batch["query"].argmax(1)).all())
    ((2, 3, 4), True)
    """

    of: str
    arrays: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )
    query: int
    item: int
    always: int = 1
    drawn: int = 7
    scored: int = 0
    batch: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        candidates = self.always + self.drawn
        shapes = {"query": (self.query,), "items": (candidates, self.item), "numbers": (candidates,)}
        spec = {name: jax.ShapeDtypeStruct(shape, np.dtype("int32")) for name, shape in shapes.items()}
        return spec | ({"scores": jax.ShapeDtypeStruct((self.scored,), np.dtype("float32"))} if self.scored else {})

    @property
    def tokens(self) -> int:
        return self.batch * (self.query + (self.always + self.drawn) * self.item)

    def size(self) -> int:
        return 0 if self.arrays is None else len(self.arrays["queries"])

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        """The samples.

        Raises:
          ValueError: the artifact holds nothing, or other lengths or fewer candidates than declared.
        """
        if self.arrays is None:
            raise ValueError(f"the artifact {self.of} holds nothing as 'queries': it is computed in a run")
        arrays, wanted = self.arrays, {"queries": self.query, "items": self.item, "always": self.always}
        wanted |= {"scores": self.scored} if self.scored else {}
        found = {name: array.shape[1] for name, array in arrays.items()}
        if any(found.get(name) != size for name, size in wanted.items()) or found["pool"] < self.drawn:
            raise ValueError(
                f"the artifact {self.of} holds rows of {found}, but {wanted} and a pool of {self.drawn} or more are due"
            )
        rows = shuffled(self.seed, numbers, self.size())
        places = np.argsort(random_words(self.seed, numbers, found["pool"]), axis=1)[:, : self.drawn]
        drawn = np.take_along_axis(arrays["pool"][rows], places, axis=1)
        chosen = np.concatenate([arrays["always"][rows], drawn], axis=1).astype(np.int32)
        batch = {"query": arrays["queries"][rows], "items": arrays["items"][chosen], "numbers": chosen}
        return batch | ({"scores": arrays["scores"][rows]} if self.scored else {})

    def digest(self) -> str:
        return self.of


def candidate_texts(source: Source, code: Codec, lengths: tuple[int, int], others: int = 15) -> dict[str, np.ndarray]:
    """What `Candidates` read of a source of `SentencePairs`: queries with an answer, all items, and items at random.

    Items are the different second sentences; queries the first ones of pairs with a positive grade, whose item is what
    `always` holds. `pool` has `others` further items for each, the same ones whenever it is made. Texts are [CLS, their
    tokens, padding], cut at their lengths.

    >>> from stagejax.data import Bytes
    >>> from stagejax.data.tasks.pairs import Graded, SentencePairs, SynonymPairs
    >>> made = candidate_texts(SentencePairs((Graded(SynonymPairs(size=100), least=5.0),)), Bytes(), (24, 32))
    >>> made["queries"].shape[1], made["items"].shape[1], bool((made["pool"] == made["always"]).any())
    (24, 32, False)
    """
    records = [source[row] for row in range(len(source))]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(record["second"] for record in records))}
    asked = [record for record in records if record["grade"] > 0]
    always = np.array([[numbers[record["second"]]] for record in asked])
    apart = 1 + (random_words(0, np.arange(len(asked)), others) % np.uint64(len(numbers) - 1)).astype(np.int64)
    texts = {"queries": [record["first"] for record in asked], "items": [*numbers]}
    made = {side: _rows(code.encode(own), length) for (side, own), length in zip(texts.items(), lengths, strict=True)}
    return made | {"always": always, "pool": (always + apart) % len(numbers)}


def _rows(encoded: list[np.ndarray], length: int) -> np.ndarray:
    ids = np.full((len(encoded), length), PAD, np.int32)
    ids[:, 0] = CLS
    for row, found in zip(ids, encoded, strict=True):
        row[1 : 1 + len(found)] = found[: length - 1]
    return ids

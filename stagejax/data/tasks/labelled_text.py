"""The records of one text task, one a sample: for classifiers, and for what is asked of every record of a pool."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.order import shuffled
from stagejax.data.pipeline import Around, Batch, Data, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.selection.subsets import given
from stagejax.data.sources import Source
from stagejax.data.tasks.text_tasks import TextTask, encoded
from stagejax.data.tokenizers import Tokenizer, codec

_KEPT = 1 << 24  # token ids of a declaration that are kept in memory: to encode a text takes longer than a small step


@functools.lru_cache(maxsize=8)
def _known(task: TextTask, tokenizer: Tokenizer, learned_from: Source, length: int) -> dict[int, Any]:
    """What was encoded already, by record: its tokens and its label."""
    return {}


@dataclass(frozen=True, kw_only=True)
class LabelledText(OfRecords):
    """Texts with labels: {"tokens": int32 (batch, length), "label": int32 (batch,)}.

    Args:
      task: where texts and labels are.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      batch: texts in a global batch.
      length: tokens in a row, `CLS` and `SEP` among them; longer texts are cut.
      seed: of the order.
      count: number of batches; None: endless.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> data = LabelledText(task=synonym_tasks()[0], tokenizer=Bytes(), learned_from=Stdlib(), batch=4, length=48)
    >>> {name: leaf.shape for name, leaf in data.take_records(np.arange(3)).items()}
    {'tokens': (3, 48), 'label': (3,)}
    """

    task: TextTask
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    length: int
    seed: int = 0
    count: int | None = None

    @property
    def source(self) -> Source:  # type: ignore[override]
        """The task's records."""
        return self.task.source

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        tokens = jax.ShapeDtypeStruct((self.length,), np.int32)
        return {"tokens": tokens, "label": jax.ShapeDtypeStruct((), np.int32)}

    def size(self) -> int:
        return len(self.source)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows, known = numbers.tolist(), _known(self.task, self.tokenizer, self.learned_from, self.length)
        own = {row: known[row] for row in rows if row in known}
        new = list(dict.fromkeys(row for row in rows if row not in own))
        if new:
            ids = encoded(codec(self.tokenizer, self.learned_from), [self.task.texts(r) for r in new], self.length)
            found = {row: (line, self.source[row][self.task.label]) for row, line in zip(new, ids, strict=True)}
            own |= found
            if len(known) * self.length < _KEPT:
                known |= found
        tokens = np.array([own[row][0] for row in rows], np.int32).reshape(-1, self.length)
        return {"tokens": tokens, "label": np.array([own[row][1] for row in rows], np.int32)}

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, task=self.task.of_split(split), count=batches)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), codec(self.tokenizer, self.learned_from).digest())


@dataclass(frozen=True, kw_only=True)
class Relabelled(Around):
    """Some records of `data`, with labels and weights that were found for them. Make it by `relabel`.

    An epoch is all of them, in an order of its own; however many there are, batches have one shape.

    Args:
      data: what gives samples by record, with a `label` of their own, which is replaced.
      of: fingerprint of what found them.
      arrays: {"rows": (n,), "label": (n,), "weight": (n,)}; None while planning.
    """

    data: Any
    of: str
    arrays: dict[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # by name
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.data.sample_spec() | {"weights": jax.ShapeDtypeStruct((), np.float32)}

    def _array(self, name: str) -> np.ndarray:
        return given((self.arrays or {}).get(name), self.of, name)

    def size(self) -> int:
        return len(self._array("rows"))

    def places(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which of the chosen records these samples are."""
        return shuffled(self.seed, numbers, self.size())

    def records(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return self._array("rows")[self.places(numbers)]

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        at = self.places(numbers)
        own = {"label": self._array("label")[at].astype(np.int32)}
        weights = self._array("weight")[at].astype(np.float32)
        return self.data.take_records(self._array("rows")[at]) | own | {"weights": weights}

    def held_out(self, batches: int, split: str = "test") -> Data:
        return self.data.held_out(batches, split)

    def digest(self) -> str:
        return joint_digest(self.data.digest(), self.of)


def relabel(data: Any, made: Any, seed: int = 0) -> Relabelled:
    """`data` on the rows, labels and weights of what `run.make` made: anything with a `fingerprint` and a `value`.

    >>> from types import SimpleNamespace
    >>> from stagejax.data import Images
    >>> found = {"rows": np.array([5, 7]), "label": np.array([1, 2]), "weight": np.array([0.5, 1.5])}
    >>> data = relabel(Images(batch=4), SimpleNamespace(fingerprint="a1", value=found))
    >>> batch = data.take(np.arange(2))
    >>> sorted(zip(batch["label"].tolist(), batch["weights"].tolist()))
    [(1, 0.5), (2, 1.5)]
    """
    return Relabelled(data=data, of=made.fingerprint, arrays=made.value, seed=seed)

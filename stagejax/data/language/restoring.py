"""Texts with words masked, and the whole texts that a decoder restores from them."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import Batch, joint_digest
from stagejax.data.records import OfRecords
from stagejax.data.sources import Source
from stagejax.data.tokenizers import MASK, SEP, Codec, Tokenizer, codec, encoder


@dataclass(frozen=True)
class Masking:
    """With u drawn from U(0, most), the last ⌈u n⌉ of n words become the mask, or as many at random places.

    Reference: Zhou et al. 2023 (GFSLT-VLP), https://arxiv.org/abs/2307.14768: "omit last" is what their code does.

    >>> Masking(0.15)(np.array([9, 8, 7, 6, 5], np.int32), np.uint64([1 << 63] * 6)).tolist()
    [9, 8, 7, 6, 3]
    """

    most: float = 0.15
    last: bool = True

    def __call__(self, ids: Int32[np.ndarray, " n"], words: np.ndarray) -> Int32[np.ndarray, " n"]:
        """The ids with some masked, by n + 1 random words at least."""
        count = int(np.ceil(self.most * float(uniforms(words)[0]) * len(ids)))
        order = np.arange(len(ids))[::-1] if self.last else np.argsort(words[1 : len(ids) + 1], kind="stable")
        masked = ids.copy()
        masked[order[:count]] = MASK
        return masked


@dataclass(frozen=True, kw_only=True)
class Restored(OfRecords):
    """Texts for an encoder and a decoder: what the encoder reads, and what the decoder reads and says.

    A sample is {"text", "masked": int32 (length,), "text_mask": bool (length,), "tokens", "targets": int32 (length,),
    "weights": float32 (length,)}. The text ends in SEP, which also begins what the decoder reads, as in mBART.

    Args:
      source: records with a text.
      tokenizer, learned_from: which tokens, trained on the texts of which source.
      length: tokens of a text, SEP counted; longer ones are cut.
      masking: of "masked", drawn by a sample's number.

    >>> from stagejax.data import Bytes, Stdlib
    >>> source = Stdlib(limit=50_000)
    >>> data = Restored(source=source, tokenizer=Bytes(), learned_from=source, batch=2, length=8)
    >>> batch = data.take(np.arange(2))
    >>> bool((batch["text"] == batch["targets"]).all()), batch["tokens"][:, 0].tolist()
    (True, [2, 2])
    """

    source: Source
    tokenizer: Tokenizer
    learned_from: Source
    batch: int
    length: int
    masking: Masking = Masking()
    field: str = "text"
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        kinds = {"text": "int32", "masked": "int32", "text_mask": "bool", "tokens": "int32", "targets": "int32"}
        kinds["weights"] = "float32"
        return {name: jax.ShapeDtypeStruct((self.length,), np.dtype(kind)) for name, kind in kinds.items()}

    @property
    def code(self) -> Codec:
        return codec(self.tokenizer, self.learned_from, self.field)

    def size(self) -> int:
        return len(self.source)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        return self.take_as(numbers, self.records(numbers))

    def take_as(self, numbers: Int64[np.ndarray, " n"], records: Int64[np.ndarray, " n"]) -> Batch:
        spec = self.sample_spec()
        made = {name: np.zeros((len(numbers), *x.shape), x.dtype) for name, x in spec.items()}
        drawn = random_words(self.seed + _STREAM, numbers, self.length)
        encoded = encoder(self.source, self.field, self.code)
        for row, (record, words) in enumerate(zip(records.tolist(), drawn, strict=True)):
            ids = encoded(record)[: self.length - 1]
            text, there = np.append(ids, SEP), slice(0, len(ids) + 1)
            made["text"][row, there] = made["targets"][row, there] = text
            made["masked"][row, there] = np.append(self.masking(ids, words), SEP)
            made["tokens"][row, there] = [SEP, *ids]
            made["text_mask"][row, there], made["weights"][row, there] = True, 1.0
        return made

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.code.digest())


_STREAM = 1 << 41  # apart from what other data draws by the same seed

"""Running text for one decoder under several criteria: what of a row is seen by all of it, and what is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.language.denoising import T5, Denoising
from stagejax.data.order import random_words
from stagejax.data.pipeline import Around, Batch, Data
from stagejax.data.sources import Source
from stagejax.data.text import CausalText, MaskedText
from stagejax.data.tokenizers import Tokenizer

Form = Literal["causal", "prefix", "masked"]


@dataclass(frozen=True, kw_only=True)
class SeenText(Around):
    """The rows of `CausalText` or `MaskedText` with a field "prefix", bool (batch, length): what every token sees.

    With them causal, prefix and masked language models are one program: the cross entropy of `targets`, by `weights`.

        causal   nothing is a prefix, every next token is asked for
        prefix   a row of T tokens is cut before token c, drawn uniformly from 1 ... T - 1; tokens t < c are the prefix,
                 and the next tokens of t >= c - 1 are asked for, half of all in the mean
        masked   all of a row is seen; what was masked is asked for, as `data` says

    Args:
      data: `MaskedText` for masked, else `CausalText`.
      seed: of the cuts: row n is the same in every run.

    Raises:
      ValueError: an unknown form.

    References: Devlin et al. 2018, https://arxiv.org/abs/1810.04805; Raffel et al. 2020,
    https://arxiv.org/abs/1910.10683, section 3.2.1.

    >>> from stagejax.data import Bytes, CausalText, Stdlib
    >>> text = CausalText(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=2, length=6)
    >>> batch = SeenText(data=text, form="prefix").take(np.arange(2))
    >>> batch["prefix"].astype(int).tolist(), batch["weights"].astype(int).tolist()
    ([[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0]], [[0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]])
    """

    data: Data
    form: Form
    seed: int = 0

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ValueError(f"form={self.form!r} is unknown: choose one of {get_args(Form)}")

    @property
    def tokens(self) -> int:
        return self.data.tokens

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        own = self.data.sample_spec()
        return own | {"prefix": jax.ShapeDtypeStruct(own["tokens"].shape, np.dtype(bool))}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        batch = dict(self.data.take(numbers))
        rows, length = batch["tokens"].shape
        if self.form == "prefix":
            cut_N1 = 1 + (random_words(self.seed, numbers, 1) % np.uint64(length - 1)).astype(np.int64)
            batch["weights"] = (np.arange(length) >= cut_N1 - 1).astype(np.float32)
            return batch | {"prefix": np.arange(length) < cut_N1}
        return batch | {"prefix": np.full((rows, length), self.form == "masked")}

    def held_out(self, batches: int, split: str = "test") -> Data:
        return replace(self, data=self.data.held_out(batches, split), seed=0)

    def digest(self) -> str:
        return self.data.digest()


def text_for(
    form: Form | Literal["spans"],
    source: Source,
    tokenizer: Tokenizer,
    *,
    batch: int,
    length: int,
    seed: int = 0,
    count: int | None = None,
) -> SeenText | Denoising:
    """Rows of `length` tokens of text under a criterion: for a decoder, or as span corruption for an encoder-decoder.

    >>> from stagejax.data import Bytes, Stdlib
    >>> made = [text_for(form, Stdlib(limit=50_000), Bytes(), batch=2, length=64) for form in ("masked", "spans")]
    >>> [sorted(data.spec()) for data in made]  # doctest: +NORMALIZE_WHITESPACE
    [['prefix', 'targets', 'tokens', 'weights'],
     ['denoiser', 'inputs', 'mask', 'targets', 'tokens', 'weights']]
    """
    how = {"source": source, "tokenizer": tokenizer, "batch": batch, "length": length, "seed": seed, "count": count}
    if form == "spans":
        inputs, outputs = T5[0].sizes(length)
        return Denoising(inputs=inputs, outputs=outputs, denoisers=T5, mode_tokens=False, **how)
    return SeenText(data=(MaskedText if form == "masked" else CausalText)(**how), form=form, seed=seed)

"""Prompts with the gold response beside each, for what is judged by it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.pipeline import Batch
from stagejax.data.prompts.answers import PromptedText, token_rows
from stagejax.data.sources import Source
from stagejax.data.tokenizers import SEP, Tokenizer, codec


@dataclass(frozen=True, kw_only=True)
class GoldPrompts(PromptedText):
    """Prompts to be answered, with "gold": int32 (batch, limit), the gold response and its SEP, padded with zeros.

    Args:
      limit: tokens of a gold response at most, SEP with them.
      said: the gold response in a record.

    >>> from stagejax.data.prompts.tool_calls import ToolCalls, tool_words
    >>> data = GoldPrompts(source=ToolCalls(size=8), tokenizer=tool_words(), batch=4, length=53, limit=27)
    >>> [tool_words().decode(gold) for gold in data.columns()["gold"][[0, 5]]]
    ['[ book hotel ( person = eve , day = monday ) ]', 'no tool fits .']
    """

    limit: int
    said: str = "solution"
    beside: tuple[str, ...] = ()

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return super().sample_spec() | {"gold": jax.ShapeDtypeStruct((self.limit,), np.dtype("int32"))}

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = _gold_rows(self.source, self.tokenizer, self.said, self.limit)
        return super().take(numbers) | {"gold": rows[self.records(numbers)]}

    def columns(self) -> Batch:
        """All records, in the order of the source."""
        columns = token_rows(self.source, self.tokenizer, self.field, self.length, self.beside)
        return columns | {"gold": _gold_rows(self.source, self.tokenizer, self.said, self.limit)}


@functools.lru_cache(maxsize=16)
def _gold_rows(source: Source, tokenizer: Tokenizer, said: str, limit: int) -> Int32[np.ndarray, "R G"]:
    code = codec(tokenizer, source, said)
    rows = np.zeros((len(source), limit), np.int32)
    for row, ids in zip(rows, code.encode([source[i][said] for i in range(len(source))]), strict=True):
        if len(ids) >= limit:
            raise ValueError(f"a gold response of {len(ids)} tokens and SEP: raise limit={limit}")
        row[: len(ids) + 1] = [*ids, SEP]
    return rows

"""What a trained language model says to questions, as text: greedily or drawn, in batches of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from stagejax.data import SEP, Source, Tokenizer
from stagejax.data.prompts.answers import token_rows
from stagejax.data.tokenizers import codec
from stagejax.decode import Prompts, Samples, completions, sample
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one


@dataclass(frozen=True)
class Saying:
    """How questions are put and answered. Unlike `continued`, no cuts and no penalty, whose cost is that of a sort.

    Args:
      prompt: tokens of [CLS, question] at most, to which all are padded.
      limit: tokens of an answer at most, SEP with them.
      batch: questions at once.

    >>> Saying(prompt=25, limit=33).batch
    200
    """

    prompt: int
    limit: int
    batch: int = 200

    def flops(self, config: Any) -> float:
        """FLOPs of one answer, as if it had all tokens that it may have.

        >>> from stagejax.models import gpt
        >>> Saying(8, 4).flops(gpt(layers=1)) > 10**5
        True
        """
        like = jax.ShapeDtypeStruct
        row = {"tokens": like((self.prompt,), "int32"), "lengths": like((), "int32"), "keys": like((2,), "uint32")}
        return float(flops_of_one(draw, config, row, self, 1.0, while_trips=self.limit))


def draw(model: Any, batch: Any, how: Saying, temperature: float) -> Samples:
    """One answer to each prompt of a batch, each with its own of the batch's `keys` (B, 2)."""
    prompts, keys = Prompts(batch["tokens"], batch["lengths"]), jax.random.wrap_key_data(batch["keys"])
    size = {"length": how.prompt + how.limit, "limit": how.limit, "stops": ((SEP,),)}
    return sample(model, prompts, keys, temperature=temperature, **size)


def said(
    net: Frozen, source: Source, tokenizer: Tokenizer, how: Saying, temperature: float = 0.0, seed: int = 0
) -> list[str]:
    """An answer to the "question" of every record of a source; at temperature 0 the likeliest, token by token.

    What is drawn for a record depends on the seed and its number, and not on the others.

    >>> # texts = said(Frozen.of(result), Marked(problems), tokenizer, Saying(25, 33))
    """
    rows, code = token_rows(source, tokenizer, "question", how.prompt, ()), codec(tokenizer, source, "question")
    keys = jax.random.key_data(jax.random.split(jax.random.key(seed), len(source)))
    columns, texts = {**rows, "keys": np.asarray(keys)}, []
    for at in range(0, len(source), how.batch):
        places = np.arange(at, at + how.batch) % len(source)  # batches of one size, so that one program serves all
        batch = {name: column[places] for name, column in columns.items()}
        texts += [code.decode(own.tokens) for (own,) in completions(ask(draw, net, batch, how, temperature))]
    return texts[: len(source)]

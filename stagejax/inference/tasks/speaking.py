"""A model trained on texts and answers gives its own: greedy answers of an encoder-decoder or a prefix decoder."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from stagejax.data.pipeline import Data
from stagejax.data.sources import Source
from stagejax.data.tokenizers import SEP, Tokenizer, codec
from stagejax.decode import Prompts, rouge, sample
from stagejax.inference import Frozen
from stagejax.inference.answering import ask
from stagejax.models.text.reading import Read
from stagejax.result import Result
from stagejax.stage import Batch


def likeliest(model: Any, batch: Batch, outputs: int, words: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The likeliest token, one after the other, up to SEP or `outputs`: rows (B, S), and where answers begin and end.

    Args:
      model: an `EncoderDecoder`, or a `LanguageModel` trained with prefixes or, where a batch has none, without.
      batch: of `TextToText`, or of `OneSequence`; its targets are not looked at.
      words: no token from this id on is said, such as sentinels.
    """
    how = {"limit": outputs, "stops": ((SEP,),), "temperature": 0.0, "allowed": jnp.arange(model.config.vocab) < words}
    if "inputs" in batch:
        prompts = Prompts(batch["tokens"][:, :1], jnp.ones(len(batch["tokens"]), jnp.int32))
        read = Read(model, batch["inputs"], batch["mask"])
        found = sample(read, prompts, jax.random.key(0), length=outputs + 1, **how)
    else:
        begins_B = (jnp.asarray(batch["weights"]) > 0).argmax(1)  # at the token that asks for the answer's first
        prompts = Prompts(batch["tokens"], begins_B + 1, batch["prefix"].sum(1))
        found = sample(model, prompts, jax.random.key(0), length=batch["tokens"].shape[1] + 1, **how)
    return found.tokens_BNS[:, 0], found.starts_BN[:, 0], found.ends_BN[:, 0]


def spoken(net: Result, data: Data, outputs: int, tokenizer: Tokenizer, learned_from: Source) -> dict[str, Any]:
    """ROUGE of what a network answers to all batches of `data`, what it said and what was wanted; for `run.make`.

    >>> # said = run.make("said", spoken, tuned, held_out, 24, BPE(2048), source)
    >>> # said.value["rouge1"]
    """
    frozen, code = Frozen.of(net), codec(tokenizer, learned_from)
    said: list[str] = []
    wanted: list[str] = []
    drawn = 0
    with data.batches() as batches:
        for batch in batches:
            found = ask(likeliest, frozen, batch, outputs, tokenizer.vocab)
            said += [code.decode(tokens[begin:end]) for tokens, begin, end in zip(*found, strict=True)]
            asked = zip(batch["targets"], batch["weights"] > 0, strict=True)
            wanted += [code.decode(targets[counted]) for targets, counted in asked]
            drawn += int((found[2] - found[1]).sum())
    return rouge(said, wanted) | {"said": said, "wanted": wanted, "tokens": drawn}


def drawn_tokens(value: dict[str, Any]) -> int:
    """How many tokens were drawn for what `spoken` found."""
    return int(value["tokens"])

"""What an encoder-decoder says of inputs, several times: the likeliest by beams, or drawn. On whole batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data.tokenizers import SEP, SPECIAL, Codec
from stagejax.decode import Prompts, Recomputed, beam_search, sample
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen
from stagejax.ledger import count_flops
from stagejax.stage import Batch


@dataclass(frozen=True)
class Decoding:
    """How outputs are found. They begin with SEP, so what a model's decoder read in training has to begin with it too.

    Args:
      beam: `each` beams, whose scores are log-probabilities over a length penalty of 1 (see `beam_search`); else
        `each` samples from the model's own distribution.
      each: outputs for an input.
      length: most tokens: of `begin`, of the output and of SEP behind it.
      seed: of the samples.
      begin: the token with which training begins what the decoder reads: SEP, or CLS (`TextToText`).
    """

    beam: bool
    each: int
    length: int
    seed: int = 0
    begin: int = SEP


def said_of(model: Any, batch: Batch, beam: bool, each: int, length: int, begin: int = SEP) -> tuple[Any, Any, Any]:
    """Rows (B, each, length), where what is said begins, and where it ends.

    Args:
      model: a model with `reading`, or, of a batch without inputs, an encoder that runs under a causal mask.
      batch: `inputs` and `mask` (B, S), and `key`; what is said begins behind `begin`.
    """
    if "inputs" in batch:
        reader, rows = model.reading(batch["inputs"], batch["mask"]), len(batch["inputs"])
    else:
        mask_1TT = jnp.tril(jnp.ones((1, length, length), bool))
        reader, rows = Recomputed(lambda tokens, _: model(tokens, mask=mask_1TT)), 1
    prompts = Prompts(jnp.full((rows, 1), begin), jnp.ones(rows, jnp.int32))
    ids = jnp.arange(model.config.vocab if "inputs" not in batch else model.config.decoder.vocab)
    how: dict[str, Any] = {"length": length, "stops": ((SEP,),), "allowed": (ids == SEP) | (ids >= SPECIAL)}
    if beam:
        found = beam_search(reader, prompts, beams=each, penalty=1.0, **how)
        return found.tokens_BKS, found.starts_BK, found.ends_BK - found.stop_sizes_BK
    drawn = sample(reader, prompts, batch["key"], n=each, **how)
    return drawn.tokens_BNS, drawn.starts_BN, drawn.ends_BN - drawn.stop_sizes_BN


def generated(net: Frozen, inputs: Batch | None, code: Codec, how: Decoding) -> tuple[list[list[str]], int]:
    """What is said of every input, and how many tokens that took.

    Args:
      inputs: {"inputs", "mask"}, all in one batch; None: a molecule or text model without inputs, asked once.

    >>> # said, tokens = generated(Frozen.of(result), data.read(sequences), code, Decoding(True, 20, 80))
    """
    batch = dict(inputs or {}) | {"key": jax.random.key(how.seed)}
    rows, starts, ends = ask(said_of, net, batch, how.beam, how.each, how.length, how.begin)
    texts = [
        [code.decode(row[start:end]) for row, start, end in zip(*own, strict=True)]
        for own in zip(rows, starts, ends, strict=True)
    ]
    return texts, int(np.sum(ends - starts))


def generating_flops(config: Any, lengths: tuple[int, int], each: int) -> float:
    """FLOPs of `each` samples and as many beams of one input, all as long as they may be.

    Args:
      lengths: tokens of the input and of what is said.
    """
    graphdef, _, params, rest = take_apart(config)
    like = jax.ShapeDtypeStruct
    batch = {"inputs": like((1, lengths[0]), "int32"), "mask": like((1, lengths[0]), "bool")}
    batch["key"] = jax.eval_shape(lambda: jax.random.key(0))
    total = 0.0
    for beam in (True, False):

        def one(params: Any, rest: Any, batch: Any, beam: bool = beam) -> Any:
            return said_of(nnx.merge(graphdef, params, rest), batch, beam, each, lengths[1])

        total += float(count_flops(one, params, rest, batch, while_trips=lengths[1]))
    return total

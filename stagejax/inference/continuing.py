"""Texts continued by a language model: prompts in, what it says behind them out, drawn or searched by beams."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data import CLS, SEP, SPECIAL
from stagejax.data.tokenizers import Codec
from stagejax.decode import Prompts, Samples, beam_search, completions, padded_prompts, sample
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.ledger import count_flops
from stagejax.stage import Batch


@dataclass(frozen=True)
class Sampling:
    """How a continuation is drawn; see `decode.sample`. Numbers are traced, so one program serves them all.

    >>> Sampling(temperature=0.2, top_k=40, top_p=0.9, repetition=1.2).top_k
    40
    """

    temperature: float = 1.0
    top_k: int = 1 << 30
    top_p: float = 1.0
    repetition: float = 1.0


#: The likeliest token, again and again.
GREEDY = Sampling(temperature=0.0)


def draw(model: Any, batch: Batch, length: int) -> Samples:
    """One continuation of each prompt of a batch, up to SEP or its limit; with "least" no SEP before so many tokens."""
    prompts = Prompts(batch["tokens"], batch["lengths"])
    how = {name: batch[name] for name in ("limit", *asdict(GREEDY))}

    def unended(_: jax.Array, lengths_R: jax.Array, starts_R: jax.Array) -> jax.Array:
        """Which tokens may come next: SEP where enough have come."""
        return (jnp.arange(model.config.vocab) != SEP) | (lengths_R - starts_R >= batch["least"])[:, None]

    allowed = unended if "least" in batch else None
    return sample(model, prompts, batch["key"], length=length, stops=((SEP,),), allowed=allowed, **how)


def continued(
    net: Frozen,
    code: Codec,
    prompts: Sequence[str],
    how: Sampling,
    *,
    length: int,
    limit: int,
    batch: int,
    seed: int,
    least: Sequence[int] | None = None,
) -> list[str]:
    """What a model says behind [CLS, prompt], up to SEP or `limit` new tokens.

    Args:
      length: prompts are padded to it; one token more is the most of prompt and continuation.
      batch: prompts at once; of one size, so that one program serves all.
      seed: of the draws.
      least: of each prompt, how many tokens come before it may end (min-length decoding); None: it may end at once.

    >>> # texts = continued(Frozen.of(result), Bytes(), ["def f("], GREEDY, length=64, limit=20, batch=8, seed=0)
    """
    rows, said = [[CLS, *ids] for ids in code.encode(list(prompts))], []
    options = {name: np.asarray(x, "int32" if isinstance(x, int) else "float32") for name, x in asdict(how).items()}
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        filled = padded_prompts([*part, *part[:1] * (batch - len(part))], length)
        given = {"tokens": filled.tokens_BP, "lengths": filled.lengths_B, "limit": np.int32(limit)}
        if least is not None:
            own = least[start : start + batch]
            given["least"] = np.array([*own, *own[:1] * (batch - len(own))], np.int32)
        key = jax.random.fold_in(jax.random.key(seed), start)
        drawn = ask(draw, net, options | given | {"key": key}, length + 1)
        said += [code.decode(each.tokens) for (each,) in completions(drawn)[: len(part)]]
    return said


def continuing_flops(config: Any, length: int, limit: int) -> float:
    """FLOPs of one continuation of `limit` tokens of one prompt padded to `length`.

    >>> from stagejax.models import gpt
    >>> continuing_flops(gpt(layers=1), 8, 4) > 10**5
    True
    """
    graphdef, _, params, rest = take_apart(config)
    like = jax.ShapeDtypeStruct
    options = {name: like((), "int32" if isinstance(x, int) else "float32") for name, x in asdict(GREEDY).items()}
    batch = options | {"tokens": like((1, length), "int32"), "lengths": like((1,), "int32"), "limit": like((), "int32")}
    batch["key"] = jax.eval_shape(lambda: jax.random.key(0))

    def one(params: Any, rest: Any, batch: Any) -> Samples:
        return draw(nnx.merge(graphdef, params, rest), batch, length + 1)

    return float(count_flops(one, params, rest, batch, while_trips=limit))


@dataclass(frozen=True)
class Searching:
    """How the likeliest continuation is searched for; see `decode.beam_search`.

    >>> Searching(prompt=40, length=72).beams
    4
    """

    prompt: int  # tokens of [CLS, prompt], padded to it
    length: int  # of prompt and continuation at most
    beams: int = 4
    penalty: float = 0.6  # of lengths


def search(model: Any, batch: Batch, how: Searching) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The best continuation found of each prompt: rows, and where it begins and ends in them, without SEP."""
    ids = jnp.arange(model.config.vocab)
    found = beam_search(
        model, Prompts(batch["tokens"], batch["lengths"]), length=how.length, beams=how.beams, penalty=how.penalty,
        stops=((SEP,),), allowed=(ids == SEP) | (ids >= SPECIAL),
    )  # fmt: skip
    return found.tokens_BKS[:, 0], found.starts_BK[:, 0], (found.ends_BK - found.stop_sizes_BK)[:, 0]


def searched(net: Frozen, code: Codec, prompts: Sequence[str], how: Searching, batch: int) -> list[str]:
    """The best continuation found behind [CLS, prompt], up to SEP.

    Args:
      batch: prompts at once; of one size, so that one program serves all.

    >>> # texts = searched(Frozen.of(result), Bytes(), ["def f("], Searching(8, 24), batch=8)
    """
    rows, said = [[CLS, *ids] for ids in code.encode(list(prompts))], []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        filled = padded_prompts([*part, *part[:1] * (batch - len(part))], how.prompt)
        found = ask(search, net, {"tokens": filled.tokens_BP, "lengths": filled.lengths_B}, how)
        said += [code.decode(row[begin:end]) for row, begin, end in zip(*found, strict=True)][: len(part)]
    return said


def searching_flops(config: Any, how: Searching) -> float:
    """FLOPs of one such continuation, if it is as long as it may be behind the longest prompt.

    >>> from stagejax.models import gpt
    >>> searching_flops(gpt(layers=1), Searching(8, 12)) > 10**5
    True
    """
    ints = functools.partial(jax.ShapeDtypeStruct, dtype=np.dtype("int32"))
    one = {"tokens": ints((how.prompt,)), "lengths": ints(())}
    return float(flops_of_one(search, config, one, how, while_trips=how.length - how.prompt))

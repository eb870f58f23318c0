"""Responses of an encoder-decoder to prompts: drawn in a step, or once and for all as rows to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data.joined import Row
from stagejax.data.pipeline import Data
from stagejax.data.prompts.answers import MadeRows
from stagejax.data.tokenizers import CLS, SEP
from stagejax.decode import Prompts, sample
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen
from stagejax.ledger import count_flops
from stagejax.models.text.reading import Read
from stagejax.result import Result
from stagejax.stage import Batch

#: Prompts that are answered together.
AT_ONCE = 128


@dataclass(frozen=True)
class Responding:
    """How responses are drawn. Called, it gives them as rows for `seq2seq`, those of a prompt next to each other.

    Args:
      limit: most tokens of a response, with the one that ends it.
      n: responses to each prompt.
      temperature: of the distribution that is drawn from.

    >>> from stagejax.models.t5 import T5
    >>> batch = {"inputs": jnp.ones((2, 5), int), "mask": jnp.ones((2, 5), bool)}
    >>> rows = Responding(limit=4, n=3)(T5().build(nnx.Rngs(0)), batch, jax.random.key(0))
    >>> {name: leaf.shape for name, leaf in rows.items()}
    {'inputs': (6, 5), 'mask': (6, 5), 'tokens': (6, 4), 'targets': (6, 4), 'weights': (6, 4)}
    """

    limit: int
    n: int = 1
    stops: tuple[tuple[int, ...], ...] = ((SEP,),)
    temperature: float = 1.0

    def __call__(self, model: Any, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Rows {"inputs", "mask", "tokens", "targets", "weights"}, 1 at tokens that were drawn. See `decode.sample`."""
        inputs, mask = batch["inputs"], batch["mask"]
        starts = Prompts(jnp.full((len(inputs), 1), CLS), jnp.ones(len(inputs), jnp.int32))
        how = {"n": self.n, "stops": self.stops, "temperature": self.temperature}
        drawn = sample(Read(model, inputs, mask), starts, key, length=self.limit + 1, **how)
        tokens, weights = (x.reshape(-1, self.limit + 1) for x in (drawn.tokens_BNS, drawn.drawn_BNS))
        rows = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights[:, 1:].astype(jnp.float32)}
        return {
            name: jnp.repeat(jnp.asarray(x), self.n, axis=0) for name, x in (("inputs", inputs), ("mask", mask))
        } | rows

    def flops(self, config: Any, inputs: int) -> float:
        """FLOPs of the responses to one prompt of so many tokens, if they are all as long as they may be."""
        graphdef, _, params, rest = take_apart(config)
        like = jax.ShapeDtypeStruct
        batch = {"inputs": like((1, inputs), np.dtype("int32")), "mask": like((1, inputs), np.dtype("bool"))}
        key = jax.eval_shape(lambda: jax.random.key(0))

        def one(params: Any, rest: Any, batch: Any, key: Any) -> Any:
            return self(nnx.merge(graphdef, params, rest), batch, key)

        return float(count_flops(one, params, rest, batch, key, while_trips=self.limit))


def responses(net: Result, data: Data, prompts: tuple[int, int], how: Responding, seed: int) -> dict[str, np.ndarray]:
    """Responses to prompts as rows, for `run.make`: what `how` draws for samples `prompts[0]`, ..., `prompts[1]` - 1.

    The k-th response to a sample is a function of net, sample, k and seed: a set with fewer prompts, or with fewer
    responses to each, is part of the larger one.

    >>> # made = run.make("offline", responses, teacher, text, (0, 400), Responding(24), 0, sampled_tokens=drawn_tokens)
    """
    frozen, parts = Frozen.of(net), []
    first, last = prompts
    for start in range(first, last, AT_ONCE):
        numbers = np.arange(start, start + AT_ONCE)
        taken = data.take(np.where(numbers < last, numbers, first))  # one shape, so one program
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), numbers)
        batch = {"inputs": taken["inputs"], "mask": taken["mask"], "keys": keys}
        rows = ask(_drawn, frozen, batch, how)
        parts.append({name: x[: how.n * (last - start)] for name, x in rows.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def prompts_of(data: Data, prompts: tuple[int, int]) -> dict[str, np.ndarray]:
    """The prompts alone, for responses that are drawn in the step."""
    taken = data.take(np.arange(*prompts))
    return {name: taken[name] for name in ("inputs", "mask")}


def drawn_tokens(made: Mapping[str, np.ndarray]) -> int:
    """How many tokens were drawn for what `responses` made."""
    return int(made["weights"].sum())


def response_rows(made: Result, inputs: int, limit: int, batch: int, seed: int) -> MadeRows:
    """The batches for `seq2seq` of what `run.make(..., responses, ...)` made."""
    said = (Row("tokens", (limit,), "int32"), Row("targets", (limit,), "int32"), Row("weights", (limit,)))
    return _rows(made, (*prompt_fields(inputs), *said), batch, seed)


def prompt_rows(made: Result, inputs: int, batch: int, seed: int) -> MadeRows:
    """The prompts of such an artifact without its responses."""
    return _rows(made, prompt_fields(inputs), batch, seed)


def prompt_fields(inputs: int) -> tuple[Row, ...]:
    """What a batch holds of its prompts."""
    return Row("inputs", (inputs,), "int32"), Row("mask", (inputs,), "bool")


def _rows(made: Result, rows: tuple[Row, ...], batch: int, seed: int) -> MadeRows:
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)


def _drawn(model: Any, batch: Batch, how: Responding) -> dict[str, jax.Array]:
    return how(model, batch, batch["keys"])

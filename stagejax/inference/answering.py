"""A language model that answers prompts, and a rule that judges: greedy tests, drawn answers, their cost."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data.pipeline import Data
from stagejax.decode import Prompts, RewardRule, Samples, sample
from stagejax.inference import Frozen, compiled
from stagejax.ledger import count_flops
from stagejax.stage import Batch, Metrics


@dataclass(frozen=True)
class Answering:
    """How prompts are answered and judged. Called, it is an objective of evaluations: the share answered right.

    Args:
      rule: judges answers, traced.
      length: tokens of prompt and answer together.
      limit: most tokens of an answer.
      stops: sequences of tokens that end an answer.
    """

    rule: RewardRule
    length: int
    limit: int
    stops: tuple[tuple[int, ...], ...] = ((2,),)

    def __call__(self, model: Any, batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
        """1 - accuracy, and `accuracy` of greedy answers; of several models, of the one named "policy"."""
        right = greedy(model["policy"] if isinstance(model, dict) else model, batch, self)[1]
        return 1 - right.mean(), {"accuracy": (right.sum(), jnp.float32(right.size))}

    def flops(self, config: Any, prompt: int) -> float:
        """FLOPs of one answer, if it has all tokens that it may have, to a prompt padded to `prompt` tokens."""
        graphdef, _, params, rest = take_apart(config)
        ints = functools.partial(jax.ShapeDtypeStruct, dtype=np.dtype("int32"))
        batch, key = {"tokens": ints((1, prompt)), "lengths": ints((1,))}, jax.eval_shape(lambda: jax.random.key(0))

        def one(params: Any, rest: Any, batch: Any, key: Any) -> Samples:
            return self.answers(nnx.merge(graphdef, params, rest), batch, key)

        return float(count_flops(one, params, rest, batch, key, while_trips=self.limit))

    def answers(self, model: Any, batch: Batch, key: jax.Array, n: int = 1, temperature: float = 1.0) -> Samples:
        """`n` answers to each prompt."""
        how = {"length": self.length, "limit": self.limit, "stops": self.stops}
        return sample(model, Prompts(batch["tokens"], batch["lengths"]), key, n=n, temperature=temperature, **how)


@dataclass(frozen=True)
class Tempered(Answering):
    """Answers that are drawn at a temperature, where none is asked for.

    >>> from stagejax.decode.steps import FinalAnswer
    >>> Tempered(FinalAnswer(9, 4), length=48, limit=24).temperature
    0.7
    """

    temperature: float = 0.7

    def answers(
        self, model: Any, batch: Batch, key: jax.Array, n: int = 1, temperature: float | None = None
    ) -> Samples:
        """`n` answers to each prompt."""
        return super().answers(model, batch, key, n, self.temperature if temperature is None else temperature)


def greedy(model: Any, batch: Batch, how: Answering) -> tuple[Samples, jax.Array]:
    """The likeliest answers, token by token, with their rewards (B, 1)."""
    found = how.answers(model, batch, jax.random.key(0), temperature=0.0)
    return found, how.rule(found, batch)


def four(model: Any, batch: Batch, how: Answering) -> tuple[Samples, jax.Array]:
    """Four answers to each prompt, drawn with the batch's `key`, with their rewards (B, 4)."""
    found = how.answers(model, batch, batch["key"], n=4)
    return found, how.rule(found, batch)


def ask(function: Callable[..., Any], net: Frozen, batch: Batch, *options: Any) -> Any:
    """`function(model, batch, *options)` of a trained network, as numpy arrays; compiled once for all its states."""
    return jax.tree.map(np.asarray, compiled(function, net.config, *options)(net.params, net.rest, dict(batch)))


def right_share(net: Frozen, data: Data, how: Answering) -> float:
    """The mean reward of greedy answers to the first `count` batches of prompts.

    >>> # solved = right_share(Frozen.of(result), prompts, how)
    """
    return float(np.concatenate([ask(greedy, net, batch, how)[1] for batch in data.batches()]).mean())

"""Encoders that tag: how often they are right on the words of each source, and how long a batch takes them."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from stagejax.data.tasks.tagged_rows import TaggedRows
from stagejax.inference.frozen import Frozen, compiled
from stagejax.result import Result
from stagejax.steps.windows import interleaved


def likeliest(model: object, tokens_BT: jax.Array) -> jax.Array:
    """The likeliest tag of every token."""
    return model.tags(tokens_BT).argmax(-1)  # type: ignore[attr-defined]


def accuracies(data: TaggedRows, *results: Result) -> dict[str, np.ndarray]:
    """`accuracy` (sources,): the share of each source's words that its own model tags rightly.

    >>> # test = TaggedRows(sources=(english, german), ...).held_out(20)
    >>> # run.make("score", accuracies, test, in_english, in_german).value["accuracy"]
    """
    nets, right = [Frozen.of(result) for result in results], np.zeros((len(results), 2))
    with data.batches() as batches:
        for batch in batches:
            for number, net in enumerate(nets):
                own = batch["source"] == number
                told = np.asarray(compiled(likeliest, net.config)(net.params, net.rest, batch["tokens"][own]))
                weights = batch["weights"][own]
                right[number] += ((told == batch["targets"][own]) * weights).sum(), weights.sum()
    return {"accuracy": right[:, 0] / right[:, 1]}


def tag_seconds(data: TaggedRows, *results: Result, repeats: int = 10) -> list[float]:
    """The shortest time in which each model tags the first batch; they take turns, and compiling is not measured."""
    nets, tokens = [Frozen.of(result) for result in results], data.take(np.arange(data.batch))["tokens"]
    programs = [partial(compiled(likeliest, net.config), net.params, net.rest, tokens) for net in nets]
    turns = interleaved({str(number): program for number, program in enumerate(programs)}, repeats)
    return [min(own) for own in turns.values()]

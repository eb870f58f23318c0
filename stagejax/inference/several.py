"""A function of several frozen networks at once, which may be of different configurations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.inference import Frozen
from stagejax.ledger import count_flops
from stagejax.stage import Batch


@functools.cache
def compiled_together(function: Callable[..., Any], configs: tuple[Any, ...], *options: Any) -> Callable[..., Any]:
    """`function(models, batch, *options)` as a function of (variables, batch): one program for all networks of these
    configurations. Variables are (params, rest) of each network.
    """
    graphdefs = [take_apart(config)[0] for config in configs]

    def run(variables: Sequence[Any], batch: Batch) -> Any:
        models = tuple(nnx.merge(graphdef, *own) for graphdef, own in zip(graphdefs, variables, strict=True))
        return function(models, batch, *options)

    return jax.jit(run)


def ask_together(function: Callable[..., Any], nets: Sequence[Frozen], batch: Batch, *options: Any) -> Any:
    """`function(models, batch, *options)` of trained networks, as numpy arrays.

    >>> # found = ask_together(emulated_answers, [Frozen.of(large), Frozen.of(small), Frozen.of(tuned)], batch)
    """
    program = compiled_together(function, tuple(net.config for net in nets), *options)
    return jax.tree.map(np.asarray, program([(net.params, net.rest) for net in nets], dict(batch)))


def flops_together(
    function: Callable[..., Any], configs: Sequence[Any], batch: Batch, *options: Any, while_trips: int | None = None
) -> int:
    """The matmul FLOPs of that for one batch (arrays, or their shapes).

    >>> from stagejax.models import gpt
    >>> nets, batch = [gpt(vocab=8), gpt(vocab=8, embed=128)], {"tokens": np.zeros((1, 4), np.int32)}
    >>> def summed(models, batch):
    ...     return sum(model(batch["tokens"]) for model in models)
    >>> both = flops_together(summed, nets, batch)
    >>> both == sum(flops_together(summed, [net], batch) for net in nets)
    True
    """
    program = compiled_together(function, tuple(configs), *options)
    variables = [take_apart(config)[2:] for config in configs]
    return count_flops(program, variables, dict(batch), while_trips=while_trips)

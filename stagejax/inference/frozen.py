"""Trained networks at work: a function of a model over many rows, in batches of one size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data.joined import for_every_record
from stagejax.ledger import count_flops
from stagejax.result import Result


@dataclass(frozen=True, eq=False)
class Frozen:
    """A trained network with its values in memory."""

    config: Any
    params: Any
    rest: Any

    @classmethod
    def of(cls, result: Result) -> Frozen:
        """What a stage or a growth left, read from disk once."""
        state = result.state()
        return cls(result.model, state.params, state.rest)


@functools.cache
def compiled(function: Callable[..., Any], config: Any, *options: Any) -> Callable[..., Any]:
    """`function(model, *inputs, *options)` as a function of (params, rest, *inputs): one program for all networks of a
    configuration.

    >>> # compiled(logits_of, net.config)(net.params, net.rest, images)
    """
    graphdef = take_apart(config)[0]
    return jax.jit(lambda params, rest, *inputs: function(nnx.merge(graphdef, params, rest), *inputs, *options))


def apply(function: Callable[[Any, Any], Any], net: Frozen, rows: Any, batch: int = 512) -> np.ndarray:
    """`function(model, rows)`, batch by batch: one program for all networks of one configuration.

    Args:
      function: (model, rows (batch, ...)) -> (batch, ...).
      rows: inputs, one an example, as an array or a tree of arrays; the last batch is filled up with zeros.

    >>> # features = apply(features_of, Frozen.of(run.train(stage)), images)
    """
    run, found = compiled(function, net.config), []
    size = len(jax.tree.leaves(rows)[0])

    def filled(part: np.ndarray) -> np.ndarray:
        return np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), part.dtype)])

    for start in range(0, size, batch):
        full = jax.tree.map(lambda array, start=start: filled(array[start : start + batch]), rows)
        found.append(np.asarray(run(net.params, net.rest, full))[: size - start])
    return np.concatenate(found)


def flops_of_one(
    function: Callable[..., Any], config: Any, row: Any, *options: Any, while_trips: int | None = None
) -> int:
    """The matmul FLOPs of `apply` for one row: what its inputs look like, an abstract array or a tree of them.

    Options follow the rows in a call of the function; `while_trips` is as in `count_flops`.

    >>> from stagejax.models import ViT
    >>> flops_of_one(lambda model, images: model(images), ViT(), jax.ShapeDtypeStruct((28, 28, 1), "float32")) > 10**6
    True
    """
    _, _, params, rest = take_apart(config)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), row)
    return count_flops(compiled(function, config, *options), params, rest, one, while_trips=while_trips)


def logits_of(model: Any, inputs: jax.Array) -> jax.Array:
    """The logits of a classifier: (inputs, classes)."""
    return model(inputs)


def logits_for_every_record(net: Result, data: Any, inputs: str = "image") -> dict[str, np.ndarray]:
    """`logits` (records, classes) of a trained classifier for all records of the source of `data`, in its order.

    >>> # said = run.make("teacher-logits", logits_for_every_record, teacher, images)
    >>> # join(images, said, Row("logits", (10,)))
    """
    teacher = Frozen.of(net)
    return for_every_record(lambda batch: {"logits": apply(logits_of, teacher, batch[inputs], data.batch)}, data)


def features_of(model: Any, images: jax.Array) -> jax.Array:
    """The features of a classifier, or of each member of an ensemble: (images, members, features)."""
    x = model.features(images)
    return x if x.ndim == 3 else x[:, None]


def logits_of_members(model: Any, images: jax.Array) -> jax.Array:
    """The logits of each member of an ensemble for the same images: (images, members, classes)."""
    return model(images[:, None].repeat(model.config.size, axis=1))


def concatenated(nets: Sequence[Frozen], images: np.ndarray) -> np.ndarray:
    """The features of frozen classifiers and of all members of ensembles, side by side: (images, members, features)."""
    return np.concatenate([apply(features_of, net, images) for net in nets], axis=1)

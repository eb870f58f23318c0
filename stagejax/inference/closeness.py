"""How far networks are from each other, measured on what some of them say to the same held-out prompts."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts.responding import prompt_fields
from stagejax.objectives.divergence import Distances
from stagejax.result import Result


def beside(names: tuple[str, ...], *said: Result) -> dict[str, np.ndarray]:
    """What several models said to the same prompts, one response of each in a row, for `Distances`; for `run.make`.

    Args:
      names: of the models.
      said: for each, what `run.make(..., responses, ...)` made for the same prompts.

    Raises:
      ValueError: the prompts differ.

    >>> # tests = run.make("tests", beside, ("teacher", "oracle"), said_by_teacher, said_by_oracle)
    """
    first = said[0].value
    if any(not np.array_equal(made.value["inputs"], first["inputs"]) for made in said):
        raise ValueError(f"{', '.join(made.name for made in said)} answer different prompts: give all the same ones")
    rows = {"inputs": first["inputs"], "mask": first["mask"]}
    for name, made in zip(names, said, strict=True):
        rows |= {f"{name}_tokens": made.value["tokens"], f"{name}_weights": made.value["weights"]}
    return rows


def beside_rows(made: Result, names: tuple[str, ...], inputs: int, limit: int, batch: int, count: int) -> MadeRows:
    """The batches for `Distances` of what `run.make(..., beside, ...)` made."""
    rows = prompt_fields(inputs)
    for name in names:
        rows += (Row(f"{name}_tokens", (limit,), "int32"), Row(f"{name}_weights", (limit,)))
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, count=count)


def distance(own: Result, other: Result, to: tuple[str, str], data: MadeRows) -> dict[str, float]:
    """What `Distances((to,))` measures of a network on all batches: how far it is from another one; for `run.make`.

    >>> # run.make("gap", distance, teacher, oracle, ("golden", "oracle"), held_out).value["golden"]
    """
    nets = {"student": Frozen.of(own), to[1]: Frozen.of(other)}
    graphs = {name: take_apart(net.config)[0] for name, net in nets.items()}
    values = {name: (net.params, net.rest) for name, net in nets.items()}

    @jax.jit
    def measured(values: Any, batch: Any) -> Any:
        models = {name: nnx.merge(graphs[name], *values[name]) for name in graphs}
        return Distances((to,))(models, batch, None)[1]

    with data.batches() as batches:
        found = [jax.device_get(measured(values, batch)) for batch in batches]
    return {name: float(sum(m[name][0] for m in found) / sum(m[name][1] for m in found)) for name in found[0]}

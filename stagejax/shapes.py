"""Shapes and dtypes that must agree: batches with the mesh and with what their data declares, a step with its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh

from stagejax.axes import path_name
from stagejax.mesh import batch_ways
from stagejax.stage import Batch, Stage


def check_split(stage: Stage, mesh: Mesh | AbstractMesh) -> None:
    """Whether the mesh splits a stage's batches.

    Raises:
      ValueError: it does not; the error says by what they must be divisible.
    """
    ways = batch_ways(mesh)
    for what, data, parts in (
        ("batch", stage.data, stage.accumulate),
        ("held-out batch", stage.evaluate and stage.evaluate.data, 1),
    ):
        if data and data.samples % (ways * parts):
            raise ValueError(
                f"stage {stage.name!r}: a {what} of {data.samples} cannot be split evenly over {ways} devices along "
                "data and fsdp"
                + (f" and {parts} accumulated parts" if parts > 1 else "")
                + f". Make it a multiple of {ways * parts}, or give a --mesh with a smaller data axis."
            )


def check_batch(stage: Stage, batch: Batch) -> None:
    """Whether a batch, this process's part of it, is as the stage's data declares it.

    Raises:
      ValueError: it is not; the error names the field.
    """
    rows = jax.process_count()
    found = {name: (tuple(x.shape), str(x.dtype)) for name, x in batch.items()}
    wanted = {name: ((x.shape[0] // rows, *x.shape[1:]), str(x.dtype)) for name, x in stage.data.spec().items()}
    for name in [*wanted, *found]:
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"stage {stage.name!r}: {name!r} of a batch is {found.get(name, 'absent')}, but "
                f"{type(stage.data).__name__}.spec() declares {wanted.get(name, 'none')} (for one of {rows} processes)"
            )


def check_made(stage: Stage, state: Any, made: Any) -> None:
    """Whether a step returns a pair whose first part is a state as it was given.

    Raises:
      ValueError: it does not; the error names the leaf.
    """
    step = f"stage {stage.name!r}: its step"
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[1], Mapping):
        found = ", ".join(type(x).__name__ for x in made) if isinstance(made, tuple) else type(made).__name__
        raise ValueError(f"{step} returns {found}; a step returns (state, metrics), of which metrics are a dict")
    before, after = (
        {path_name(path): shape_text(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (state, made[0])
    )
    for where in [*before, *after]:
        was, now = before.get(where, "absent"), after.get(where, "absent")
        if was != now:
            raise ValueError(f"{step} makes {where} {now}, which is {was} in the state; a step keeps shapes and dtypes")


def shape_text(array: Any) -> str:
    """Dtype and shape of an array in a word.

    >>> shape_text(jax.ShapeDtypeStruct((2, 3), "float32"))
    'float32[2, 3]'
    """
    return f"{array.dtype}{list(array.shape)}"


def batch_text(batch: Mapping[str, Any]) -> str:
    """The fields of a batch, each with dtype and shape."""
    return ", ".join(f"{name} {shape_text(array)}" for name, array in batch.items())

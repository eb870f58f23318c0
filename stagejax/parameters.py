"""The parameter table of a program: what every parameter is, where it lies, and whether it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from stagejax.axes import is_axes, path_name
from stagejax.program import Program


@dataclass(frozen=True)
class ParameterRow:
    """One parameter."""

    path: str
    shape: tuple[int, ...]
    axes: str  # with sides: # stack, < reads, > writes, * gain, + shift
    dtype: str
    sharding: str  # mesh axes of each dimension
    bytes: int  # over all devices, one copy
    trainable: str  # yes, no, or the rows of `layers`

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        shape = " x ".join(map(str, self.shape))
        return (self.path, shape, self.axes, self.dtype, self.sharding, f"{self.bytes:,}", self.trainable)


def parameter_rows(program: Program) -> list[ParameterRow]:
    """The rows of a program's models, in the order of their paths."""
    parts = program.parts if isinstance(program.parts, dict) else {"": program.parts}
    states = program.state if isinstance(program.state, dict) else {"": program.state}
    rows = []
    for name, part in parts.items():
        axes = jax.tree_util.tree_leaves_with_path(part.axes, is_leaf=is_axes)
        chosen = jax.tree.leaves(part.selection, is_leaf=lambda x: isinstance(x, bool | slice))
        leaves = jax.tree.leaves(states[name].params)
        for (path, leaf_axes), what, leaf in zip(axes, chosen, leaves, strict=True):
            where = "/".join(filter(None, (name, path_name(path))))
            spec = getattr(leaf.sharding, "spec", ())
            rows.append(
                ParameterRow(
                    where,
                    tuple(leaf.shape),
                    str(leaf_axes),
                    leaf.dtype.name,
                    _spec(spec),
                    int(np.prod(leaf.shape)) * leaf.dtype.itemsize,
                    _trainable(what),
                )
            )
    return sorted(rows, key=lambda row: row.path)


def parameter_text(rows: list[ParameterRow]) -> str:
    """The table as plain text, for golden files."""
    header = ("path", "shape", "axes", "dtype", "sharding", "bytes", "trainable")
    cells = [header, *(row.cells for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    total = sum(int(np.prod(row.shape)) for row in rows)
    return "\n".join([*lines, f"{total:,} parameters, {sum(row.bytes for row in rows):,} bytes"]) + "\n"


def _spec(spec: Any) -> str:
    entries = [entry if isinstance(entry, str) else "+".join(entry) if entry else "-" for entry in spec]
    return " ".join(entries) if any(entry != "-" for entry in entries) else "replicated"


def _trainable(what: bool | slice) -> str:
    return f"layers {what.start}:{what.stop}" if isinstance(what, slice) else "yes" if what else "no"

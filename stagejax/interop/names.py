"""The explicit map between the tensors of a checkpoint and the parameters of a model.

Shapes are not written down: the axes that a parameter names say which of its dimensions are read and which are written,
and that is all that a layout needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import jax
import numpy as np

from stagejax.axes import Axes, family
from stagejax.interop.tensors import InteropError

#: `linear`: (written, read), as torch's Linear has it; `plain`: (read, written), as tables and GPT-2's Conv1D have it;
#: `batched`: `plain` behind a dimension of size 1; `patches`: a convolution (written, channel, row, column).
Layout = Literal["linear", "plain", "batched", "patches"]
Leaves = Mapping[str, tuple[Axes, tuple[int, ...]]]  # of a model: axes and shape of every parameter, by path


@dataclass(frozen=True)
class Name:
    """A tensor, or one for each row of stacked parameters, and the parameters that it holds side by side."""

    tensor: str  # `{layers}`, `{experts}` stand for the row along a stacked axis of that family
    leaves: tuple[str, ...]  # paths of parameters, joined along what they write
    layout: Layout = "linear"
    factor: float = 1.0  # the tensor is so many times the parameter, where a layout fixes a scale that we do not

    def rows(self, leaves: Leaves) -> Iterator[dict[str, int]]:
        """The rows of the stacked axes in the name, in order: one empty row where it has none."""
        axes, shape = leaves[self.leaves[0]]
        stacked = {family(n): size for n, size in zip(axes.names, shape, strict=True) if _placeholder(n) in self.tensor}
        for index in product(*(range(size) for size in stacked.values())):
            yield dict(zip(stacked, index, strict=True))

    def inner(self, leaf: tuple[Axes, tuple[int, ...]]) -> tuple[Axes, tuple[int, ...]]:
        """Axes and shape of one row of a parameter."""
        axes, shape = leaf
        kept = [d for d, name in enumerate(axes.names) if _placeholder(name) not in self.tensor]
        names, sides = (tuple(of[d] for d in kept) for of in (axes.names, axes.sides))
        return Axes(names, sides), tuple(shape[d] for d in kept)

    def shape(self, leaves: Leaves) -> tuple[int, ...]:
        """Of the tensor."""
        parts = []
        for where in self.leaves:
            axes, shape = self.inner(leaves[where])
            leaf = jax.ShapeDtypeStruct(shape, np.float32)
            parts.append(jax.eval_shape(lambda x, axes=axes: to_tensor(x, axes, self.layout), leaf).shape)
        joined = self.join(parts[0])
        return (*parts[0][:joined], sum(part[joined] for part in parts), *parts[0][joined + 1 :])

    def join(self, shape: Sequence[int]) -> int:
        """The dimension along which parameters lie side by side."""
        return 0 if self.layout == "linear" else len(shape) - 1

    def take(self, tensor: np.ndarray, where: str, leaves: Leaves) -> np.ndarray:
        """The row of the parameter at `where` that the tensor holds."""
        dim, begin = self.join(tensor.shape), 0
        for part in self.leaves:
            axes, shape = self.inner(leaves[part])
            width = tensor.shape[dim]
            if len(self.leaves) > 1:
                width = int(np.prod([n for n, side in zip(shape, axes.sides, strict=True) if side == "write"]))
            if part == where:
                chosen = (slice(None),) * dim + (slice(begin, begin + width),)
                value = of_tensor(tensor[chosen], axes, shape, self.layout)
                return value if self.factor == 1 else (value / self.factor).astype(value.dtype)
            begin += width
        raise KeyError(where)

    def put(self, rows: Sequence[np.ndarray], leaves: Leaves) -> np.ndarray:
        """The tensor that holds these rows of the parameters `self.leaves`."""
        parts = [
            to_tensor(row, self.inner(leaves[where])[0], self.layout)
            for row, where in zip(rows, self.leaves, strict=True)
        ]
        tensor = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=self.join(parts[0].shape))
        return tensor if self.factor == 1 else (tensor * self.factor).astype(tensor.dtype)


def to_tensor(x: Any, axes: Axes, layout: Layout) -> Any:
    """A parameter without its stacked axes, as the checkpoint has it.

    >>> axes = Axes(("embed", "heads", "head_dim"), ("read", "write", "write"))
    >>> to_tensor(np.zeros((8, 2, 3)), axes, "linear").shape
    (6, 8)
    """
    reads = axes.sides.count("read")
    size = int(np.prod(x.shape[:reads]))
    matrix = x.reshape(size, -1) if reads else x.reshape(-1)
    if layout == "patches":
        side = x.shape[0]
        if reads != 3 or x.shape[1] != side:
            raise InteropError(f"a parameter with the axes {axes} and shape {x.shape} is no patch embedding")
        return x.transpose(3, 2, 0, 1)
    if layout == "batched":
        return x.reshape(1, *([1] if not reads else []), *matrix.shape)
    return matrix.T if layout == "linear" else matrix


def of_tensor(tensor: Any, axes: Axes, shape: tuple[int, ...], layout: Layout) -> Any:
    """The parameter that `to_tensor` made a tensor of."""
    if layout == "patches":
        return tensor.transpose(2, 3, 1, 0).reshape(shape)
    return (tensor.T if layout == "linear" and axes.sides.count("read") else tensor).reshape(shape)


def _placeholder(axis: str) -> str:
    return "{" + family(axis) + "}"


def linear(tensor: str, module: str, bias: bool) -> list[Name]:
    """A torch Linear: `.weight`, and `.bias` where it has one.

    >>> [name.tensor for name in linear("lm_head", "head/output", bias=False)]
    ['lm_head.weight']
    """
    return [
        Name(f"{tensor}.weight", (f"{module}/kernel",)),
        *([Name(f"{tensor}.bias", (f"{module}/bias",))] if bias else []),
    ]


def norm(tensor: str, module: str, bias: bool = True) -> list[Name]:
    """A norm: `.weight`, and `.bias` where it has a shift."""
    return [
        Name(f"{tensor}.weight", (f"{module}/gain",)),
        *([Name(f"{tensor}.bias", (f"{module}/shift",))] if bias else []),
    ]


def table(tensor: str, module: str) -> Name:
    """An embedding."""
    return Name(f"{tensor}.weight", (f"{module}/table",), "plain")

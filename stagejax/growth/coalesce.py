"""Coalescing and de-coalescing: a model made smaller by merging units in groups, and back by copying them.

A grouping is a plain function (small, large) -> (large,) indices: the group of every unit of the large model. From it
follow both directions. De-coalescing copies what writes an axis and divides what reads it; coalescing is its
pseudo-inverse, which averages what writes and sums what reads, so `coalesce(decoalesce(x)) == x`.

Multi-level training (arXiv 2404.07999): coalesce, train the small model, de-coalesce, and mix with what was saved:

    run.grow("up", small, to=large, operator=Interpolate(0.5, Decoalesce()), others={"large": saved})
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from stagejax.axes import Axes, family
from stagejax.growth.depth import adjacent, layers_map
from stagejax.growth.draw import cyclic
from stagejax.growth.fpi import WIDTH
from stagejax.growth.maps import copy_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed
from stagejax.growth.term import Term

Grouping = Callable[[int, int], np.ndarray]
TiedRule = Literal["norm", "tables"]


@dataclass(frozen=True)
class Decoalesce(Operator):
    """Every group of units is copies of one unit of the small model, every group of layers copies of one layer.

    With `cyclic` groups unit j is merged with j + d (halves), with `adjacent` its neighbours. Keeps the function in
    width where the groups of `embed` are equally large; never in depth. What reads the residual stream is divided by
    the size of its groups; for a head that is the transposed token table, `tied` says how:

      "norm"    gain and shift of the norm before the head are divided. Exact.
      "tables"  the embedding tables are divided, as in the published code. Exact where a norm follows the embeddings
                (BERT), wrong by order one in a pre-norm decoder (GPT-2), whose other writers are not divided.

    Multi-level framework (arXiv 2404.07999), section 3.2; `tables` are its factors 2 and 1/2.
    """

    width: Grouping = cyclic
    depth: Grouping = adjacent
    axes: tuple[str, ...] = WIDTH
    tied: TiedRule = "norm"

    def __post_init__(self) -> None:
        if self.tied not in get_args(TiedRule):
            raise ValueError(f"tied={self.tied!r} is unknown: choose one of {get_args(TiedRule)}")

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term; under `tables` one more for the tables."""
        maps = {axis: copy_map(self.width(old[axis], new[axis]), old[axis]) for axis in changed(old, new, self.axes)}
        maps |= layers_map(self.depth, old, new)
        streams = {axis: m for axis, m in maps.items() if family(axis) == "embed"}
        if self.tied == "norm" or not streams:
            return [Term("small", maps)]
        untied = {axis: replace(m, tied=np.ones_like(m.tied)) for axis, m in streams.items()}
        divided = {axis: replace(m, write=m.write.scaled(m.tied)) for axis, m in streams.items()}
        return [
            Term("small", {**maps, **untied}, leaves=is_no_table),
            Term("small", {**maps, **divided}, leaves=is_table),
        ]


@dataclass(frozen=True)
class Coalesce(Decoalesce):
    """The pseudo-inverse of `Decoalesce`: merged units are averaged where written and summed where read.

    Keeps the function only of models whose merged units are equal. Multi-level framework (arXiv 2404.07999),
    section 3.1.
    """

    shrinks = True

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The terms of the way back, each map inverted."""
        check_smaller(self, old, new)
        return [
            replace(term, maps={axis: m.inverse() for axis, m in term.maps.items()}) for term in super().terms(new, old)
        ]


def check_smaller(operator: Operator, old: Sizes, new: Sizes) -> None:
    """Whether no axis becomes larger.

    Raises:
      GrowthError: one does.
    """
    larger = [axis for axis in new if new[axis] > old.get(axis, new[axis])]
    if larger:
        raise GrowthError(
            f"{operator} makes models smaller, but {larger[0]!r} goes {old[larger[0]]} -> {new[larger[0]]}. Ask for at "
            f"most {larger[0]}={old[larger[0]]}, or use an operator that grows."
        )


@dataclass(frozen=True)
class Interpolate(Operator):
    """(1 - share) · another tree of the new sizes + share · the operator's result; the other tree is `others["large"]`.

    Merged units that were copied up as equals become different again. Moments of a mixture have no rule: reset them.
    Multi-level framework (arXiv 2404.07999), equation 7.
    """

    share: float  # of the operator's result, "alpha"
    operator: Operator

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share={self.share} must be in [0, 1]")

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The operator's terms, then the other tree as it is."""
        inner = self.operator.terms(old, new)
        mixed = [replace(term, coefficient=term.coefficient * self.share) for term in inner]
        return [*mixed, Term("large", coefficient=1 - self.share)]


def is_table(axes: Axes) -> bool:
    """Tables of embeddings: rows are looked up, not multiplied."""
    return any(side == "read" and family(name) in TABLES for name, side in zip(axes.names, axes.sides, strict=True))


def is_no_table(axes: Axes) -> bool:
    """All other parameters."""
    return not is_table(axes)


#: What embedding tables are looked up by.
TABLES = ("vocab", "position", "types")

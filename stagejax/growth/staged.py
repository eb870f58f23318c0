"""Staged training's operator: two copies of the network side by side, and layers that are the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.axes import Axes, family
from stagejax.growth.depth import DepthRule, adjacent, layers_map
from stagejax.growth.fpi import WIDTH
from stagejax.growth.identity import By, check_identity, identity_terms, unmoved_terms
from stagejax.growth.linear import Gather
from stagejax.growth.maps import Map, copy_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed
from stagejax.growth.term import Term, base


@dataclass(frozen=True)
class BlockDiagonal(Operator):
    """Twice the width: kernels become [[W, 0], [0, W]], tables, biases and norms are doubled. Keeps the function.

    What reads a doubled axis and writes none is halved; a tied head's norm is halved. New layers are the identity by
    zero gains. Two copies would stay apart but for the zero blocks, whose gradients are those of W halved: moments by
    "dual" are those gradients' (first moments halved, second quartered, final norm's kept), off the diagonal too, where
    the published code leaves zeros. Shen et al. 2022 (arXiv 2203.06211), section 4.
    """

    depth: DepthRule = adjacent
    by: By = "gain"
    fresh: bool = False
    axes: tuple[str, ...] = WIDTH  # that it doubles

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term for each copy, in parameters that have a doubled axis."""
        doubled = self._doubled(old, new)
        halves = [{axis: half_map(old[axis], half) for axis in doubled} for half in (0, 1)]
        deeper = layers_map(self.depth, old, new)
        terms = [Term("small", deeper, leaves=lambda axes: not _sides(axes, doubled))]
        for maps in halves if doubled else []:
            terms += [
                Term("small", {**maps, **deeper}, leaves=lambda axes: bool(_sides(axes, doubled) - {"read"})),
                Term("small", {**maps, **deeper}, 0.5, leaves=lambda axes: _sides(axes, doubled) == {"read"}),
            ]
        return [*terms, *identity_terms(self, old, new, halves[0])]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Gradients move as those of plain copies; moments of new layers begin at zero."""
        copies = {axis: copy_map(np.arange(new[axis]) % old[axis], old[axis]) for axis in self._doubled(old, new)}
        maps = {**copies, **layers_map(self.depth, old, new)}
        return [Term("small", maps), *unmoved_terms(self.depth, old, new, maps)]

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse deeper post-norm stacks."""
        check_identity(self, old_config, new_config)

    def _doubled(self, old: Sizes, new: Sizes) -> list[str]:
        doubled = changed(old, new, self.axes)
        for axis in doubled:
            if new[axis] != 2 * old[axis]:
                raise GrowthError(
                    f"{self} doubles, but {axis!r} goes {old[axis]} -> {new[axis]}: ask for {axis}={2 * old[axis]}"
                )
        if {"kv_heads", "q_per_kv"} <= {family(axis) for axis in doubled}:
            raise GrowthError(f"{self} doubles the heads once, but kv_heads and q_per_kv both grow: keep one of them")
        return doubled


def half_map(old: int, half: int) -> Map:
    """Old entries in the first or the second half of twice as many.

    >>> half_map(2, 1).write.dense()
    array([[0., 0.],
           [0., 0.],
           [1., 0.],
           [0., 1.]])
    """
    place = Gather.of(np.arange(2 * old) % old, old, np.arange(2 * old) // old == half)
    return Map(place, place, place, place, place, tied=np.full(2 * old, 0.5))


def _sides(axes: Axes, doubled: list[str]) -> set[str]:
    """The sides on which a parameter has doubled axes."""
    return {side for name, side in zip(axes.names, axes.sides, strict=True) if base(name) in doubled}

"""The way back of a growth: the inverse of every map, so that a grown model gives its source again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax.axes import Axes
from stagejax.growth.coalesce import check_smaller
from stagejax.growth.linear import Blend, Gather, Linear
from stagejax.growth.maps import SIDES, Map
from stagejax.growth.operator import GrowthError, Operator, Sizes, describe
from stagejax.growth.term import LAYERS, Term


@dataclass(frozen=True)
class Undo(Operator):
    """What `operator` made of a model, made back: copies are averaged, shares summed, what was filled in is left out.

    For a parameter θ′ = A θ outside of what other terms replaced, θ = (AᵀA)⁻¹ Aᵀ θ′. Right after the growth this is
    the source, up to rounding; after training it is the nearest model that the operator would grow to this one. The
    way back of `Decoalesce` is `Coalesce`.

    >>> from stagejax.growth import FPI
    >>> [term] = Undo(FPI(draw=lambda old, new, seed: np.arange(new) % old)).terms({"mlp": 3}, {"mlp": 2})
    >>> term.maps["mlp"].read.dense()
    array([[1., 0., 1.],
           [0., 1., 0.]])
    """

    operator: Operator
    shrinks = True

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """For each parameter the inverse of the first of the operator's terms that concerns it.

        Raises:
          GrowthError: an axis becomes larger again, the operator mixes its source with another tree, or loses a part of
            it.
        """
        if not self.operator.shrinks:
            check_smaller(self, old, new)
        forward = [term for term in self.operator.terms(new, old) if not term.born]
        mixed = sorted({term.source for term in forward if term.source != "small" and not term.region})
        if mixed:
            raise GrowthError(f"{self.operator} mixes in {mixed}, so there is no way back from its result alone")
        plain, regions = [t for t in forward if not t.region], [t.region for t in forward if t.region]
        return [
            Term("small", self._back(term.maps, regions), 1 / term.coefficient, leaves=_first(plain, i))
            for i, term in enumerate(plain)
        ]

    def grown(self, old_config: Any, new_config: Any) -> Any:
        """The source's configuration, which has the eps of its norms already."""
        return new_config

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse growths that gave parameters another axis."""
        before, after = describe(old_config), describe(new_config)
        for where, (axes, _) in after.items():
            if where in before and before[where][0].names != axes.names:
                raise GrowthError(f"{self}: {where!r} has the axes {before[where][0]} now and had {axes}: no way back")

    def _back(self, maps: Mapping[str, Map], regions: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Map]:
        """The inverse of each map, without the entries that lie in a region of another term."""
        replaced: dict[str, np.ndarray] = {}
        for axis, inside in (pair for region in regions for pair in region.items()):
            replaced[axis] = replaced.get(axis, False) | inside
        stack = maps[LAYERS].stack.pattern().index if LAYERS in maps else None
        try:
            return {axis: _kept(m, replaced.get(axis), stack).inverse() for axis, m in maps.items()}
        except ValueError as error:
            raise GrowthError(f"{self.operator} has no way back: {error}") from error


def _first(terms: Sequence[Term], i: int) -> Callable[[Axes], bool]:
    """Whether term i is the first one that concerns a parameter."""
    return lambda axes: terms[i].concerns(axes) and not any(term.concerns(axes) for term in terms[:i])


def _kept(m: Map, replaced: np.ndarray | None, stack: np.ndarray | None) -> Map:
    """A map without what other terms replaced; with a map for each new layer where it has one for each old one."""
    kept = np.ones(m.new, bool) if replaced is None else ~replaced
    tied = m.tied[stack] if m.tied.ndim == 2 and stack is not None else m.tied
    if not _same_of_copies(m.gain.pattern(), m.tied):  # so no norm before a tied head is over this axis
        tied = np.ones_like(tied)
    return replace(m, **{side: _side(getattr(m, side), kept, stack) for side in SIDES}, tied=tied)


def _same_of_copies(copies: Gather, values: np.ndarray) -> bool:
    """Whether all copies of an entry have the same value."""
    chosen = copies.weight != 0
    mean = copies.sums(values * chosen) / np.maximum(copies.sums(chosen), 1)
    return bool(np.allclose(np.take_along_axis(mean, copies.index, axis=-1)[chosen], values[chosen]))


def _side(linear: Linear, kept: np.ndarray, stack: np.ndarray | None) -> Linear:
    if isinstance(linear, Blend):  # entries that are means tell nothing that the others do not
        return linear.gather.weighing(linear.gather.weight * (kept & (linear.mean == 0)))
    if isinstance(linear, Gather):
        own = linear.weighing(linear.weight * kept)
        return own if own.layers is None or stack is None else Gather(own.index[stack], own.weight[stack], own.old)
    return linear if kept.all() else linear.scaled(kept.astype(np.float64))

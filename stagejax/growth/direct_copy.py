"""DirectCopy: the small model in a corner of a freshly drawn large one. The baseline of every growth paper."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.growth.depth import DepthRule, layers_map
from stagejax.growth.fpi import WIDTH
from stagejax.growth.maps import corner_map
from stagejax.growth.operator import Operator, Sizes, changed, grown_entries
from stagejax.growth.term import LAYERS, Term


@dataclass(frozen=True)
class DirectCopy(Operator):
    """Old entries where they were, fresh ones elsewhere. bert2BERT (arXiv 2110.07143), section 4, a baseline."""

    depth: DepthRule | None = None  # None: added layers are fresh
    axes: tuple[str, ...] = (*WIDTH, "head_dim", "key_dim", "value_dim", "vocab", "position", "classes")

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The corner, then fresh parameters wherever any axis is new."""
        axes = changed(old, new, self.axes if self.depth else (*self.axes, LAYERS))
        corner = {axis: corner_map(old[axis], new[axis]) for axis in axes}
        deeper = layers_map(self.depth, old, new) if self.depth else {}
        fresh = [Term("init", region={axis: grown_entries(old[axis], new[axis])}) for axis in axes]
        return [Term("small", {**corner, **deeper}), *fresh]

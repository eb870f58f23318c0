"""AKI, advanced knowledge initialization: new inner units come from the next layer, which breaks their symmetry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.axes import family
from stagejax.growth.depth import DepthRule, layers_map, stack, stacks
from stagejax.growth.draw import Draw, cyclic, seed_of
from stagejax.growth.fpi import WIDTH
from stagejax.growth.maps import Map, copy_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed, grown_entries
from stagejax.growth.term import LAYERS, Term


@dataclass(frozen=True)
class AKI(Operator):
    """FPI, but the new heads and mlp units of layer l are those that FPI gives layer l+1 (the last layer: its own).

    The residual stream stays FPI, otherwise layers would disagree about what a channel means. Does not keep the
    function. bert2BERT (arXiv 2110.07143), section 3.2. With `depth=interpolate` this is AKI-Pro, also under grouped
    queries, where new query heads come from their own group (AquilaMoE, arXiv 2408.06567, section 3.1).
    """

    depth: DepthRule = stack
    draw: Draw = cyclic
    seed: int = 0
    axes: tuple[str, ...] = WIDTH  # that it widens
    inner: tuple[str, ...] = ("heads", "kv_heads", "q_per_kv", "mlp")  # of them, those filled from the next layer
    per_layer: bool = False  # every layer draws its own inner units

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """FPI everywhere; then, where any inner axis is new, FPI of the next layer."""
        inner = changed(old, new, [axis for axis in self.axes if axis in self.inner])
        if inner and not stacks(old):
            raise GrowthError(f"{self} takes new units from the next layer, but the model has no axis {LAYERS!r}")
        if inner and self.per_layer and stacks(old) != [LAYERS]:
            raise GrowthError(
                f"{self} draws the units of each layer of one stack, but the model has the stacks {stacks(old)}: set "
                "per_layer=False"
            )
        widths = {axis: self._width(axis, old, new) for axis in changed(old, new, self.axes)}
        same = {**widths, **layers_map(self.depth, old, new)}
        after = {**widths, **layers_map(self.depth, old, new, shift=1)}
        regions = [{axis: grown_entries(old[axis], new[axis])} for axis in inner]
        return [Term("small", same), *(Term("small", after, region=region) for region in regions)]

    def _width(self, axis: str, old: Sizes, new: Sizes) -> Map:
        if not (self.per_layer and family(axis) in self.inner):
            return copy_map(self.draw(old[axis], new[axis], seed_of(self.seed, axis)), old[axis])
        seeds = [seed_of(self.seed, axis, layer) for layer in range(old[LAYERS])]
        return copy_map(np.stack([self.draw(old[axis], new[axis], seed) for seed in seeds]), old[axis])

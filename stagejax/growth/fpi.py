"""FPI, function-preserving initialization: what writes an axis is copied, what reads it is divided among the copies."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.growth.depth import DepthRule, layers_map, stack
from stagejax.growth.draw import Draw, cyclic, seed_of
from stagejax.growth.maps import Map, copy_map
from stagejax.growth.operator import Operator, Sizes, changed
from stagejax.growth.term import Term

#: The axes that copies can widen: not the head size, whose entries rotary positions tell apart.
WIDTH: tuple[str, ...] = ("embed", "mlp", "heads", "kv_heads", "q_per_kv", "channels", "hidden")


@dataclass(frozen=True)
class FPI(Operator):
    """One copying map per axis: kernel'[i, j] = kernel[g(i), h(j)] / (number of copies of g(i)).

    Keeps the function on `mlp` and heads for any sizes, on `embed` for whole multiples with equally many copies
    (`cyclic`, `balanced`); a tied head is handled by its norm. Layers are added by `depth`, which does not keep it.
    bert2BERT (arXiv 2110.07143), section 3.2; with `uniform` Net2Net (arXiv 1511.05641).
    """

    depth: DepthRule = stack
    draw: Draw = cyclic
    seed: int = 0
    axes: tuple[str, ...] = WIDTH  # that it widens

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term: a copying map for each axis that grows, and the depth rule."""
        return [Term("small", {**self.widths(old, new), **layers_map(self.depth, old, new)})]

    def widths(self, old: Sizes, new: Sizes) -> dict[str, Map]:
        """The copying map of each axis that grows."""
        return {
            axis: copy_map(self.draw(old[axis], new[axis], seed_of(self.seed, axis)), old[axis])
            for axis in changed(old, new, self.axes)
        }

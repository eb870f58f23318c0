"""Isometric growth: copies scaled so that root mean squares keep their ratios, exact at any width under RMSNorm."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.growth.draw import seed_of
from stagejax.growth.fpi import FPI
from stagejax.growth.maps import Map, isometric_map
from stagejax.growth.operator import Sizes, changed


@dataclass(frozen=True)
class Isometric(FPI):
    """FPI, but the residual stream `embed` is scaled by 1/√(number of copies) where it is written and where it is read.

    Keeps the function of decoders with RMSNorm for any width, tied or not; the grown configuration's norm eps is
    smaller by old/new. An encoder's transform before its head and LayerNorm, whose means do not survive the scaling,
    need whole multiples.
    """

    def widths(self, old: Sizes, new: Sizes) -> dict[str, Map]:
        """The isometric map for `embed`, copying maps for the other axes that grow."""
        isometric = {
            axis: isometric_map(self.draw(old[axis], new[axis], seed_of(self.seed, axis)), old[axis])
            for axis in changed(old, new, tuple({"embed"} & set(self.axes)))
        }
        return {**super().widths(old, new), **isometric}

"""Isometric growth: copies scaled so that root mean squares keep their ratios, exact at any width under RMSNorm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.growth.draw import seed_of
from stagejax.growth.fpi import FPI
from stagejax.growth.maps import Map, isometric_map
from stagejax.growth.operator import GrowthError, Sizes, changed


@dataclass(frozen=True)
class Isometric(FPI):
    """FPI, but the residual stream `embed` is scaled by 1/√(number of copies) where it is written and where it is read.

    Keeps the function of models with RMSNorm for any width, tied or not; the grown configuration's norm eps is smaller
    by old/new. LayerNorm, whose mean does not survive the scaling, needs equally many copies of every entry; an
    encoder's transform before its head, whose GELU does not, has none.
    """

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse what the scaling would change.

        Raises:
          GrowthError: LayerNorm over unequal numbers of copies, or a nonlinear map of the stream to itself.
        """
        old, new = old_config.sizes(), new_config.sizes()
        for axis in changed(old, new, tuple({"embed"} & set(self.axes))):
            grows = f"{self}: {axis!r} cannot go {old[axis]} -> {new[axis]}"
            if f"{axis}_out" in old:
                raise GrowthError(
                    f"{grows} in an encoder with a transform before its head, whose GELU does not keep a scaled "
                    f"stream. Use FPI() or LEMON(), and {axis}={2 * old[axis]}."
                )
            if getattr(old_config, "norm", "rms") == "layer" and not self._equal(axis, old[axis], new[axis]):
                raise GrowthError(
                    f"{grows} with LayerNorm by unequal numbers of copies, whose scaling changes the mean. Use LEMON()."
                )

    def _equal(self, axis: str, old: int, new: int) -> bool:
        """Whether every entry of an axis gets as many copies."""
        return new < old or len(set(np.bincount(self.draw(old, new, seed_of(self.seed, axis))))) == 1

    def widths(self, old: Sizes, new: Sizes) -> dict[str, Map]:
        """The isometric map for `embed`, copying maps for the other axes that grow."""
        isometric = {
            axis: isometric_map(self.draw(old[axis], new[axis], seed_of(self.seed, axis)), old[axis])
            for axis in changed(old, new, tuple({"embed"} & set(self.axes)))
        }
        return {**super().widths(old, new), **isometric}

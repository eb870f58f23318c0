"""Net2Net: wider by random copies, deeper by layers that are the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.axes import Axes
from stagejax.growth.depth import DepthRule, adjacent, layers_map
from stagejax.growth.draw import Draw, uniform
from stagejax.growth.fpi import FPI
from stagejax.growth.identity import By, check_identity, identity_terms, unmoved_terms
from stagejax.growth.linear import Gather
from stagejax.growth.maps import Map
from stagejax.growth.operator import Sizes, grown_entries
from stagejax.growth.regions import both, having
from stagejax.growth.term import Term


@dataclass(frozen=True)
class Net2Net(FPI):
    """Hidden units are copied at random, what reads them is divided; new layers are the identity; noise on new copies.

    Keeps the function without noise. Noise, of `noise` times the standard deviation of initial parameters, is added to
    the kernels that write new units. The residual stream has no such rule, as random copies change what norms see: it
    is not among the axes. Chen, Goodfellow and Shlens 2015 (arXiv 1511.05641), section 2 and algorithm 1; pre-norm
    blocks are the identity by a zero output where plain layers are so by an identity matrix.
    """

    depth: DepthRule = adjacent
    draw: Draw = uniform
    axes: tuple[str, ...] = ("mlp", "kv_heads", "q_per_kv", "channels", "hidden")
    noise: float = 0.0
    by: By = "output"
    fresh: bool = False

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Copies, identity layers, noise."""
        maps = self.widths(old, new)
        layers = {**maps, **layers_map(self.depth, old, new)}
        noisy = [self._noise(axis, old[axis], new[axis]) for axis in maps] if self.noise else []
        return [Term("small", layers), *noisy, *identity_terms(self, old, new, maps)]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Moments of copies; those of new layers begin at zero."""
        maps = {**self.widths(old, new), **layers_map(self.depth, old, new)}
        return [Term("small", maps), *unmoved_terms(self.depth, old, new, maps)]

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse deeper post-norm stacks."""
        check_identity(self, old_config, new_config)

    def _noise(self, axis: str, old: int, new: int) -> Term:
        added = Gather.of(np.arange(new), new, grown_entries(old, new))
        everywhere = Map(added, added, added, added, added, tied=np.ones(new))
        return Term("init", {axis: everywhere}, coefficient=self.noise, leaves=both(_kernel, having(axis, "write")))


def _kernel(axes: Axes) -> bool:
    return "read" in axes.sides

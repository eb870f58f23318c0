"""Audit: every growth of a run done again from what is stored of its source, and compared with what it left.

A growth's folder holds its declaration (operator, seeds and sizes), every map of it with its weights, its receipt and
the grown state. So anyone who has the folder can do the growth again, and by the inverse of every map the way back; and
see whether the operator would still make the same maps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import jax
import numpy as np

from stagejax.axes import path_name
from stagejax.declare import Json
from stagejax.growth import Growth, GrowthError, grow
from stagejax.growth.record import difference, recorded
from stagejax.growth.undo import Undo
from stagejax.result import Result
from stagejax.state import Tree


@dataclass(frozen=True)
class Audit:
    """What was found of one growth."""

    name: str
    operator: str
    leaves: int  # of the whole state: parameters, averages, moments, counts, the rest
    maps: str  # how the stored maps differ from those that the operator makes now; empty if they do not
    differing: dict[str, float]  # leaf -> largest difference of what is stored and what the stored maps make
    recovers: float | None  # the largest difference of the source and the way back, relative to its largest number
    no_way_back: str = ""  # why there is none

    @property
    def holds(self) -> bool:
        """Whether what is stored is what the growth makes, to the last bit, by the same maps as when it was made."""
        return not self.differing and not self.maps

    def to_json(self) -> Json:
        """As JSON."""
        return asdict(self) | {"holds": self.holds}


def audit(result: Result) -> Audit:
    """Do a growth again by its stored maps, compare, and go the way back by their inverses.

    Raises:
      ValueError: the result is no growth, or its maps are of another version.
      CheckpointError: what is stored of it or of its source is damaged.
    """
    if result.grown is None:
        raise ValueError(f"{result.kind} {result.name!r} is no growth")
    grown, stored, maps = result.grown, result.state(), result.grown.maps()
    growth = recorded(maps, grown.growth)
    made = jax.tree_util.tree_leaves_with_path(grown.replay(growth))
    pairs = [(path, np.asarray(a), np.asarray(b)) for (path, a), b in zip(made, jax.tree.leaves(stored), strict=True)]
    differing = {path_name(path): _largest(a, b) for path, a, b in pairs if a.tobytes() != b.tobytes()}
    recovers, why = None, ""
    try:
        recovers = recovered(growth, grown.start.state().params, stored.params)
    except GrowthError as error:
        why = str(error)
    name, operator, now = result.name, str(grown.growth.operator), difference(grown.growth, maps)
    return Audit(name, operator, len(pairs), now, differing, recovers, why)


def recovered(growth: Growth, small: Tree, large: Tree) -> float:
    """The largest difference of a source and what `Undo` makes of its growth, relative to the source's largest number.

    Raises:
      GrowthError: there is no way back.
    """
    back = grow(Growth(Undo(growth.operator), growth.config, growth.old), large)
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(*map(jax.tree.leaves, (small, back)), strict=True)]
    return max(_largest(a, b) for a, b in pairs) / max(float(np.abs(a).max()) for a, _ in pairs)


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two arrays; infinite where one is no number."""
    found = float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0))
    return found if np.isfinite(found) else float("inf")

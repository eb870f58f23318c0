"""What new entries hold, by the side on which a parameter has the axis: drawn freshly, or nothing.

An operator that keeps the function with entries that are not copies says two things: which new entries are free,
because what they read or what reads them is zero, and which are zero. Both are terms that replace a region.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from stagejax.axes import Axes, Side, family
from stagejax.growth.maps import Map
from stagejax.growth.term import Term, base

Leaves = Callable[[Axes], bool]


def having(axis: str, *sides: Side) -> Leaves:
    """Parameters that have an axis, given by its name or its family, on one of these sides.

    >>> having("mlp", "write")(Axes(("embed", "mlp"), ("read", "write")))
    True
    """

    def test(axes: Axes) -> bool:
        named = zip(map(base, axes.names), axes.sides, strict=True)
        return any(axis in (name, family(name)) and side in sides for name, side in named)

    return test


def both(first: Leaves, second: Leaves) -> Leaves:
    """Parameters of both kinds."""
    return lambda axes: first(axes) and second(axes)


def fresh(axis: str, where: np.ndarray, *sides: Side) -> Term:
    """Entries of an axis that are drawn freshly, in the parameters that have it on these sides."""
    return Term("init", region={axis: where}, leaves=having(axis, *sides))


def empty(maps: Mapping[str, Map], axis: str, where: np.ndarray, leaves: Leaves) -> Term:
    """Entries of an axis that are zero in these parameters; `maps` are those of the operator's first term."""
    return Term("small", maps, 0.0, region={axis: where}, leaves=leaves)

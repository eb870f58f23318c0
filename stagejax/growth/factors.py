"""Per-leaf factors by which the grown model's optimizer follows the small one's.

Adam's update has no scale, so where a parameter moved by A, its learning rate has to be multiplied by |A|; its
gradient moved by the dual map D, so Adam's eps by |D|. Decoupled weight decay is not scaled. For copies that is 1
where an axis is written and 1/(number of copies) where it is read: the rule of muP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from stagejax.axes import Axes, is_axes, layers_dim, path_name
from stagejax.growth.linear import spread
from stagejax.growth.maps import Map
from stagejax.growth.operator import Growth, Tree
from stagejax.growth.term import View, base, by_dual, by_weight, region_mask, seen_side


@dataclass(frozen=True, eq=False)
class Factors:
    """Trees of arrays that broadcast against the parameters."""

    lr: Tree  # |A|
    eps: Tree  # |D|


def factors(growth: Growth, axes: Tree) -> Factors:
    """The learning-rate and eps factor of each leaf of a tree of `Axes` (of the grown model's trained parameters).

    Raises:
      GrowthError: the operator cannot grow this pair of models.
    """

    def tree(view: View) -> Tree:
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: _factor(growth, path_name(path), leaf, view), axes, is_leaf=is_axes
        )

    return Factors(lr=tree(by_weight), eps=tree(by_dual))


def _factor(growth: Growth, where: str, axes: Axes, view: View) -> np.ndarray:
    total: np.ndarray | None = None
    for term in growth.terms_of(where, growth.moment_terms):
        if not term.concerns(axes):
            continue
        own = _magnitude({} if term.nothing else term.maps, axes, view)
        if term.region and total is not None:
            own = np.where(region_mask(term.region, axes), own, total)
        total = own if term.region or total is None else np.maximum(total, own)
    return np.ones((1,) * len(axes.names)) if total is None else total


def _magnitude(maps: Mapping[str, Map], axes: Axes, view: View) -> np.ndarray:
    """The product over the axes of the magnitudes of their maps."""
    ndim = len(axes.names)
    stack_dim = layers_dim(axes)
    product = np.ones((1,) * ndim)
    for dim in sorted(range(ndim), key=lambda dim: dim == stack_dim):
        name, side = axes.names[dim], axes.sides[dim]
        if base(name) not in maps:
            continue
        linear: Any = view(maps[base(name)].rule(side, axes.tied), seen_side(name, side))
        if product.shape[dim] > 1:  # layers, in which the maps of other axes differ
            product = product.take(linear.pattern().index, axis=dim)
        scale = linear.magnitude()
        scale = scale if np.ptp(scale) > 0 else np.ravel(scale)[:1]  # one number where all entries have the same
        product = product * spread(scale, ndim, dim, stack_dim)
    return product

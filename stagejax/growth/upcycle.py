"""Sparse upcycling: every expert of a mixture begins as the dense network that it replaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.axes import Axes
from stagejax.growth.maps import select_map
from stagejax.growth.operator import GrowthError, Operator, Sizes
from stagejax.growth.term import Term

EXPERTS = "experts"


def routes(axes: Axes) -> bool:
    """Whether a parameter with these axes is a router's: it writes `experts`.

    >>> routes(Axes(("embed", "experts"), ("read", "write")))
    True
    """
    return (EXPERTS, "write") in zip(axes.names, axes.sides, strict=True)


@dataclass(frozen=True)
class Upcycle(Operator):
    """Expert e = the dense network, for every e; routers are drawn; all else is copied.

    Keeps the function where the chosen experts' weights sum to 1 and none is dropped (`routing="topk_softmax"`, any
    top_k, dropless or with enough capacity). Under "softmax_topk" the network's output shrinks to the sum of the chosen
    probabilities, about top_k / experts. An expert sees its share of the tokens, so moments under "dual" are divided
    among the experts, under "copy" each has all of them. Komatsuzaki et al. 2022 (arXiv 2212.05055), section 2.2.
    """

    def born(self, axes: Axes) -> bool:
        """Routers are."""
        return routes(axes)

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The dense model with its feed-forward networks copied, and drawn routers.

        Raises:
          GrowthError: the old model has experts already, or the new one has none.
        """
        experts = new_experts(self, old, new)
        return [Term("small", {EXPERTS: select_map(np.zeros(experts), 1)}), Term("init", leaves=routes)]


def new_experts(operator: Operator, old: Sizes, new: Sizes) -> int:
    """How many experts a dense model is to get.

    Raises:
      GrowthError: it has some already, or is to get none.
    """
    if EXPERTS in old:
        raise GrowthError(
            f"{operator} makes experts of a dense model, but the old one has experts={old[EXPERTS]} already. Use "
            "CopyExperts or AddExperts."
        )
    if EXPERTS not in new:
        raise GrowthError(f"{operator} makes experts, but the new model has none: set experts in its configuration")
    return new[EXPERTS]

"""More experts for a trained mixture: copies chosen along with the old ones, or experts that are let in later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.growth.draw import Draw, cyclic, seed_of
from stagejax.growth.linear import Gather
from stagejax.growth.maps import Map, select_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed, grown_entries
from stagejax.growth.term import Term
from stagejax.growth.upcycle import EXPERTS, routes


@dataclass(frozen=True)
class CopyExperts(Operator):
    """Every new expert is a copy of an old one, and so is its column of the router.

    Keeps the function where every old expert gets r copies and top_k becomes r · top_k: copies are chosen together, and
    share the weight of the old one; moments follow exactly. With `noise` the router's new columns differ, without it
    copies never learn apart.
    """

    draw: Draw = cyclic
    seed: int = 0
    noise: float = 0.0  # times a freshly drawn column, added to each new column of the router

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Copies, and the noise."""
        copied = Term("small", {EXPERTS: copies(self.draw, self.seed, old, new)})
        if not self.noise:
            return [copied]
        added = Gather.of(np.arange(new[EXPERTS]), new[EXPERTS], grown_entries(old[EXPERTS], new[EXPERTS]))
        fresh = {EXPERTS: Map(added, added, added, added, added, tied=np.ones(added.new))}
        return [copied, Term("init", fresh, coefficient=self.noise, leaves=routes)]

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse models without experts, or with equally many."""
        check_experts(self, old_config.sizes(), new_config.sizes())


@dataclass(frozen=True)
class AddExperts(Operator):
    """Every new expert is a copy of an old one, but its column of the router is drawn.

    Keeps the function, for any top_k, as long as the model is called with `masks={"experts": m}` and m is 0 at new
    experts: a mask adds its logarithm to the router's logits. Training lets them in by raising m to 1.
    """

    draw: Draw = cyclic
    seed: int = 0

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Copies, then drawn columns."""
        copied = copies(self.draw, self.seed, old, new)
        fresh = {EXPERTS: grown_entries(old[EXPERTS], new[EXPERTS])}
        return [Term("small", {EXPERTS: copied}), Term("init", region=fresh, leaves=routes)]

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse models without experts, or with equally many."""
        check_experts(self, old_config.sizes(), new_config.sizes())


def copies(draw: Draw, seed: int, old: Sizes, new: Sizes) -> Map:
    """The map that gives each new expert an old one."""
    return select_map(draw(old[EXPERTS], new[EXPERTS], seed_of(seed, EXPERTS)), old[EXPERTS])


def check_experts(operator: Operator, old: Sizes, new: Sizes) -> None:
    """Whether there is a mixture that gets more experts.

    Raises:
      GrowthError: the models have not both experts, or equally many.
    """
    if not changed(old, new, (EXPERTS,)):
        before, after = (sizes.get(EXPERTS, 0) for sizes in (old, new))
        raise GrowthError(
            f"{operator} adds experts to a mixture, but experts are {before} -> {after}. "
            + ("Use Upcycle for a dense model." if not before else "Ask for more experts.")
        )

"""Granular upcycling: the dense network cut into shards, each replicated, so that experts are many and small."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from stagejax.axes import Axes
from stagejax.growth.linear import Gather
from stagejax.growth.maps import Map, select_map
from stagejax.growth.operator import GrowthError, Operator, Sizes
from stagejax.growth.term import Term
from stagejax.growth.upcycle import EXPERTS, new_experts, routes


@dataclass(frozen=True)
class GranularUpcycle(Operator):
    """Expert r·G + g = shard g of the dense network's hidden units, in replica r of experts / G; `down` times `scale`.

    The router columns of the G experts of a replica are equal when drawn ("virtual groups"), so a token chooses whole
    replicas, each of which has all shards: top_k is a multiple of G. With k chosen the weights of a replica sum to its
    share but are spread over G experts, so `scale` = G keeps the function under `routing="topk_softmax"`. Under
    "softmax_topk" it is kept in the mean by `scale` = experts · G / top_k. The reference spreads the same factor evenly
    over its two kernels and a squared ReLU; here `down` carries it, which is the same function for any activation.

    He et al. 2024 (arXiv 2410.07524), sections 3.2-3.3. With `shards=1` this is `Upcycle`.
    """

    shards: int  # G, of the old `mlp`
    scale: float | None = None  # of the down projection; None: G

    shrinks: ClassVar[bool] = True

    def born(self, axes: Axes) -> bool:
        """Routers are."""
        return routes(axes)

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term a shard, each empty at the experts of other shards.

        Raises:
          GrowthError: experts are no multiple of the shards, or mlp is not the old one divided by them.
        """
        experts, G = new_experts(self, old, new), self.shards
        if experts % G or new["mlp"] * G != old["mlp"]:
            raise GrowthError(
                f"{self}: experts={experts} of mlp={new['mlp']} cannot hold mlp={old['mlp']} in {G} shards. Set "
                f"experts to a multiple of {G}, and mlp={old['mlp'] / G:g}."
            )
        others = [name for name in new if name != "mlp" and new[name] < old.get(name, 0)]
        if others:
            raise GrowthError(f"{self} shrinks mlp alone, but axis {others[0]!r} also becomes smaller: keep its size")
        router = select_map(np.arange(experts) // G * G, experts)
        return [*(self._shard(g, old, new) for g in range(G)), Term("init", {EXPERTS: router}, leaves=routes)]

    def _shard(self, g: int, old: Sizes, new: Sizes) -> Term:
        own = np.arange(new[EXPERTS]) % self.shards == g
        chosen = Gather.of(np.zeros(own.size), 1, own)
        experts = Map(chosen, chosen, chosen, chosen, chosen, tied=np.ones(own.size))
        units = select_map(g * new["mlp"] + np.arange(new["mlp"]), old["mlp"])
        scale = float(self.shards) if self.scale is None else self.scale
        maps = {EXPERTS: experts, "mlp": replace(units, read=units.read.scaled(scale))}
        return Term("small", maps, leaves=_of_experts if g else None)

    def check(self, old_config: Any, new_config: Any) -> None:
        """Whether tokens choose whole replicas.

        Raises:
          GrowthError: top_k is no multiple of the shards, or there are none.
        """
        if self.shards < 1:
            raise GrowthError(f"{self}: shards={self.shards} cut nothing; set at least 1")
        top_k = getattr(new_config, "top_k", 0)  # models without experts are refused with the terms
        if top_k % self.shards:
            raise GrowthError(f"{self}: top_k={top_k} chooses parts of replicas; set it to a multiple of {self.shards}")


def _of_experts(axes: Axes) -> bool:
    return EXPERTS in axes.names

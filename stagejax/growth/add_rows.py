"""More rows of a table: new tokens, new classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stagejax.growth.linear import Blend
from stagejax.growth.maps import Map, corner_map
from stagejax.growth.operator import Operator, Sizes, changed, grown_entries
from stagejax.growth.term import Term


@dataclass(frozen=True)
class AddRows(Operator):
    """Old rows keep their place; new ones are the mean of all old rows, or fresh.

    Logits of old tokens do not change; new tokens take probability from all of them alike, and mean rows bound by how
    much (Hewitt 2021, initializing new word embeddings for pretrained language models).

    >>> AddRows().terms({"vocab": 4}, {"vocab": 6})[0].maps["vocab"].write.mean
    array([0., 0., 0., 0., 1., 1.])
    """

    fill: Literal["mean", "fresh"] = "mean"
    axes: tuple[str, ...] = ("vocab", "classes", "types", "position")

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The rows that stay, and what the others are."""
        axes = changed(old, new, self.axes)
        if self.fill == "fresh":
            maps = {axis: corner_map(old[axis], new[axis]) for axis in axes}
            fresh = [Term("init", region={axis: grown_entries(old[axis], new[axis])}) for axis in axes]
            return [Term("small", maps), *fresh]
        return [Term("small", {axis: mean_map(old[axis], new[axis]) for axis in axes})]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Moments of old rows; those of new ones begin at zero."""
        maps = {axis: corner_map(old[axis], new[axis]) for axis in changed(old, new, self.axes)}
        return [Term("small", maps)]


def mean_map(old: int, new: int) -> Map:
    """Old entries, and behind them the mean of all, on every side alike.

    >>> mean_map(2, 3).write.dense()
    array([[1. , 0. ],
           [0. , 1. ],
           [0.5, 0.5]])
    """
    kept = corner_map(old, new)
    rows = Blend(kept.read, grown_entries(old, new).astype(np.float64))
    return Map(rows, rows, rows, rows, rows, tied=np.ones(new))

"""More rows of a table: new tokens, new classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from stagejax.axes import Axes
from stagejax.growth.linear import Blend
from stagejax.growth.maps import Map, corner_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed, describe, grown_entries
from stagejax.growth.term import Term

#: Axes of which a head has one logit for each entry.
HEADS = ("vocab", "classes")
Fill = Literal["mean", "fresh"]


@dataclass(frozen=True)
class AddRows(Operator):
    """Old rows keep their place; new ones are the mean of all old rows, or fresh.

    Logits of old tokens do not change; new tokens take probability from all of them alike, and mean rows bound by how
    much (Hewitt 2021, initializing new word embeddings for pretrained language models). A head with a bias keeps its
    softmax too: with `bias` b at new entries they take the share e^b · (their exponentials) of it. At -inf that is
    none, but such an entry never learns (and weight decay must spare it); -30 is below the rounding of float32, and
    training raises it where the new tokens occur. A head without a bias keeps old logits alone.

    >>> AddRows().terms({"vocab": 4}, {"vocab": 6})[0].maps["vocab"].write.mean
    array([0., 0., 0., 0., 1., 1.])
    """

    fill: Fill = "mean"
    bias: float | None = None  # of new entries of the head, in nats; None: as `fill` makes it
    axes: tuple[str, ...] = ("vocab", "classes", "types", "position")

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The rows that stay, and what the others are."""
        axes = changed(old, new, self.axes)
        if self.fill == "fresh":
            maps = {axis: corner_map(old[axis], new[axis]) for axis in axes}
            fresh = [Term("init", region={axis: grown_entries(old[axis], new[axis])}) for axis in axes]
        else:
            maps, fresh = {axis: mean_map(old[axis], new[axis]) for axis in axes}, []
        biases = [axis for axis in axes if axis in HEADS and self.bias is not None]
        silent = [
            Term("small", maps, 0.0, {axis: grown_entries(old[axis], new[axis])}, bias_of(axis), float(self.bias or 0))
            for axis in biases
        ]
        return [Term("small", maps), *fresh, *silent]

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse an unknown fill, and a bias for a head that has none."""
        if self.fill not in get_args(Fill):
            raise GrowthError(f"{self}: fill={self.fill!r} is unknown: choose one of {get_args(Fill)}")
        for axis in changed(old_config.sizes(), new_config.sizes(), HEADS) if self.bias is not None else ():
            if not any(bias_of(axis)(axes) for axes, _ in describe(new_config).values()):
                raise GrowthError(
                    f"{self} sets the head's bias at new entries of {axis!r}, but no parameter of a "
                    f"{type(new_config).__name__} like this one is a bias over {axis!r}. Leave `bias` out: old logits "
                    "are kept without it."
                )

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Moments of old rows; those of new ones begin at zero."""
        maps = {axis: corner_map(old[axis], new[axis]) for axis in changed(old, new, self.axes)}
        return [Term("small", maps)]


def bias_of(axis: str) -> Callable[[Axes], bool]:
    """Parameters that are a bias over an axis.

    >>> bias_of("vocab")(Axes(("vocab",), ("write",))), bias_of("vocab")(Axes(("vocab", "embed"), ("read", "write")))
    (True, False)
    """
    return lambda axes: axes.names == (axis,) and axes.sides == ("write",)


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

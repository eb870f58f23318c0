"""Subsets: a student that is some layers of its teacher, a smaller vocabulary, units cut out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.axes import family
from stagejax.growth.maps import Map, select_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, plain
from stagejax.growth.term import Term

Rule = Callable[[int, int], Any]


def evenly(old: int, new: int) -> np.ndarray:
    """From the first to the last, evenly spaced: the layers of DistilBERT (arXiv 1910.01108), but for rounding.

    >>> evenly(12, 6)
    array([ 0,  2,  4,  7,  9, 11])
    """
    return np.round(np.linspace(0, old - 1, new)).astype(np.int64)


def top(old: int, new: int) -> np.ndarray:
    """The last ones.

    >>> top(6, 2)
    array([4, 5])
    """
    return np.arange(old - new, old)


def last_of_each(old: int, new: int) -> np.ndarray:
    """The last of every `old / new` in a row, so that a layer of a student ends where one of its teacher does.

    Raises:
      GrowthError: `new` does not divide `old`.

    >>> last_of_each(12, 6)
    array([ 1,  3,  5,  7,  9, 11])
    """
    if old % new:
        raise GrowthError(f"{new} of {old} entries, each the last of as many in a row: {new} must divide {old}")
    return np.arange(1, new + 1) * (old // new) - 1


@dataclass(frozen=True)
class Subset(Operator):
    """The chosen entries of some named axes, in this order; all other parameters as they are.

    An axis is named by its own name or by its family; its entries by indices, or by a rule (old, new) -> indices. A
    whole function of the old model is kept only in what the chosen entries compute alone: the logits of chosen tokens,
    the outputs of a shallower stack. Distillation starts here (DistilBERT, arXiv 1910.01108; trimmed vocabularies,
    arXiv 2010.05609).

    >>> Subset.of(layers=(0, 2), vocab=evenly).terms({"layers": 3, "vocab": 5}, {"layers": 2, "vocab": 3})[0].maps[
    ...     "vocab"
    ... ].write.index
    array([0, 2, 4])
    """

    keep: tuple[tuple[str, tuple[int, ...] | Rule], ...]

    shrinks = True

    @classmethod
    def of(cls, **axes: Sequence[int] | np.ndarray | Rule) -> Subset:
        """The subset of each axis by its name: `Subset.of(layers=(0, 2))`, `Subset.of(**{"layers.decoder": top})`."""
        return cls(tuple((name, kept if callable(kept) else tuple(map(int, kept))) for name, kept in axes.items()))

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term, with a map for every axis that is named.

        Raises:
          GrowthError: an axis that the model lacks, an entry it lacks, or as many entries as the new size does not say.
        """
        maps: dict[str, Map] = {}
        for axis, kept in self.keep:
            own = [name for name in plain(old) if axis in (name, family(name))]
            if not own:
                raise GrowthError(f"{self} chooses entries of {axis!r}, but the model has only the axes {list(old)}")
            for name in own:
                maps[name] = self._map(name, kept, old[name], new[name])
        return [Term("small", maps)]

    def _map(self, name: str, kept: tuple[int, ...] | Rule, old: int, new: int) -> Map:
        index = np.asarray(kept(old, new) if callable(kept) else kept, np.int64)
        if len(index) != new or not ((index >= 0) & (index < old)).all():
            shown = f"{index.tolist()[:6]}{' ...' if len(index) > 6 else ''}"
            raise GrowthError(
                f"{type(self).__name__}: {len(index)} entries {shown} of axis {name!r} are chosen, which has {old} and "
                f"shall have {new}. Set {name}={len(index)} in the new configuration, and choose among 0 to {old - 1}."
            )
        return select_map(index, old)

"""The size of heads: of queries and keys, whose products may be scaled by 1/√size and rotated, and of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax.axes import family
from stagejax.growth.draw import Draw, cyclic, seed_of
from stagejax.growth.linear import Gather
from stagejax.growth.maps import Map, copy_map, corner_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed, grown_entries
from stagejax.growth.regions import Leaves, both, empty, fresh, having
from stagejax.growth.term import Term

#: Axes of the entries that queries and keys share: `head_dim` where their products are scaled by 1/√size, `key_dim`
#: where they are not (T5).
KEYS = ("head_dim", "key_dim")


@dataclass(frozen=True)
class HeadSize(Operator):
    """Longer queries and keys (`head_dim`, `key_dim`) and values (`value_dim`); keeps the function.

    By zeros: keys are zero in the new entries, where queries are free, and elsewhere √(new/old) times as large, unless
    their products are not scaled; new value entries are free and read by zeros. Under rotary positions pair i of the
    old frequencies θ^(-2i/old) goes to pair i new/old, where the new frequencies are the same, so new must be a
    multiple of old. By copies: key entries are divided by their number of copies besides; rotary positions turn copies
    by other angles, so not under them.
    Gesmundo and Maile 2023 (arXiv 2308.06103), sections 3.3 and 3.4, for plain positions.
    """

    copies: bool = False
    draw: Draw = cyclic
    seed: int = 0

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Maps of queries, and others of keys; then what is free and what is zero."""
        axes = changed(old, new, (*KEYS, "value_dim"))
        if not self.copies:
            maps = {axis: corner_map(old[axis], new[axis]) for axis in axes}
            return [*small_terms(maps, old, new), *new_head_entries(maps, old, new)]
        maps = {axis: copy_map(self.draw(old[axis], new[axis], seed_of(self.seed, axis)), old[axis]) for axis in axes}
        return key_and_other_terms(maps, {a: divided(maps[a], rise(a, old, new)) for a in axes if is_key_axis(a)})

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse head sizes that rotary positions cannot keep."""
        check_head_size(self, old_config, new_config, self.copies)


def small_terms(maps: Mapping[str, Map], old: Sizes, new: Sizes) -> list[Term]:
    """The growing tree under these maps, but that old entries of keys go to where rotary positions find them."""
    slots = {axis: slots_map(old[axis], new[axis]) for axis in maps if is_key_axis(axis)}
    return key_and_other_terms({**maps, **slots}, {a: scaled_keys(m, rise(a, old, new)) for a, m in slots.items()})


def new_head_entries(maps: Mapping[str, Map], old: Sizes, new: Sizes) -> list[Term]:
    """Free entries of queries and values, and zero ones of keys and of what reads the values."""
    terms: list[Term] = []
    for axis in changed(old, new, KEYS):
        where = slots_map(old[axis], new[axis]).write.pattern().weight == 0
        terms.append(
            Term("init", region={axis: where}, leaves=both(having(axis, "write"), having("q_per_kv", "write")))
        )
    for axis in changed(old, new, ("value_dim",)):
        where = grown_entries(old[axis], new[axis])
        terms += [fresh(axis, where, "write"), empty(maps, axis, where, having(axis, "read"))]
    return terms


def key_and_other_terms(others: Mapping[str, Map], keys: Mapping[str, Map]) -> list[Term]:
    """One term, or two where keys have maps of their own."""
    if not keys:
        return [Term("small", others)]
    return [Term("small", others, leaves=_no_key(keys)), Term("small", {**others, **keys}, leaves=_key(keys))]


def slots_map(old: int, new: int) -> Map:
    """Pair i to pair i new/old where new is a multiple of old (in the half-split layout); else old entries first.

    >>> slots_map(4, 8).write.index[slots_map(4, 8).write.weight != 0], np.flatnonzero(slots_map(4, 8).write.weight)
    (array([0, 1, 2, 3]), array([0, 2, 4, 6]))
    """
    if new % old:
        return corner_map(old, new)
    filled = np.arange(new) % (new // old) == 0
    slots = Gather.of(np.arange(new) * old // new, old, filled)
    return Map(slots, slots, slots, slots, slots, tied=np.ones(new))


def rise(axis: str, old: Sizes, new: Sizes) -> float:
    """What makes up for the products' factor 1/√new in place of 1/√old: 1 where they have no such factor.

    >>> rise("head_dim", {"head_dim": 4}, {"head_dim": 16}), rise("key_dim", {"key_dim": 4}, {"key_dim": 16})
    (2.0, 1.0)
    """
    return (new[axis] / old[axis]) ** 0.5 if family(axis) == "head_dim" else 1.0


def scaled_keys(m: Map, factor: float) -> Map:
    """Keys so many times as large."""
    return replace(m, write=m.write.scaled(factor))


def divided(m: Map, factor: float) -> Map:
    """The same where products are summed over copies."""
    return replace(m, write=m.read.scaled(factor))


def check_head_size(operator: Operator, old_config: Any, new_config: Any, copies: bool) -> None:
    """Whether rotary positions, if the model has them, let these head sizes keep the function.

    Raises:
      GrowthError: they do not.
    """
    sizes = old_config.sizes(), new_config.sizes()
    if getattr(old_config, "positions", None) != "rotary":
        return
    for axis in changed(*sizes, ("head_dim",)):
        old, new = sizes[0][axis], sizes[1][axis]
        if copies:
            raise GrowthError(
                f"{operator} copies entries of {axis!r} ({old} -> {new}), but rotary positions turn each pair by an "
                "angle of its own, so copies do not keep the function. Use copies=False."
            )
        if new % old:
            raise GrowthError(
                f"{operator}: under rotary positions {axis!r} cannot go {old} -> {new}: the frequencies "
                f"theta^(-2i/{new}) contain those of {old} only if the new size is a multiple. Use {axis}={2 * old}."
            )


def is_key_axis(axis: str) -> bool:
    return family(axis) in KEYS


def _key(axes_of_keys: Mapping[str, Map]) -> Leaves:
    """Keys write `head_dim` (`key_dim`) but not `q_per_kv`."""
    return lambda axes: any(having(a, "write")(axes) for a in axes_of_keys) and not having("q_per_kv", "write")(axes)


def _no_key(axes_of_keys: Mapping[str, Map]) -> Leaves:
    key = _key(axes_of_keys)
    return lambda axes: not key(axes)

"""What a growth did, as small arrays to be stored beside what it made: every map of every term, with its weights.

    arrays = record(growth)              # names -> arrays, for one npz file
    growth = recorded(arrays, growth)    # the same growth by those very maps, whatever the operator would draw today
    difference(growth, arrays)           # "", or which axis's stored map is another one than the operator makes now

The maps of the way back are the inverses of these (`Undo`), so they are stored with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from stagejax.axes import Axes
from stagejax.growth.linear import Blend, Dense, Gather, Inverse, Linear
from stagejax.growth.maps import SIDES, Map
from stagejax.growth.operator import Growth, GrowthError, Operator, Sizes
from stagejax.growth.term import Term

Arrays = Mapping[str, np.ndarray]
KINDS: tuple[type, ...] = (Gather, Dense, Inverse, Blend)
VERSION = 1


def record(growth: Growth) -> dict[str, np.ndarray]:
    """The terms of a growth, and those by which its moments move, as arrays and one page of JSON under "page".

    Equal arrays are stored once. Parameters that a term concerns are written down by their axes.

    Raises:
      GrowthError: the operator cannot grow this pair of models.

    >>> from stagejax.growth import FPI
    >>> from stagejax.models import gpt
    >>> growth = Growth(FPI(), gpt(mlp=64), gpt(mlp=96))
    >>> recorded(record(growth), growth).terms[0].maps["mlp"].read.weight[[0, 40]]
    array([0.5, 1. ])
    """
    arrays: dict[str, np.ndarray] = {}
    known: dict[tuple[Any, ...], str] = {}

    def kept(array: Any) -> str:
        value = np.asarray(array)
        content = (value.dtype.str, value.shape, value.tobytes())
        if content not in known:
            known[content] = str(len(known))
            arrays[known[content]] = value
        return known[content]

    moved = _moment_terms(growth)
    page = {
        "version": VERSION,
        "operator": str(growth.operator),
        "born": sorted({str(growth.target[where][0]) for where in growth.born}),
        "terms": [_term(growth, term, kept) for term in growth.terms],
        "moment_terms": None if moved is None else [_term(growth, term, kept) for term in moved],
    }
    return arrays | {"page": np.frombuffer(json.dumps(page).encode(), np.uint8)}


@dataclass(frozen=True, eq=False)
class Recorded(Operator):
    """The terms that were stored with a growth, in the place of the operator that made them."""

    name: str
    kept: tuple[Term, ...]
    moved: tuple[Term, ...] | None  # of the moments; None: they cannot be moved
    drawn: frozenset[str]  # axes of parameters that the old model lacks

    shrinks: ClassVar[bool] = True

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The stored ones."""
        return list(self.kept)

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The stored ones.

        Raises:
          GrowthError: there are none.
        """
        if self.moved is None:
            raise GrowthError(f"{self} say nothing of moments: use moments='reset'")
        return list(self.moved)

    def born(self, axes: Axes) -> bool:
        """Those of which it is stored."""
        return str(axes) in self.drawn

    def grown(self, old_config: Any, new_config: Any) -> Any:
        """The configuration that is stored, which has the eps of its norms already."""
        return new_config

    def __str__(self) -> str:
        return f"the stored maps of {self.name}"


def recorded(arrays: Arrays, growth: Growth) -> Growth:
    """The growth between the same models by the stored maps.

    Raises:
      GrowthError: what is stored is of another version.
    """
    page = _page(arrays)
    terms, moved = (
        None if page[kind] is None else tuple(_term_of(entry, arrays) for entry in page[kind])
        for kind in ("terms", "moment_terms")
    )
    return Growth(Recorded(page["operator"], terms, moved, frozenset(page["born"])), growth.old, growth.config)


def difference(growth: Growth, arrays: Arrays) -> str:
    """Where the stored maps are not those that the operator makes now; empty where they are.

    Raises:
      GrowthError: what is stored is of another version.
    """
    now = record(growth)
    stored, made = _page(arrays), _page(now)
    for kind in ("terms", "moment_terms"):
        kept, own = stored[kind] or (), made[kind] or ()
        if len(kept) != len(own):
            return f"{growth.operator}: {len(kept)} {kind} are stored, and {len(own)} are made now"
        for i, (one, two) in enumerate(zip(kept, own, strict=True)):
            found = _apart(_expanded(one, arrays), _expanded(two, now), ())
            if found is not None:
                return f"{growth.operator}: {kind}[{i}], {_where(found)}: stored is another one than is made now"
    return ""


def _moment_terms(growth: Growth) -> Sequence[Term] | None:
    """None where the operator moves no moments, as learned maps do not."""
    try:
        return growth.moment_terms
    except GrowthError:
        return None


def _page(arrays: Arrays) -> dict[str, Any]:
    page = json.loads(arrays["page"].tobytes()) if "page" in arrays else {}
    if page.get("version") != VERSION:
        raise GrowthError(
            f"the stored maps of a growth have version {page.get('version')}, and this is version {VERSION}: compute "
            "the growth again, or read them with the stagejax that wrote them"
        )
    return page


def _term(growth: Growth, term: Term, kept: Callable[[Any], str]) -> dict[str, Any]:
    concerned = {str(axes) for axes, _ in growth.target.values() if term.concerns(axes)}
    return {
        "source": term.source,
        "coefficient": float(term.coefficient),
        "constant": float(term.constant),
        "matched": term.matched,
        **({"born": True} if term.born else {}),
        "axes": sorted(concerned),
        "maps": {axis: _map(m, kept) for axis, m in sorted(term.maps.items())},
        "region": term.region and {axis: {"array": kept(mask)} for axis, mask in sorted(term.region.items())},
    }


def _map(m: Map, kept: Callable[[Any], str]) -> dict[str, Any]:
    sides = {side: _linear(getattr(m, side), kept) for side in SIDES}
    return sides | {"tied": {"array": kept(m.tied)}, "eps": float(m.eps)}


def _linear(linear: Linear, kept: Callable[[Any], str]) -> dict[str, Any]:
    page: dict[str, Any] = {"kind": type(linear).__name__}
    for name, value in vars(linear).items():
        nested = isinstance(value, KINDS)
        page[name] = _linear(value, kept) if nested else value if name == "old" else {"array": kept(value)}
    return page


def _term_of(page: dict[str, Any], arrays: Arrays) -> Term:
    concerned = frozenset(page["axes"])
    entry = _expanded(page, arrays)
    maps = {axis: _map_of(m) for axis, m in entry["maps"].items()}
    plain = {name: entry[name] for name in ("source", "coefficient", "constant", "matched", "region")}
    plain["born"] = entry.get("born", False)
    return replace(Term(plain["source"], maps, leaves=lambda axes: str(axes) in concerned), **plain)


def _map_of(page: dict[str, Any]) -> Map:
    return Map(**{side: _linear_of(page[side]) for side in SIDES}, tied=page["tied"], eps=page["eps"])


def _linear_of(page: dict[str, Any]) -> Any:
    kind = next(kind for kind in KINDS if kind.__name__ == page["kind"])
    fields = {name: value for name, value in page.items() if name != "kind"}
    return kind(**{name: _linear_of(value) if isinstance(value, dict) else value for name, value in fields.items()})


def _expanded(page: Any, arrays: Arrays) -> Any:
    """A page with its arrays in it."""
    if not isinstance(page, dict):
        return page
    if set(page) == {"array"}:
        return arrays[page["array"]]
    return {name: _expanded(value, arrays) for name, value in page.items()}


def _apart(one: Any, two: Any, path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path to the first difference of two pages."""
    if isinstance(one, dict) and isinstance(two, dict):
        ways = (_apart(one.get(name), two.get(name), (*path, name)) for name in sorted({*one, *two}))
        return next((way for way in ways if way is not None), None)
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        same = one.shape == two.shape and one.dtype == two.dtype and one.tobytes() == two.tobytes()
        return None if same else path
    return None if type(one) is type(two) and one == two else path


def _where(path: Sequence[str]) -> str:
    """A path in a term's page in words."""
    if path[0] == "maps" and len(path) > 2:
        return f"axis {path[1]!r} where it is on side {path[2]!r}" if path[2] in SIDES else f"axis {path[1]!r}"
    return f"axis {path[1]!r} of its region" if path[0] == "region" and len(path) > 1 else " ".join(path)

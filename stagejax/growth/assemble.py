"""Model assembling: a deep network from modules that were trained apart, each in the place of one meta layer.

A module is a run of consecutive layers. The first one also owns what lies before the layers (embeddings), the last one
what lies behind them (the final norm and the head).

    hybrid = run.grow("1/start", meta, to=hybrid_config, operator=Incubate.at(1, modules=4, layers=3))
    run.grow("assembled", first, to=deep, operator=Assemble.of_hybrids(4), others={"module1": second, ...})
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.axes import Axes, layers_dim
from stagejax.growth.learngene import layers_of
from stagejax.growth.maps import Map, select_map
from stagejax.growth.operator import GrowthError, Operator, Sizes
from stagejax.growth.term import Term


@dataclass(frozen=True)
class Incubate(Operator):
    """Layer l is the meta model's layer `source[l]`, or freshly drawn where that is None: a module among placeholders.

    Where the first layer is fresh, so is all that lies before the layers; where the last is, all that lies behind.

    Reference: Ni et al. 2023 (Deep Incubation), https://arxiv.org/abs/2212.04129, section 3.2.

    >>> Incubate.at(1, modules=4, layers=3)
    Incubate(source=(0, None, None, None, 2, 3), ends=True)
    """

    source: tuple[int | None, ...]
    ends: bool = True  # whether modules own what lies before and behind the layers

    @classmethod
    def at(cls, place: int, *, modules: int, layers: int) -> Incubate:
        """A module of so many layers in the place of one layer of a meta model that has one for each module."""
        return cls((*range(place), *[None] * layers, *range(place + 1, modules)))

    @property
    def fresh(self) -> np.ndarray:
        """Which layers are the module's."""
        return np.array([layer is None for layer in self.source])

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """What the meta model has, the module's own layers, and its ends.

        Raises:
          GrowthError: the list has another length than the new model has layers, or names one that there is not.
        """
        maps: dict[str, Map] = {}
        for name in layers_of(old):
            if len(self.source) != new[name] or not all(0 <= s < old[name] for s in self.source if s is not None):
                raise GrowthError(
                    f"{self} says {len(self.source)} layers of {old[name]}, but the model grows {name} {old[name]} -> "
                    f"{new[name]}. Give {new[name]} entries, None or in [0, {old[name]})."
                )
            maps[name] = select_map([0 if s is None else s for s in self.source], old[name])
        own = dict.fromkeys(maps, self.fresh)
        first, last = (self.ends and self.source[end] is None for end in (0, -1))
        born = [rule for rule, owned in ((is_before, first), (is_behind, last)) if owned]
        return [
            Term("small", maps, leaves=lambda axes: not any(rule(axes) for rule in born)),
            Term("init", region=own),
            *(Term("init", leaves=rule) for rule in born),
        ]


@dataclass(frozen=True)
class Assemble(Operator):
    """Modules of equal depth from models that each hold one of them, in order: no permutation, no rescaling.

    The tree that grows holds module 0; those of the others are `others["module1"]`, `others["module2"]`, ...

    Args:
      places: at which layer of its own model each module begins.

    Reference: Ni et al. 2023 (Deep Incubation), https://arxiv.org/abs/2212.04129, section 3.1.

    >>> Assemble.of_hybrids(4)
    Assemble(places=(0, 1, 2, 3))
    """

    places: tuple[int, ...]

    @classmethod
    def of_hybrids(cls, modules: int) -> Assemble:
        """Modules from the hybrids of `Incubate.at`."""
        return cls(tuple(range(modules)))

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """A term for the layers of each module, and one for what lies behind them.

        Raises:
          GrowthError: the modules do not make up the new model.
        """
        modules = len(self.places)
        terms = [Term("small", {name: self._map(name, 0, old, new) for name in layers_of(old)}, leaves=is_not_behind)]
        for k in range(1, modules):
            maps = {name: self._map(name, k, old, new) for name in layers_of(old)}
            region = {name: np.arange(new[name]) // (new[name] // modules) == k for name in maps}
            terms.append(Term(f"module{k}", maps, region=region))
        return [*terms, Term(f"module{modules - 1}" if modules > 1 else "small", leaves=is_behind)]

    def _map(self, name: str, module: int, old: Sizes, new: Sizes) -> Map:
        """The layers of one module to their places; what stands elsewhere is of no matter."""
        own, rest = divmod(new[name], len(self.places))
        if rest or max(self.places) + own > old[name]:
            raise GrowthError(
                f"{self} puts {len(self.places)} modules together, the last from layer {max(self.places)} of "
                f"{old[name]} layers on, which does not make {name}={new[name]}. Set {name} to a multiple of "
                f"{len(self.places)}, at most {len(self.places) * (old[name] - max(self.places))}."
            )
        place = np.arange(new[name]) - module * own + self.places[module]
        return select_map(np.clip(place, 0, old[name] - 1), old[name])


@dataclass(frozen=True)
class OwnLayers:
    """What learns where a module stands among others: some layers, and the ends of the network where they reach them.

    Args:
      start, stop: the layers start..stop-1.
      layers: how many there are in all.
      ends: whether the ends learn at all.

    >>> OwnLayers(1, 4, layers=6)("blocks/mlp/up/kernel", Axes(("layers", "embed", "mlp"), ("stack", "read", "write")))
    slice(1, 4, None)
    """

    start: int
    stop: int
    layers: int
    ends: bool = True

    def __call__(self, path: str, axes: Axes) -> bool | slice:
        """A slice of stacked layers; of anything else whether it is an end of this module."""
        if layers_dim(axes) is not None:
            return slice(self.start, self.stop)
        return self.ends and (self.start == 0 if is_before(axes) else self.stop == self.layers)


def is_before(axes: Axes) -> bool:
    """Whether a parameter is outside the layers and writes the stream: tables, patches, class tokens."""
    return layers_dim(axes) is None and dict(zip(axes.names, axes.sides, strict=True)).get("embed") == "write"


def is_behind(axes: Axes) -> bool:
    """Whether a parameter is outside the layers and does not write the stream: the final norm and the head."""
    return layers_dim(axes) is None and not is_before(axes)


def is_not_behind(axes: Axes) -> bool:
    """The layers, and what lies before them."""
    return not is_behind(axes)

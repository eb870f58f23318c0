"""Learngene: a few layers, trained so that networks of any depth are made of them.

While the learngene is trained, an auxiliary network is made of it in every step, by the same operator that later makes
the descendants: gradients flow back through the growth, so a layer's gradient is the sum over the places it fills.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx

from stagejax.axes import family
from stagejax.growth.apply import grow
from stagejax.growth.depth import adjacent
from stagejax.growth.maps import Map, dense_map, select_map
from stagejax.growth.operator import Growth, GrowthError, Operator, Sizes, plain
from stagejax.growth.term import LAYERS, Term


@dataclass(frozen=True)
class Expand(Operator):
    """Layer l is a copy of learngene layer `source[l]`; norms included, all else as it is.

    Reference: Xia et al. 2024 (SWS), https://arxiv.org/abs/2404.16897.

    >>> Expand.by_counts(2, 1, 2)
    Expand(source=(0, 0, 1, 2, 2))
    >>> Expand.evenly(5, 12).source
    (0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4)
    """

    source: tuple[int, ...]

    shrinks = True  # a descendant may be shallower than the learngene has layers

    @classmethod
    def by_counts(cls, *counts: int) -> Expand:
        """Learngene layer s, `counts[s]` times in a row."""
        return cls(tuple(np.repeat(np.arange(len(counts)), counts).tolist()))

    @classmethod
    def evenly(cls, stages: int, layers: int) -> Expand:
        """Every layer floor(layers / stages) times, the lowest once more where it does not come out even."""
        return cls(tuple(adjacent(stages, layers).tolist()))

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term: the `layers` axis by the list.

        Raises:
          GrowthError: the list has another length than the new model has layers, or names one that there is not.
        """
        return [Term("small", {name: self._map(old[name], new[name]) for name in layers_of(old)})]

    def _map(self, old: int, new: int) -> Map:
        if len(self.source) != new or max(self.source) >= old or min(self.source) < 0:
            raise GrowthError(
                f"{self} makes {len(self.source)} layers of the layers 0 to {max(self.source)}, but the model grows "
                f"layers {old} -> {new}. Give {new} entries in [0, {old})."
            )
        return select_map(self.source, old)


@dataclass(frozen=True)
class LinearExpansion(Operator):
    """Layer l of L is θ_l = θ_A + (l / L) θ_B, l = 1 ... L, of a learngene of the two layers θ_A and θ_B.

    Reference: Xia et al. 2023 (TLEG), https://arxiv.org/abs/2312.05614.

    >>> LinearExpansion().terms({"layers": 2}, {"layers": 4})[0].maps["layers"].stack.matrix[:, 1]
    array([0.25, 0.5 , 0.75, 1.  ])
    """

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term: a matrix on the `layers` axis.

        Raises:
          GrowthError: the learngene has another number of layers than two.
        """
        maps = {}
        for name in layers_of(old):
            if old[name] != 2:
                raise GrowthError(
                    f"{self} needs a learngene of two layers, but {name}={old[name]}. Set {name}=2 in the old model."
                )
            place = np.arange(1, new[name] + 1) / new[name]
            mixing = np.stack([np.ones_like(place), place], axis=1)
            maps[name] = dense_map(mixing, mixing)
        return [Term("small", maps)]


def layers_of(sizes: Sizes) -> list[str]:
    """The names of the axes along which layers are stacked."""
    return [name for name in plain(sizes) if family(name) == LAYERS]


@dataclass(frozen=True)
class AuxNet:
    """The configuration of `network`, whose parameters are those of `learngene`, expanded in every forward pass.

    It has the parameters, names and axes of the learngene, so growth starts from it as from the learngene; and it
    computes, bit for bit, what the network does that the operator would make of it.

    Args:
      learngene, network: configurations of one architecture in two sizes, without variables beside parameters.
      operator: makes the network of the learngene.
    """

    learngene: Any
    operator: Operator
    network: Any

    def sizes(self) -> dict[str, int]:
        """The sizes of the learngene."""
        return self.learngene.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `AuxiliaryNetwork`."""
        return AuxiliaryNetwork(self, self.learngene.build(rngs))


class AuxiliaryNetwork(nnx.Module):
    """A network that is made of its learngene at every call; `AuxNet` is its configuration."""

    def __init__(self, config: AuxNet, learngene: nnx.Module) -> None:
        self.config = config
        for name, part in vars(learngene).items():  # under their own names, so that parameters keep their paths
            if isinstance(part, nnx.Module | nnx.Variable):
                setattr(self, name, part)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What the expanded network gives."""
        return self.expanded()(*inputs, **options)

    def expanded(self) -> Any:
        """The network, with the parameters that the operator makes of those here."""
        config = self.config
        growth = Growth(config.operator, config.learngene, config.network)
        graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: growth.config.build(nnx.Rngs(0))), nnx.Param, ...)
        if jax.tree.leaves(rest):
            raise GrowthError(
                f"{config.operator}: {type(config.network).__name__} keeps variables beside its parameters, which no "
                "auxiliary network can share. Use norms without running statistics."
            )
        return nnx.merge(graphdef, grow(growth, nnx.to_pure_dict(nnx.state(self, nnx.Param))), rest)

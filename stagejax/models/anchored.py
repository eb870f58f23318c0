"""Models that remember where their parameters began, so that a step can say how far they have come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flax import nnx

from stagejax.axes import path_name


class Start(nnx.Variable):
    """The first value of a parameter. No gradient trains it, and a hand-over carries it with the other variables."""


@dataclass(frozen=True)
class Anchored:
    """The model of `base` with a copy of its first parameters, by path, in its attribute `start`.

    Nothing that the model computes changes. Stages that carry the variables (`Handover(rest="carry")`) keep the start
    of the first of them.

    >>> from stagejax.models.shallow import Shallow
    >>> model = Anchored(Shallow(features=4, mlp=6, outputs=2)).build(nnx.Rngs(0))
    >>> sorted(model.start)
    ['down/bias', 'down/kernel', 'up/bias', 'up/kernel']
    """

    base: Any  # config of a model

    def sizes(self) -> dict[str, int]:
        """Those of the base."""
        return self.base.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The base and its start."""
        model = self.base.build(rngs)
        leaves = nnx.to_flat_state(nnx.state(model, nnx.Param))
        model.start = nnx.Dict({path_name(path): _copied(leaf) for path, leaf in leaves})
        return model


def _copied(leaf: nnx.Variable) -> Start:
    return Start(leaf.get_value().copy(), axes=leaf.get_metadata()["axes"], power=1)

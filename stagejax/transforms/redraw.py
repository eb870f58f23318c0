"""Other first values for a model: the kernels of its hidden layers drawn anew."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx

from stagejax.axes import Axes
from stagejax.transforms.reparameterize import linear_maps, parameters_of, split_sizes


def bound_preserving(fan_in: int) -> float:
    """sqrt(2 pi) / fan_in: a normal kernel with it neither widens nor narrows intervals through a ReLU, on average.

    fan_in E|w| / 2 = 1, as half of an interval around 0 survives the ReLU. Shi et al. 2021,
    https://arxiv.org/abs/2103.17268, section 3.1.

    >>> round(bound_preserving(100), 4)
    0.0251
    """
    return math.sqrt(2 * math.pi) / fan_in


@dataclass(frozen=True)
class Redrawn:
    """The model of `base`, whose chosen kernels start normal with standard deviation `std(fan_in)`.

    >>> from stagejax.models.vision.cnn import CNN
    >>> model = Redrawn(CNN(), bound_preserving).build(nnx.Rngs(0))
    >>> bool(abs(model.convolutions["2"].conv.kernel[...].std() / bound_preserving(800) - 1) < 0.05)
    True
    """

    base: Any  # config of a model
    std: Callable[[int], float]
    chosen: Callable[[str, Axes], bool] = linear_maps

    def sizes(self) -> dict[str, int]:
        """Those of the base."""
        return self.base.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The base with its other initial values."""
        model = self.base.build(rngs)
        for _, _, leaf in parameters_of(model, self.chosen):
            _, reads, _ = split_sizes(leaf.get_metadata()["axes"], leaf[...].shape)
            drawn = jax.random.normal(rngs.params(), leaf[...].shape, leaf[...].dtype)
            leaf[...] = self.std(math.prod(reads.values())) * drawn
        return model

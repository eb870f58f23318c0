"""Features of views of one image as what is there, plus what a place inside a view adds, plus a rest.

Letters: N patches, T places inside a view, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.vision.neural_field import NeuralField


@dataclass(frozen=True)
class Separation:
    """features of a patch = F(its place in the image) + G(its place in the view) + h(the features).

    F is a neural field, G a table, h a network of `features / 4` hidden units in two layers. Only F may depend on what
    the image shows, and it does not know where in a view that is seen.

    Args:
      field: F; its `features` are D.
      places: patches of a view.
      std: standard deviation of the initial G.

    Reference: Yang et al. 2024 (DVT), https://arxiv.org/abs/2401.02957, section 4.1.

    >>> Separation(NeuralField(features=8), places=16).sizes()["residual"]
    2
    """

    field: NeuralField
    places: int
    std: float = 0.02

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        hidden = max(1, self.field.features // 4)
        return self.field.sizes() | {"position": self.places, "residual": hidden, "residual_out": hidden}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Separated` with its initial parameters, drawn from `rngs.params`."""
        return built(Separated, self, rngs.params())


class Separated(nnx.Module):
    """The module of `Separation`: `semantics` F, `artifact` G and `residual` h.

    >>> model = Separation(NeuralField(features=8), places=16).build(nnx.Rngs(0))
    >>> model.semantics(jax.numpy.zeros((5, 2))).shape, model.at(jax.numpy.arange(5)).shape
    ((5, 8), (5, 8))
    """

    def __init__(self, config: Separation, rngs: nnx.Rngs) -> None:
        self.config, features = config, config.field.features
        self.semantics = config.field.build(rngs)
        drawn = config.std * jax.random.normal(rngs.params(), (config.places, features))
        self.artifact = axes.param(drawn, reads=("position",), writes=("feature",))
        self.residual = Residual(features, config.sizes()["residual"], rngs)

    def at(self, places_N: Int[Array, " N"]) -> Float[Array, "N D"]:
        """G at places inside the view."""
        return self.artifact[...][places_N]


class Residual(nnx.Module):
    """h: two hidden layers with ReLU, from features to features. Kernels begin with the variance 1 / (3 inputs)."""

    def __init__(self, features: int, hidden: int, rngs: nnx.Rngs) -> None:
        reads, first, second = {"feature": features}, {"residual": hidden}, {"residual_out": hidden}
        self.up = Dense(reads, first, std=(3 * features) ** -0.5, bias=True, rngs=rngs)
        self.across = Dense(first, second, std=(3 * hidden) ** -0.5, bias=True, rngs=rngs)
        self.down = Dense(second, reads, std=(3 * hidden) ** -0.5, bias=True, rngs=rngs)

    def __call__(self, features_ND: Float[Array, "N D"]) -> Float[Array, "N D"]:
        return self.down(jax.nn.relu(self.across(jax.nn.relu(self.up(features_ND)))))

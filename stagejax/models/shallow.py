"""A network of one hidden layer."""

from __future__ import annotations

from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from stagejax.models.linear import Dense
from stagejax.models.masks import Masks, masked


@dataclass(frozen=True)
class Shallow:
    """`z = v . logistic(w . x + b) + c`.

    >>> Shallow(features=13, mlp=200, outputs=3).sizes()
    {'features': 13, 'mlp': 200, 'classes': 3}
    """

    features: int  # of the input
    mlp: int  # hidden units
    outputs: int
    empty: bool = False  # whether v starts at zero: no unit is heard yet

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {"features": self.features, "mlp": self.mlp, "classes": self.outputs}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ShallowNetwork` with its initial parameters, drawn from `rngs.params`."""
        return ShallowNetwork(self, rngs)


class ShallowNetwork(nnx.Module):
    """The module of `Shallow`. A mask over `mlp` switches units off.

    >>> model = Shallow(features=4, mlp=6, outputs=2).build(nnx.Rngs(0))
    >>> model(jax.numpy.zeros((3, 4))).shape
    (3, 2)
    """

    def __init__(self, config: Shallow, rngs: nnx.Rngs) -> None:
        self.config = c = config
        self.up = Dense({"features": c.features}, {"mlp": c.mlp}, std=c.features**-0.5, bias=True, rngs=rngs)
        std = 0.0 if c.empty else c.mlp**-0.5
        self.down = Dense({"mlp": c.mlp}, {"classes": c.outputs}, std=std, bias=True, rngs=rngs)

    def __call__(
        self, x_BD: Float[Array, "B D"], key: PRNGKeyArray | Array | None = None, masks: Masks | None = None
    ) -> Float[Array, "B K"]:
        return self.down(masked(jax.nn.sigmoid(self.up(x_BD)), masks, ("mlp",)))

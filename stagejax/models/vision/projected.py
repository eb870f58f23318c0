"""A classifier's network with a projection head in the place of the classes, and a queue of features beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.build import built
from stagejax.models.convnet import ConvNet, ResNet
from stagejax.models.linear import Dense
from stagejax.models.vision.feature_queue import FeatureQueue


@dataclass(frozen=True)
class Projected:
    """z = g(f(x)) / |g(f(x))|: a network f, a head g of two layers, and a queue of Q features z.

    Args:
      net: its own head, of `net.classes` outputs, is the first layer of g.
      width: coordinates of z.
      queue: Q.

    Reference: the head is that of Chen et al. 2020 (SimCLR), https://arxiv.org/abs/2002.05709, section 2.1.

    >>> Projected(ConvNet(classes=64), width=32, queue=256).sizes()["projection"]
    32
    """

    net: ConvNet | ResNet = field(default_factory=ConvNet)
    width: int = 64
    queue: int = 2048

    def __post_init__(self) -> None:
        if self.width < 1 or self.queue < 1:
            raise ValueError(f"width={self.width}, queue={self.queue}: give at least 1 of each")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {**self.net.sizes(), "projection": self.width, "queue": self.queue}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `ProjectedNetwork` with its initial parameters, drawn from `rngs.params`, and an empty queue."""
        return built(ProjectedNetwork, self, rngs.params())


class ProjectedNetwork(nnx.Module):
    """The module of `Projected`. Letters: B batch, D projection, E features.

    >>> model = Projected(ConvNet(channels=(4, 8)), width=5, queue=7).build(nnx.Rngs(0))
    >>> z = model(jax.numpy.ones((2, 28, 28, 1)))
    >>> z.shape, bool(jax.numpy.allclose((z**2).sum(1), 1))
    ((2, 5), True)
    """

    def __init__(self, config: Projected, rngs: nnx.Rngs) -> None:
        self.config = config
        self.net = config.net.build(rngs)
        hidden = config.net.classes
        self.last = Dense({"classes": hidden}, {"projection": config.width}, std=hidden**-0.5, bias=False, rngs=rngs)
        self.queue = FeatureQueue(config.queue, config.width)

    def __call__(self, images_BYXP: Float[Array, "B Y X P"], key: Any = None) -> Float[Array, "B D"]:
        z = self.last(jax.nn.relu(self.net(images_BYXP, key=key)))
        return z * jax.lax.rsqrt((z**2).sum(-1, keepdims=True) + 1e-12)

    def features(self, images_BYXP: Float[Array, "B Y X P"], key: Any = None) -> Float[Array, "B E"]:
        """What the network gives before any head."""
        return self.net.features(images_BYXP, key)

"""Hyperbolic space as the Lorentz model, and graph networks that live in it.

Points are `x = (x_0, ..., x_n)` with `<x, x> = -x_0² + x_1² + ... + x_n² = -1` and x_0 > 0; the axis `embed` has all
n + 1 coordinates, time first. A linear map acts on all of them, and the layer puts its output back on the manifold.

Letters: N nodes, E edges (one for each direction and node itself), F features, D coordinates.
Reference: Chen et al. 2022, Fully Hyperbolic Neural Networks, https://arxiv.org/abs/2105.14686.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.linear import Dense

_TINY = 1e-12


def inner(x: Float[Array, "*#batch D"], y: Float[Array, "*#batch D"]) -> Float[Array, "*#batch"]:
    """`<x, y> = -x_0 y_0 + x_1 y_1 + ... + x_n y_n`.

    >>> inner(jnp.array([1.0, 0.0]), jnp.array([1.0, 0.0]))
    Array(-1., dtype=float32)
    """
    return jnp.sum(x[..., 1:] * y[..., 1:], -1) - x[..., 0] * y[..., 0]


def squared_distance(x: Float[Array, "*#batch D"], y: Float[Array, "*#batch D"]) -> Float[Array, "*#batch"]:
    """The squared Lorentzian distance `<x - y, x - y> = -2 - 2 <x, y>`, 0 for equal points.

    >>> x = exp0(jnp.array([1.0]))
    >>> abs(float(squared_distance(x, x))) < 1e-5
    True
    """
    return -2 - 2 * inner(x, y)


def distance(x: Float[Array, "*#batch D"], y: Float[Array, "*#batch D"]) -> Float[Array, "*#batch"]:
    """The length of the geodesic, `arcosh(-<x, y>)`.

    >>> distance(exp0(jnp.array([0.0, 0.0])), exp0(jnp.array([0.6, 0.8]))).round(4)
    Array(1., dtype=float32)
    """
    return jnp.arccosh(jnp.maximum(-inner(x, y), 1.0))


def project(space: Float[Array, "*batch n"]) -> Float[Array, "*batch D"]:
    """The point with these space coordinates: `x_0 = sqrt(1 + |x|²)` before them."""
    return jnp.concatenate([jnp.sqrt(1 + jnp.sum(space**2, -1, keepdims=True)), space], -1)


def exp0(v: Float[Array, "*batch n"]) -> Float[Array, "*batch D"]:
    """The exponential map at the origin: `(cosh |v|, sinh |v| v / |v|)`.

    >>> inner(exp0(jnp.array([0.3, -2.0])), exp0(jnp.array([0.3, -2.0]))).round(4)
    Array(-1., dtype=float32)
    """
    norm = jnp.sqrt(jnp.sum(v**2, -1, keepdims=True) + _TINY)
    return project(jnp.sinh(norm) * v / norm)


def log0(x: Float[Array, "*batch D"]) -> Float[Array, "*batch n"]:
    """The inverse of `exp0`: `arsinh(|x|) x / |x|` of the space coordinates.

    >>> log0(exp0(jnp.array([0.5, -2.0]))).round(4)
    Array([ 0.5, -2. ], dtype=float32)
    """
    norm = jnp.sqrt(jnp.sum(x[..., 1:] ** 2, -1, keepdims=True) + _TINY)
    return jnp.arcsinh(norm) * x[..., 1:] / norm


def exp(x: Float[Array, "*batch D"], v: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
    """The exponential map at x of a tangent v (`<x, v> = 0`): `cosh(|v|) x + sinh(|v|) v / |v|`, `|v|² = <v, v>`."""
    norm = jnp.sqrt(jnp.maximum(inner(v, v), 0) + _TINY)[..., None]
    return jnp.cosh(norm) * x + jnp.sinh(norm) * v / norm


def log(x: Float[Array, "*batch D"], y: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
    """The tangent at x that `exp` sends to y: `distance(x, y) u / |u|` with `u = y + <x, y> x`."""
    u = y + inner(x, y)[..., None] * x
    return distance(x, y)[..., None] * u / jnp.sqrt(jnp.maximum(inner(u, u), 0) + _TINY)[..., None]


def centroid(
    x_ND: Float[Array, "N D"], senders_E: Int[Array, " E"], receivers_E: Int[Array, " E"]
) -> Float[Array, "N D"]:
    """For each node the point of least mean squared distance to those that send to it: `sum x / sqrt(-<sum x, sum x>)`.

    Every node needs a sender, such as itself.

    >>> x = exp0(jnp.array([[1.0], [-1.0]]))
    >>> centroid(x, jnp.array([0, 1, 1]), jnp.array([0, 0, 1])).round(2)[0]
    Array([1., 0.], dtype=float32)
    """
    total_ND = jax.ops.segment_sum(x_ND[senders_E], receivers_E, x_ND.shape[0])
    return total_ND / jnp.sqrt(jnp.maximum(-inner(total_ND, total_ND), _TINY))[:, None]


class LorentzLinear(nnx.Module):
    """A kernel on all coordinates, then back to the manifold (section 3.2 of the reference).

    `z = W f(x) + b`; time `t = e^scale σ(z_0) + 1.1`; space `sqrt(t² - 1) z_1..n / |z_1..n|`. The kernel is an ordinary
    one, so whatever is done to kernels (low rank, spectra) can be done to it.
    """

    def __init__(self, reads: str, features: int, embed: int, *, activate: bool, rngs: nnx.Rngs) -> None:
        self.activate = activate
        writes = "embed_out" if reads == "embed" else "embed"
        self.dense = Dense({reads: features}, {writes: embed}, std=features**-0.5, bias=True, rngs=rngs)
        self.scale = axes.param(jnp.asarray(1.0))  # e^1: times from 1.1 to 3.8 at first

    def __call__(self, x: Float[Array, "*batch F"]) -> Float[Array, "*batch D"]:
        z = self.dense(jax.nn.relu(x) if self.activate else x)
        time = jnp.exp(self.scale[...]) * jax.nn.sigmoid(z[..., :1]) + 1.1
        norm = jnp.sqrt(jnp.sum(z[..., 1:] ** 2, -1, keepdims=True) + _TINY)
        return jnp.concatenate([time, jnp.sqrt(time**2 - 1) * z[..., 1:] / norm], -1)


@dataclass(frozen=True)
class LorentzGCN:
    """A graph convolutional network in hyperbolic space, for classes of nodes and for links.

    >>> model = LorentzGCN(features=3, classes=2, embed=4).build(nnx.Rngs(0))
    >>> senders, receivers = jnp.array([0, 1, 0, 1]), jnp.array([1, 0, 0, 1])
    >>> model(jnp.ones((2, 3)), senders, receivers).shape
    (2, 4)
    """

    features: int  # numbers a node comes with
    classes: int
    embed: int = 16  # coordinates, time included
    layers: int = 2

    def sizes(self) -> dict[str, int]:
        """The named axes; the input has one coordinate more than features."""
        return {"features": self.features + 1, "embed": self.embed, "embed_out": self.embed, "classes": self.classes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `GraphNetwork`."""
        return GraphNetwork(self, rngs)


class GraphNetwork(nnx.Module):
    """Node features to points: each layer a `LorentzLinear`, then the `centroid` of the neighbours."""

    def __init__(self, config: LorentzGCN, rngs: nnx.Rngs) -> None:
        c = config
        first = LorentzLinear("features", c.features + 1, c.embed, activate=False, rngs=rngs)
        others = [LorentzLinear("embed", c.embed, c.embed, activate=True, rngs=rngs) for _ in range(c.layers - 1)]
        self.layers = nnx.List([first, *others])
        drawn = 0.1 * jax.random.normal(rngs.params(), (c.classes, c.embed - 1))
        self.centres = axes.param(drawn, reads=("classes",), writes=("space",))
        self.bias = axes.param(jnp.zeros(c.classes), writes=("classes",))

    def __call__(
        self,
        features_NF: Float[Array, "N F"],
        senders_E: Int[Array, " E"],
        receivers_E: Int[Array, " E"],
        key: Any = None,
    ) -> Float[Array, "N D"]:
        """The point of every node."""
        x_ND = exp0(features_NF)
        for layer in self.layers:
            x_ND = centroid(layer(x_ND), senders_E, receivers_E)
        return x_ND

    def logits(self, x_ND: Float[Array, "N D"]) -> Float[Array, "N C"]:
        """Of each class: minus the squared distance to its centre, plus a bias."""
        centres_CD = exp0(self.centres[...])
        return -squared_distance(x_ND[:, None], centres_CD[None]) + self.bias[...]

    def links(self, x_ND: Float[Array, "N D"], pairs_P2: Int[Array, "P 2"]) -> Float[Array, " P"]:
        """Of each pair of nodes: the logit of a link."""
        return link_logit(x_ND[pairs_P2[:, 0]], x_ND[pairs_P2[:, 1]])


def link_logit(
    x: Float[Array, "*#batch D"], y: Float[Array, "*#batch D"], *, radius: float = 2.0, temperature: float = 1.0
) -> Float[Array, "*#batch"]:
    """The logit of a link by Fermi and Dirac: `(radius - squared distance) / temperature`.

    Reference: Chami et al. 2019, https://arxiv.org/abs/1910.12933, section 4.
    """
    return (radius - squared_distance(x, y)) / temperature

"""Layers on the graph of a circuit's pins: messages gathered in several ways, net layers, attention to cells' tables.

A graph is a sample of `data.Circuits`: pins, nets (driver, sink) and arcs (input, output of a cell).
Letters: P pins, E nets, A arcs, M messages, D hidden units, L tables of an arc, H heads.
References: Zhong et al. 2024, PreRoutGNN, https://arxiv.org/abs/2403.00012; Guo et al. 2022, A Timing Engine Inspired
Graph Neural Network Model for Pre-Routing Slack Prediction (TimingGCN), DAC.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.linear import Dense

Graph = Mapping[str, Any]
#: Slews, and loads, of a table.
POINTS = 7


class Layers(nnx.Module):
    """Linear maps with LeakyReLU(0.2) between them.

    >>> Layers((3, 8, 2), rngs=nnx.Rngs(0))(jnp.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, sizes: Sequence[int], *, rngs: nnx.Rngs) -> None:
        self.maps = nnx.List(
            [
                Dense({"inputs": m}, {"units": n}, std=m**-0.5, bias=True, rngs=rngs)
                for m, n in itertools.pairwise(sizes)
            ]
        )

    def __call__(self, *parts: Float[Array, "... _"]) -> Float[Array, "... m"]:
        """Of the parts side by side."""
        x = jnp.concatenate(parts, -1)
        for i, linear in enumerate(self.maps):
            x = linear(jax.nn.leaky_relu(x, 0.2) if i else x)
        return x


class Between(nnx.Module):
    """`Layers` of [a sender, its receiver, features of the edge], the first of them done for each pin, not each edge.

    >>> between = Between(3, 2, (8, 5), rngs=nnx.Rngs(0))
    >>> ends = between.ends(jnp.ones((4, 3)))
    >>> between(ends, jnp.array([0, 1]), jnp.array([3, 3]), jnp.ones((2, 2))).shape
    (2, 5)
    """

    def __init__(self, pin: int, edge: int, sizes: Sequence[int], *, rngs: nnx.Rngs) -> None:
        std, (first, *_) = (2 * pin + edge) ** -0.5, sizes
        self.pins = Dense({"inputs": pin}, {"ends": 2, "units": first}, std=std, bias=False, rngs=rngs)
        self.edge = Dense({"inputs": edge}, {"units": first}, std=std, bias=True, rngs=rngs)
        self.rest = Layers(sizes, rngs=rngs)

    def ends(self, x: Float[Array, "P n"]) -> Float[Array, "P 2 D"]:
        """What each pin adds as a sender, and as a receiver."""
        return self.pins(x)

    def __call__(
        self,
        ends: Float[Array, "P 2 D"],
        senders: Int[Array, " M"],
        receivers: Int[Array, " M"],
        edge: Float[Array, "M n"],
    ) -> Float[Array, "M m"]:
        return self.rest(jax.nn.leaky_relu(ends[senders, 0] + ends[receivers, 1] + self.edge(edge), 0.2))


def largest(messages: Float[Array, "M D"], receivers: Int[Array, " M"], pins: int) -> Float[Array, "P D"]:
    """The largest message of each pin, coordinate by coordinate; 0 where none arrives.

    >>> largest(jnp.array([[-1.0], [-3.0]]), jnp.array([1, 1]), 2).ravel()
    Array([ 0., -1.], dtype=float32)
    """
    found = jax.ops.segment_max(messages, receivers, pins)
    return jnp.where(jnp.isfinite(found), found, 0.0)


class PinConv(nnx.Module):
    """`MLP([x, mean, sum, min, max])` of gated messages; `MLP([x_src, x_dst, e])` gives a gate and four of them."""

    def __init__(self, inputs: int, edges: int, hidden: int, outputs: int, message: int, *, rngs: nnx.Rngs) -> None:
        self.message = message
        self.send = Between(inputs, edges, (hidden, 1 + 4 * message), rngs=rngs)
        self.read = Layers((inputs + 4 * message, hidden, outputs), rngs=rngs)

    def __call__(
        self, x: Float[Array, "P n"], edges: Float[Array, "M e"], senders: Int[Array, " M"], receivers: Int[Array, " M"]
    ) -> Float[Array, "P m"]:
        sent = self.send(self.send.ends(x), senders, receivers, edges)
        gated, pins = jax.nn.sigmoid(sent[:, :1]) * sent[:, 1:], len(x)
        added, compared = jnp.split(gated, 2, -1)
        count = jax.ops.segment_sum(jnp.ones(len(receivers)), receivers, pins)[:, None]
        mean, total = jnp.split(jax.ops.segment_sum(added, receivers, pins), 2, -1)
        both_sides = jnp.where(jnp.arange(2 * self.message) < self.message, -1.0, 1.0)
        extremes = both_sides * largest(both_sides * compared, receivers, pins)  # the least, then the largest
        return self.read(x, mean / jnp.maximum(count, 1), total, extremes)


class PinStack(nnx.Module):
    """`PinConv`s in the manner of GCNII: all but the first read [h, x_0]; all but first and last add h.

    Reference: Chen et al. 2020, https://arxiv.org/abs/2007.02133.
    """

    def __init__(
        self, inputs: int, edges: int, hidden: int, outputs: int, layers: int, message: int = 12, *, rngs: nnx.Rngs
    ) -> None:
        reads = [inputs] + [hidden + inputs] * (layers - 1)
        writes = [hidden] * (layers - 1) + [outputs]
        sizes = zip(reads, writes, strict=True)
        self.layers = nnx.List([PinConv(n, edges, hidden, m, message, rngs=rngs) for n, m in sizes])

    def __call__(
        self, x: Float[Array, "P n"], edges: Float[Array, "M e"], senders: Int[Array, " M"], receivers: Int[Array, " M"]
    ) -> Float[Array, "P m"]:
        first, *hidden, last = self.layers
        h = first(x, edges, senders, receivers)
        for layer in hidden:
            h = h + layer(jnp.concatenate([h, x], -1), edges, senders, receivers)
        return last(jnp.concatenate([h, x], -1), edges, senders, receivers)


def both_ways(graph: Graph) -> tuple[Float[Array, "M 12"], Int[Array, " M"], Int[Array, " M"]]:
    """The homogeneous graph: every net and arc as an edge, and again in reverse with its features negated.

    Features of an edge: which of the two it is (2), the offset of a net (2), the mean of each table of an arc (8).
    """
    nets, arcs = graph["nets"], graph["arcs"]
    means = graph["tables"][..., 1 + 2 * POINTS :].mean(-1)[graph["kinds"]]
    kind = [jnp.broadcast_to(jnp.eye(2)[i], (len(own), 2)) for i, own in enumerate((nets, arcs))]
    of_nets = jnp.concatenate([kind[0], graph["offset"], jnp.zeros((len(nets), means.shape[1]))], -1)
    of_arcs = jnp.concatenate([kind[1], jnp.zeros((len(arcs), 2)), means], -1)
    ahead, edges = jnp.concatenate([of_nets, of_arcs]), jnp.concatenate([nets, arcs])
    return (
        jnp.concatenate([ahead, -ahead]),
        jnp.concatenate([edges[:, 0], edges[:, 1]]),
        jnp.concatenate([edges[:, 1], edges[:, 0]]),
    )


class NetConv(nnx.Module):
    """One layer along nets: sinks read their driver; drivers the sum and maximum of gated messages of their sinks."""

    def __init__(self, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.ahead = Between(hidden, 2, (hidden, hidden), rngs=rngs)
        self.back = Between(hidden, 2, (hidden, 1 + 2 * hidden), rngs=rngs)
        self.read = Layers((3 * hidden, hidden, hidden), rngs=rngs)

    def __call__(self, x: Float[Array, "P D"], graph: Graph) -> Float[Array, "P D"]:
        (drivers, sinks), pins = graph["nets"].T, len(x)
        to_sinks = self.ahead(self.ahead.ends(x), drivers, sinks, graph["offset"])
        to_drivers = self.back(self.back.ends(x), sinks, drivers, -graph["offset"])
        one, other = jnp.split(jax.nn.sigmoid(to_drivers[:, :1]) * to_drivers[:, 1:], 2, -1)
        read = self.read(x, jax.ops.segment_sum(one, drivers, pins), largest(other, drivers, pins))
        return jnp.where(graph["pins"][:, 1:2] > 0, read, jax.ops.segment_sum(to_sinks, sinks, pins))


@jax.custom_jvp
def tilted_mean(
    slopes: Float[Array, "*n H"], keys: Float[Array, "*n j"], values: Float[Array, "*n j"]
) -> Float[Array, "*n H"]:
    """The mean of the values by the weights `softmax(slope key)`, for each slope.

    Its derivative by the slope is the covariance of keys and values under these weights. Keys and values are data:
    nothing is differentiated by them.

    >>> tilted_mean(jnp.array([0.0, 100.0]), jnp.array([1.0, 2.0]), jnp.array([3.0, 5.0]))
    Array([4., 5.], dtype=float32)
    """
    return _tilted(slopes, keys, values)[0]


def _tilted(slopes: Array, keys: Array, values: Array) -> tuple[Array, Array]:
    """The mean, and the covariance; a loop over keys, with derivative three times as fast on CPUs as a softmax."""
    slopes, keys, values = (jnp.moveaxis(part, -1, 0) for part in (slopes, keys, values))
    highest = jnp.where(slopes > 0, slopes * keys.max(0), slopes * keys.min(0))

    def add(j: Any, sums: tuple[Array, ...]) -> tuple[Array, ...]:
        weight = jnp.exp(slopes * keys[j] - highest)
        valued = weight * values[j]
        return tuple(s + new for s, new in zip(sums, (weight, weight * keys[j], valued, valued * keys[j]), strict=True))

    total, *sums = jax.lax.fori_loop(0, len(keys), add, (jnp.zeros_like(slopes),) * 4)
    key, value, both = (jnp.moveaxis(own / total, 0, -1) for own in sums)
    return value, both - key * value


@tilted_mean.defjvp
def _tilted_mean_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    mean, covariance = _tilted(*primals)
    return mean, covariance * tangents[0]


class TableAttention(nnx.Module):
    """Multi-head joint attention: a query reads a table; keys are products of the axes, values entries, all scalars.

    With one number a key, a head's logits are its slope times the keys: `(w_q q)·w_k key / sqrt(D/H)`; the key's bias
    is the same for all of a table and drops out. With one number a value, a head reads `s = tilted_mean(slope)`, and
    gives `w_v s + b_v`.

    Raises:
      ValueError: `heads` do not divide `width`.

    >>> attention = TableAttention(8, 2, rngs=nnx.Rngs(0))
    >>> attention(jnp.ones((5, 8)), jnp.ones((5, 49)), jnp.ones((5, 49))).shape
    (5, 8)
    """

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs) -> None:
        if width % heads:
            raise ValueError(f"heads={heads} do not divide the query's width={width}")
        self.heads = heads
        self.query = Dense({"inputs": width}, {"units": width}, std=width**-0.5, bias=True, rngs=rngs)
        self.key = axes.param(jax.random.normal(rngs.params(), (width,)), writes=("units",))
        self.value = axes.param(jax.random.normal(rngs.params(), (width,)), writes=("units",))
        self.bias = axes.param(jnp.zeros(width), writes=("units",))
        self.out = Dense({"inputs": width}, {"units": width}, std=width**-0.5, bias=True, rngs=rngs)

    def __call__(
        self, query: Float[Array, "*n D"], keys: Float[Array, "*n j"], values: Float[Array, "*n j"]
    ) -> Float[Array, "*n D"]:
        heads, width = self.heads, query.shape[-1] // self.heads
        split = lambda x: x.reshape(*x.shape[:-1], heads, width)  # noqa: E731
        scale = split(self.key[...]) / math.sqrt(width)
        to_slopes = (split(self.query.kernel[...]) * scale).sum(-1)  # the query's map and the keys' in one
        slopes = query @ to_slopes + (split(self.query.bias[...]) * scale).sum(-1)
        out = self.out.kernel[...]
        from_read = (self.value[...][:, None] * out).reshape(heads, width, -1).sum(1)  # the values' and the last
        return tilted_mean(slopes, keys, values) @ from_read + self.bias[...] @ out + self.out.bias[...]


class JointReading(nnx.Module):
    """Reads the L tables of an arc by `TableAttention`: L D numbers."""

    def __init__(
        self, pin: int, edge: int, hidden: int, tables: int, width: int, heads: int, *, rngs: nnx.Rngs
    ) -> None:
        self.outputs = tables * width
        self.ask = Between(pin, edge, (hidden, hidden, self.outputs), rngs=rngs)
        self.attention = TableAttention(width, heads, rngs=rngs)

    def __call__(self, asked: Float[Array, "A n"], tables: Float[Array, "A L 64"]) -> Float[Array, "A LD"]:
        """From what `ask` said of each arc."""
        slews, loads, entries = jnp.split(tables[..., 1:], (POINTS, 2 * POINTS), -1)
        keys = (slews[..., :, None] * loads[..., None, :]).reshape(entries.shape)
        query = asked.reshape(*entries.shape[:-1], -1)
        return self.attention(query, keys, entries).reshape(len(asked), -1)


class OuterReading(nnx.Module):
    """Reads them as TimingGCN: entries are weighted by the product of weights of slews and of loads; L D numbers.

    An MLP gives the weights of each of D readings from a query of two numbers and the axes; nothing normalises them.
    """

    def __init__(self, pin: int, edge: int, hidden: int, tables: int, readings: int = 4, *, rngs: nnx.Rngs) -> None:
        self.outputs, self.readings = tables * readings, readings
        self.ask = Between(pin, edge, (hidden, hidden, 2 * self.outputs), rngs=rngs)
        self.weigh = Layers((2 + 1 + 2 * POINTS, hidden, hidden, 2 * POINTS), rngs=rngs)

    def __call__(self, asked: Float[Array, "A n"], tables: Float[Array, "A L 64"]) -> Float[Array, "A LD"]:
        """From what `ask` said of each arc."""
        head, entries = jnp.split(tables, (1 + 2 * POINTS,), -1)
        query = asked.reshape(*head.shape[:-1], self.readings, 2)
        axes_of = jnp.broadcast_to(head[..., None, :], (*query.shape[:-1], head.shape[-1]))
        rows, columns = jnp.split(self.weigh(query, axes_of), 2, -1)
        square = entries.reshape(*entries.shape[:-1], POINTS, POINTS)
        return jnp.einsum("aldi,alij,aldj->ald", rows, square, columns).reshape(len(asked), -1)

"""Layers on the graph of a circuit's pins: messages gathered in several ways, net layers, attention to cells' tables.

A graph is a sample of `data.Circuits`: pins, nets (driver, sink) and arcs (input, output of a cell).
Letters: P pins, E nets, A arcs, M messages, D hidden units, L tables of an arc, H heads.
References: Zhong et al. 2024, PreRoutGNN, https://arxiv.org/abs/2403.00012; Guo et al. 2022, A Timing Engine Inspired
Graph Neural Network Model for Pre-Routing Slack Prediction (TimingGCN), DAC.
"""

from __future__ import annotations

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
                for m, n in zip(sizes, sizes[1:], strict=False)
            ]
        )

    def __call__(self, *parts: Float[Array, "... n"]) -> Float[Array, "... m"]:
        """Of the parts side by side."""
        x = jnp.concatenate(parts, -1)
        for i, linear in enumerate(self.maps):
            x = linear(jax.nn.leaky_relu(x, 0.2) if i else x)
        return x


def largest(messages: Float[Array, "M D"], receivers: Int[Array, " M"], pins: int) -> Float[Array, "P D"]:
    """The largest message of each pin, coordinate by coordinate; 0 where none arrives.

    >>> largest(jnp.array([[-1.0], [-3.0]]), jnp.array([1, 1]), 2).ravel()
    Array([ 0., -1.], dtype=float32)
    """
    found = jax.ops.segment_max(messages, receivers, pins)
    return jnp.where(jnp.isfinite(found), found, 0.0)


class PinConv(nnx.Module):
    """`MLP([x, mean, sum, min, max])` of gated messages: `m = MLP([x_src, x_dst, e])` gives a gate and four messages."""

    def __init__(self, inputs: int, edges: int, hidden: int, outputs: int, message: int, *, rngs: nnx.Rngs) -> None:
        self.send = Layers((2 * inputs + edges, hidden, 1 + 4 * message), rngs=rngs)
        self.read = Layers((inputs + 4 * message, hidden, outputs), rngs=rngs)

    def __call__(
        self, x: Float[Array, "P n"], edges: Float[Array, "M e"], senders: Int[Array, " M"], receivers: Int[Array, " M"]
    ) -> Float[Array, "P m"]:
        gate, *four = jnp.split(self.send(x[senders], x[receivers], edges), (1, *self._cuts()), -1)
        pins = len(x)
        mean, total, low, high = (jax.nn.sigmoid(gate) * part for part in four)
        count = jax.ops.segment_sum(jnp.ones(len(receivers)), receivers, pins)[:, None]
        gathered = (
            jax.ops.segment_sum(mean, receivers, pins) / jnp.maximum(count, 1),
            jax.ops.segment_sum(total, receivers, pins),
            -largest(-low, receivers, pins),
            largest(high, receivers, pins),
        )
        return self.read(x, *gathered)

    def _cuts(self) -> list[int]:
        width = (self.send.maps[-1].kernel.shape[-1] - 1) // 4
        return [1 + width * i for i in (1, 2, 3)]


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
    """One layer along nets: a sink reads its driver; a driver the gated messages of its sinks, their sum and maximum."""

    def __init__(self, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.ahead = Layers((2 * hidden + 2, hidden, hidden), rngs=rngs)
        self.back = Layers((2 * hidden + 2, hidden, 1 + 2 * hidden), rngs=rngs)
        self.read = Layers((3 * hidden, hidden, hidden), rngs=rngs)

    def __call__(self, x: Float[Array, "P D"], graph: Graph) -> Float[Array, "P D"]:
        drivers, sinks = graph["nets"].T
        pins, width = x.shape
        to_sinks = self.ahead(x[drivers], x[sinks], graph["offset"])
        gate, one, other = jnp.split(self.back(x[sinks], x[drivers], -graph["offset"]), (1, 1 + width), -1)
        gate = jax.nn.sigmoid(gate)
        total, high = jax.ops.segment_sum(gate * one, drivers, pins), largest(gate * other, drivers, pins)
        at_sinks = jax.ops.segment_sum(to_sinks, sinks, pins)
        return jnp.where(graph["pins"][:, 1:2] > 0, self.read(x, total, high), at_sinks)


class TableAttention(nnx.Module):
    """Multi-head joint attention: a query reads a table; keys are products of the axes, values entries, all scalars.

    With one number a key, a head's logits are its slope times the keys: `(w_q q)·w_k key / sqrt(D/H)`; the key's bias
    is the same for all of a table and drops out. With one number a value, a head reads `s = sum a_j v_j`, and gives
    `w_v s + b_v`.

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
        parts = (*query.shape[:-1], self.heads, -1)
        slopes = (self.query(query) * self.key[...]).reshape(parts).sum(-1) / math.sqrt(query.shape[-1] // self.heads)
        weights = jax.nn.softmax(slopes[..., None] * keys[..., None, :], -1)
        read = jnp.einsum("...hj,...j->...h", weights, values)
        each = jnp.repeat(read, query.shape[-1] // self.heads, axis=-1)
        return self.out(self.value[...] * each + self.bias[...])


class JointReading(nnx.Module):
    """Reads the L tables of an arc by `TableAttention`: L D numbers."""

    def __init__(self, inputs: int, hidden: int, tables: int, width: int, heads: int, *, rngs: nnx.Rngs) -> None:
        self.outputs = tables * width
        self.ask = Layers((inputs, hidden, hidden, self.outputs), rngs=rngs)
        self.attention = TableAttention(width, heads, rngs=rngs)

    def __call__(self, x: Float[Array, "A n"], tables: Float[Array, "A L 64"]) -> Float[Array, "A LD"]:
        slews, loads, entries = jnp.split(tables[..., 1:], (POINTS, 2 * POINTS), -1)
        keys = (slews[..., :, None] * loads[..., None, :]).reshape(entries.shape)
        query = self.ask(x).reshape(*entries.shape[:-1], -1)
        return self.attention(query, keys, entries).reshape(len(x), -1)


class OuterReading(nnx.Module):
    """Reads them as TimingGCN: each entry is weighted by the product of two softmaxes, over slews and over loads."""

    def __init__(self, inputs: int, hidden: int, tables: int, *, rngs: nnx.Rngs) -> None:
        self.outputs = tables
        self.ask = Layers((inputs, hidden, hidden, 2 * tables), rngs=rngs)
        self.weigh = Layers((2 + 1 + 2 * POINTS, hidden, hidden, 2 * POINTS), rngs=rngs)

    def __call__(self, x: Float[Array, "A n"], tables: Float[Array, "A L 64"]) -> Float[Array, "A L"]:
        head, entries = jnp.split(tables, (1 + 2 * POINTS,), -1)
        query = self.ask(x).reshape(*head.shape[:-1], 2)
        rows, columns = (jax.nn.softmax(part) for part in jnp.split(self.weigh(query, head), 2, -1))
        square = entries.reshape(*entries.shape[:-1], POINTS, POINTS)
        return jnp.einsum("alij,ali,alj->al", square, rows, columns)

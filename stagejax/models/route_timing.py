"""PreRoutGNN and what it is compared with: timing after routing, predicted along the graph of a placed circuit.

A graph is a sample of `data.Circuits`. A signal is 8 numbers of a pin: arrivals (4, ns) and log-slews (4).
Letters: P pins, E nets, A arcs, F features, W and V nets and arcs of a step.
Reference: Zhong et al. 2024, PreRoutGNN, https://arxiv.org/abs/2403.00012.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.build import built
from stagejax.models.pin_graph import (
    Between,
    Graph,
    JointReading,
    Layers,
    NetConv,
    OuterReading,
    PinStack,
    both_ways,
    largest,
)

FEATURES, LEVELS, EDGES, SIGNAL, CHANNELS, TABLES = 10, 9, 12, 8, 4, 8


@dataclass(frozen=True)
class PinAutoEncoder:
    """Stage 1: every pin as a few numbers from which its features can be told, by a graph encoder and decoder."""

    hidden: int = 32
    latent: int = 4
    layers: int = 4  # of each

    def sizes(self) -> dict[str, int]:
        """The named axes that others share: none."""
        return {}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `AutoEncoder`."""
        return built(AutoEncoder, self, rngs.params())


class AutoEncoder(nnx.Module):
    """`decoder(encoder(features))` on the homogeneous graph, both ways."""

    def __init__(self, config: PinAutoEncoder, rngs: nnx.Rngs) -> None:
        c = config
        self.encoder = PinStack(FEATURES, EDGES, c.hidden, c.latent, c.layers, rngs=rngs)
        self.decoder = PinStack(c.latent, EDGES, c.hidden, FEATURES, c.layers, rngs=rngs)

    def __call__(self, graph: Graph) -> Float[Array, "P 10"]:
        """The features as decoded."""
        edges = both_ways(graph)
        return self.decoder(self.encoder(graph["pins"], *edges), *edges)


@dataclass(frozen=True)
class RouteTiming:
    """Stage 2: the timing network. With everything off it sends and reads as TimingGCN, in net layers that add.

    Reference: Guo et al. 2022, A Timing Engine Inspired Graph Neural Network Model for Pre-Routing Slack Prediction.
    """

    hidden: int = 32  # units of net layers, and of all MLPs
    net_layers: int = 2
    encoder: PinAutoEncoder | None = PinAutoEncoder()  # its encoder goes in front; None: no embedding of the circuit
    levels: bool = True  # see a pin's level and its encoding
    residual: bool = True  # along a net, predict the increment of the signal, not the signal
    heads: int | None = 4  # of the attention to tables; None: products of weights of slews and of loads
    message: int = 32  # numbers of each of an arc's two messages

    def sizes(self) -> dict[str, int]:
        """The named axes that others share: none."""
        return {}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TimingNetwork`."""
        return built(TimingNetwork, self, rngs.params())


class Prediction(NamedTuple):
    """What is predicted of a graph."""

    signal: Float[Array, "P 8"]
    net_delay: Float[Array, "E 4"]  # as a logarithm
    cell_delay: Float[Array, "A 4"]  # ns


class TimingNetwork(nnx.Module):
    """Embeds pins, then carries signals along nets and arcs: `teacher_forced` to train, `free_running` to predict."""

    def __init__(self, config: RouteTiming, rngs: nnx.Rngs) -> None:
        c, self.config = config, config
        features = FEATURES + LEVELS * c.levels
        e = c.encoder
        self.encoder = e and PinStack(FEATURES, EDGES, e.hidden, e.latent, e.layers, rngs=rngs)
        features += 2 * e.latent if e else 0
        self.up = Layers((features, c.hidden), rngs=rngs)
        self.convs = nnx.List([NetConv(c.hidden, rngs=rngs) for _ in range(c.net_layers)])
        self.delay = Layers((c.hidden, c.hidden, CHANNELS), rngs=rngs)
        own, width = features + c.hidden, c.hidden
        self.along_net = Between(own, SIGNAL, (width, width, SIGNAL), rngs=rngs)
        if c.heads is None:
            self.reading = OuterReading(own, SIGNAL + 1, width, TABLES, rngs=rngs)
        else:
            self.reading = JointReading(own, SIGNAL + 1, width, TABLES, 32, c.heads, rngs=rngs)
        sent = 1 + 2 * c.message + CHANNELS
        self.along_arc = Between(own, SIGNAL + 1 + self.reading.outputs, (width, width, sent), rngs=rngs)
        self.reduce = Layers((own + 2 * c.message, width, width, SIGNAL), rngs=rngs)

    def embed(self, graph: Graph) -> tuple[Float[Array, "P F"], Float[Array, "E 4"]]:
        """Features of every pin, and the delay of every net."""
        parts = [graph["pins"]]
        if self.config.levels:
            parts.append(graph["levels"])
        if self.encoder is not None:
            z, block, blocks = self.encoder(graph["pins"], *both_ways(graph)), graph["block"], len(graph["period"])
            count = jnp.maximum(jax.ops.segment_sum(jnp.ones(len(z)), block, blocks), 1)
            parts += [z, (jax.ops.segment_sum(z, block, blocks) / count[:, None])[block]]
        features = jnp.concatenate(parts, -1)
        x = jax.nn.leaky_relu(self.up(features), 0.2)
        for conv in self.convs:
            x = x + conv(x, graph)
        return jnp.concatenate([features, x], -1), self.delay(x[graph["nets"][:, 1]])

    def ends(self, features: Float[Array, "P F"]) -> tuple[Array, Array, Array]:
        """What every pin adds to the first layer along nets, of questions to tables, and along arcs."""
        return tuple(part.ends(features) for part in (self.along_net, self.reading.ask, self.along_arc))  # type: ignore

    def net(self, ends: Any, before: Float[Array, "W 8"], drivers: Array, sinks: Array) -> Float[Array, "W 8"]:
        """The signals of sinks from those of their drivers."""
        local = self.along_net(ends[0], drivers, sinks, before)
        return before + local if self.config.residual else local

    def arc(
        self, ends: Any, before: Float[Array, "V 8"], sources: Array, targets: Array, graph: Graph, kinds: Array
    ) -> tuple[Float[Array, "V m"], Float[Array, "V m"], Float[Array, "V 4"]]:
        """The two messages of arcs, of which outputs take sum and maximum, and the delays of cells."""
        before = jnp.concatenate([before, graph["sense"][kinds][:, None]], -1)
        read = self.reading(self.reading.ask(ends[1], sources, targets, before), graph["tables"][kinds])
        sent = self.along_arc(ends[2], sources, targets, jnp.concatenate([before, read], -1))
        gate, both, delay = jnp.split(sent, (1, 1 + 2 * self.config.message), -1)
        one, other = jnp.split(jax.nn.sigmoid(gate) * both, 2, -1)
        return one, other, delay

    def teacher_forced(self, graph: Graph) -> Prediction:
        """Every signal from the true ones before it, all at once."""
        f, net_delay = self.embed(graph)
        truth, (drivers, sinks), (sources, targets) = graph["signal"], graph["nets"].T, graph["arcs"].T
        pins, ends = len(truth), self.ends(f)
        at_sinks = self.net(ends, truth[drivers], drivers, sinks)
        one, other, cell_delay = self.arc(ends, truth[sources], sources, targets, graph, graph["kinds"])
        at_drivers = self.reduce(f, jax.ops.segment_sum(one, targets, pins), largest(other, targets, pins))
        signal = jnp.where(graph["pins"][:, 1:2] > 0, at_drivers, jax.ops.segment_sum(at_sinks, sinks, pins))
        return Prediction(jnp.where(graph["begins"][:, None] > 0, truth, signal), net_delay, cell_delay)

    def free_running(self, graph: Graph, nets: Int[Array, "steps W"], arcs: Int[Array, "steps V"]) -> Prediction:
        """Every signal from those predicted before it, step by step of a `data.circuits.levels.Schedule`.

        Of the truth, only the signals of inputs are looked at.
        """
        f, net_delay = self.embed(graph)
        ends, last = self.ends(f), len(f) - 1

        def pins(edges: Array, taken: Array) -> list[Array]:
            """Senders and receivers; where nothing is taken the last pin, whose signal stays what it is."""
            return [jnp.where(taken < 0, last, edges[taken, i]) for i in (0, 1)]

        def put(values: Array, at: Array, taken: Array, new: Array) -> Array:
            """The values with new ones where something is taken."""
            return values.at[jnp.where(taken < 0, len(values), at)].set(new, mode="drop")

        def step(carry: tuple[Array, Array], taken: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
            (signal, delays), (net, arc) = carry, taken
            drivers, sinks = pins(graph["nets"], net)
            signal = put(signal, sinks, net, self.net(ends, signal[drivers], drivers, sinks))
            sources, targets = pins(graph["arcs"], arc)
            one, other, own = self.arc(ends, signal[sources], sources, targets, graph, graph["kinds"][arc])
            same = targets[:, None] == targets
            high = jnp.where(same[..., None], other, -jnp.inf).max(1)
            signal = put(signal, targets, arc, self.reduce(f[targets], same.astype(one.dtype) @ one, high))
            return (signal, put(delays, arc, arc, own)), None

        begin = jnp.where(graph["begins"][:, None] > 0, graph["signal"], 0.0)
        delays = jnp.zeros((len(graph["arcs"]), CHANNELS))
        (signal, delays), _ = jax.lax.scan(step, (begin, delays), (nets, arcs))
        return Prediction(signal, net_delay, delays)


def free_running(model: Any, graph: Graph, nets: Any, arcs: Any) -> Prediction:
    """`TimingNetwork.free_running` as a function, to be compiled."""
    return model.free_running(graph, nets, arcs)


def teacher_forced(model: Any, graph: Graph) -> Prediction:
    """`TimingNetwork.teacher_forced` as a function, to be compiled."""
    return model.teacher_forced(graph)

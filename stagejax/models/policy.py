"""Policies for control over stages: what was seen so far is encoded, then one map proposes from it and the state.

A policy has `encode(inputs_TR)`, a pytree with one entry for every stage that has seen that stage and those before it,
and `propose(encoding, state_R)`, a vector for one stage. Letters: T stages, R of the state and of the inputs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.linear import Dense


@dataclass(frozen=True)
class RecurrentPolicy:
    """An LSTM over the inputs alone, and a linear map of its encoding and the state.

    >>> RecurrentPolicy(plants=3, hidden=(8,)).sizes()
    {'plants': 3, 'gates': 4, 'embed.1': 8}
    """

    plants: int
    hidden: tuple[int, ...] = (32,)

    def sizes(self) -> dict[str, int]:
        return {"plants": self.plants, "gates": 4} | {f"embed.{i + 1}": size for i, size in enumerate(self.hidden)}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `LSTMPolicy` with its initial parameters."""
        return built(LSTMPolicy, self, rngs.params())


@dataclass(frozen=True)
class RecurrentCritic:
    """What is expected from each stage on: an LSTM over the inputs, a layer on its encoding and the state, a number.

    It begins at 0 everywhere.

    >>> RecurrentCritic(plants=3, stages=6, hidden=(8,)).sizes()
    {'plants': 3, 'position': 6, 'gates': 4, 'mlp': 8, 'score': 1, 'embed.1': 8}
    """

    plants: int
    stages: int
    hidden: tuple[int, ...] = (32,)

    def sizes(self) -> dict[str, int]:
        own = {"plants": self.plants, "position": self.stages, "gates": 4, "mlp": self.hidden[-1], "score": 1}
        return own | {f"embed.{i + 1}": size for i, size in enumerate(self.hidden)}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `LSTMCritic` with its initial parameters."""
        return built(LSTMCritic, self, rngs.params())


@dataclass(frozen=True)
class LinearPolicy:
    """A linear map of input and state, with coefficients of its own for each stage: a linear decision rule."""

    plants: int
    stages: int

    def sizes(self) -> dict[str, int]:
        return {"plants": self.plants, "position": self.stages}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `StagewiseLinear` with its initial parameters."""
        return built(StagewiseLinear, self, rngs.params())


class LSTMCell(nnx.Module):
    """c' = sigma(f + 1) c + sigma(i) tanh(g),  h' = sigma(o) tanh(c'), with i, f, g, o linear in x and h.

    Reference: Hochreiter and Schmidhuber 1997; the forget gate of Gers et al. 2000.
    """

    def __init__(self, reads: str, inputs: int, name: str, size: int, rngs: nnx.Rngs) -> None:
        gates = {"gates": 4}
        self.size = size
        self.input = Dense({reads: inputs}, gates | {name: size}, std=inputs**-0.5, bias=True, rngs=rngs)
        self.hidden = Dense({name: size}, gates | {f"{name}_out": size}, std=size**-0.5, bias=False, rngs=rngs)

    def __call__(self, x_TF: Float[Array, "T F"]) -> Float[Array, "T H"]:
        """The hidden vectors of a sequence, from zero."""
        inputs_T4H = self.input(x_TF)

        def step(carry: tuple[Array, Array], inputs_4H: Array) -> Any:
            h, c = carry
            i, f, g, o = inputs_4H + self.hidden(h)
            c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros(self.size, inputs_T4H.dtype)
        return jax.lax.scan(step, (zero, zero), inputs_T4H)[1]


class LSTMPolicy(nnx.Module):
    """Inputs through an LSTM from its zero state; proposals from encoding and state.

    >>> policy = RecurrentPolicy(plants=3, hidden=(8, 8)).build(nnx.Rngs(0))
    >>> encoded = policy.encode(jnp.ones((5, 3)))
    >>> encoded.shape, policy.propose(encoded[0], jnp.zeros(3)).shape
    ((5, 8), (3,))
    """

    def __init__(self, config: RecurrentPolicy, rngs: nnx.Rngs) -> None:
        self.cells = _cells(config, rngs)
        plants, (name, size) = config.plants, _encoding(config)
        std = (size + plants) ** -0.5
        self.from_encoding = Dense({name: size}, {"plants": plants}, std=std, bias=True, rngs=rngs)
        self.from_state = Dense({"plants": plants}, {"plants_out": plants}, std=std, bias=False, rngs=rngs)

    def encode(self, x_TR: Float[Array, "T R"]) -> Float[Array, "T H"]:
        return _through(self.cells, x_TR)

    def propose(self, encoding: Float[Array, " H"], state: Float[Array, " R"]) -> Float[Array, " R"]:
        return self.from_encoding(encoding) + self.from_state(state)


class LSTMCritic(nnx.Module):
    """V_t = w . tanh(A h_t + B state_t + a) + b_t, where h is the encoding of the inputs up to t.

    >>> critic = RecurrentCritic(plants=3, stages=5, hidden=(8,)).build(nnx.Rngs(0))
    >>> critic(jnp.ones((5, 3)), jnp.ones((5, 3)))
    Array([0., 0., 0., 0., 0.], dtype=float32)
    """

    def __init__(self, config: RecurrentCritic, rngs: nnx.Rngs) -> None:
        self.cells = _cells(config, rngs)
        plants, (name, size) = config.plants, _encoding(config)
        hidden, std = {"mlp": config.hidden[-1]}, (size + plants) ** -0.5
        self.from_encoding = Dense({name: size}, hidden, std=std, bias=True, rngs=rngs)
        self.from_state = Dense({"plants": plants}, hidden, std=std, bias=False, rngs=rngs)
        self.score = Dense(hidden, {"score": 1}, std=0.0, bias=False, rngs=rngs)
        self.bias = axes.param(jnp.zeros(config.stages), reads=("position",))

    def __call__(self, x_TR: Float[Array, "T R"], states_TR: Float[Array, "T R"]) -> Float[Array, " T"]:
        """The values of the states at the beginnings of stages, of which the inputs up to each are known."""
        hidden = jnp.tanh(self.from_encoding(_through(self.cells, x_TR)) + self.from_state(states_TR))
        return self.score(hidden)[:, 0] + self.bias[...]


class StagewiseLinear(nnx.Module):
    """z_t = x_t A_t + state B_t + a_t.

    >>> policy = LinearPolicy(plants=3, stages=5).build(nnx.Rngs(0))
    >>> encoded = policy.encode(jnp.ones((5, 3)))
    >>> policy.propose(jax.tree.map(lambda leaf: leaf[0], encoded), jnp.zeros(3)).shape
    (3,)
    """

    def __init__(self, config: LinearPolicy, rngs: nnx.Rngs) -> None:
        stages, plants, std = config.stages, config.plants, (2 * config.plants) ** -0.5
        shape, names = (stages, plants, plants), {"reads": ("position", "plants"), "writes": ("plants_out",)}
        self.from_input = axes.param(std * jax.random.normal(rngs.params(), shape), **names)
        self.from_state = axes.param(std * jax.random.normal(rngs.params(), shape), **names)
        self.bias = axes.param(jnp.zeros((stages, plants)), reads=("position",), writes=("plants_out",))

    def encode(self, x_TR: Float[Array, "T R"]) -> tuple[Float[Array, "T R"], Float[Array, "T R R"]]:
        return jnp.einsum("tr,trp->tp", x_TR, self.from_input[...]) + self.bias[...], self.from_state[...]

    def propose(self, encoding: tuple[Array, Array], state: Float[Array, " R"]) -> Float[Array, " R"]:
        return encoding[0] + state @ encoding[1]


def _cells(config: Any, rngs: nnx.Rngs) -> Any:
    """The LSTMs of a config, each reading the one before."""
    names = [("plants", config.plants), *((f"embed.{i + 1}", size) for i, size in enumerate(config.hidden))]
    return nnx.List([LSTMCell(*reads, *writes, rngs) for reads, writes in itertools.pairwise(names)])


def _encoding(config: Any) -> tuple[str, int]:
    """Axis and size of what the last of them gives."""
    return f"embed.{len(config.hidden)}", config.hidden[-1]


def _through(cells: Any, x_TF: Array) -> Array:
    for cell in cells:
        x_TF = cell(x_TF)
    return x_TF

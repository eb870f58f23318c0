"""Small networks between the states of different models: from one to the other, or through messages that both read.

A state is anything (examples, ..., width), such as pixels with channels. All of these networks see every place alone,
and read states whose examples have been brought to mean 0 and variance 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.build import built
from stagejax.models.linear import Dense

Width = tuple[str, int]  # name and size of an axis


def standardized(x: Float[Array, "B *places W"], eps: float = 1e-5) -> Float[Array, "B *places W"]:
    """`(x - mean) / sqrt(var + eps)`, the statistics of each example over all its places and channels.

    >>> standardized(jnp.array([[1.0, 3.0], [5.0, 5.0]]), eps=0.001).round(1).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    own = tuple(range(1, x.ndim))
    mean, var = (f(x, axis=own, keepdims=True) for f in (jnp.mean, jnp.var))
    return (x - mean) * jax.lax.rsqrt(var + eps)


@dataclass(frozen=True)
class Translator:
    """`y = W relu(V x + v) + w` at every place of a standardized state x: an adapter from one model to another.

    >>> Translator(reads=128, hidden=64, writes=32).parameters
    10336
    """

    reads: int  # widths
    hidden: int
    writes: int

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return (self.reads + 1) * self.hidden + (self.hidden + 1) * self.writes

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {"state": self.reads, "hidden": self.hidden, "state.other": self.writes}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TranslatorNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(TranslatorNetwork, self, rngs.params())


@dataclass(frozen=True)
class Messenger:
    """The encoders and decoders of one model: of each of its named states to messages and back, all of two layers.

    Reference: Zhao et al. 2023, https://arxiv.org/abs/2310.03188.

    >>> Messenger(states=(("low", 16), ("high", 32)), message=24, hidden=20).sizes()["state.high"]
    32
    """

    states: tuple[Width, ...]  # name and width of each
    message: int  # width
    hidden: int

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(Translator(*pair).parameters for pair in self._pairs())

    def _pairs(self) -> Iterator[tuple[int, int, int]]:
        for _, width in self.states:
            yield width, self.hidden, self.message
            yield self.message, self.hidden, width

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        hidden = {f"hidden.{way}.{name}": self.hidden for name, _ in self.states for way in ("encode", "decode")}
        return {"message": self.message, **{f"state.{name}": width for name, width in self.states}, **hidden}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `MessengerNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(MessengerNetwork, self, rngs.params())


class TwoLayers(nnx.Module):
    """A small network at every place of a standardized state.

    >>> TwoLayers(("state", 4), ("hidden", 8), ("message", 2), nnx.Rngs(0))(jnp.ones((5, 3, 3, 4))).shape
    (5, 3, 3, 2)
    """

    def __init__(self, reads: Width, hidden: Width, writes: Width, rngs: nnx.Rngs) -> None:
        self.up = Dense(dict([reads]), dict([hidden]), std=(2 / reads[1]) ** 0.5, bias=True, rngs=rngs)
        self.down = Dense(dict([hidden]), dict([writes]), std=hidden[1] ** -0.5, bias=True, rngs=rngs)

    def __call__(self, x: Float[Array, "B *places R"]) -> Float[Array, "B *places W"]:
        return self.down(jax.nn.relu(self.up(standardized(x))))


class TranslatorNetwork(TwoLayers):
    """The module of `Translator`.

    >>> Translator(reads=4, hidden=8, writes=2).build(nnx.Rngs(0))(jnp.ones((5, 3, 3, 4))).shape
    (5, 3, 3, 2)
    """

    def __init__(self, config: Translator, rngs: nnx.Rngs) -> None:
        super().__init__(*config.sizes().items(), rngs)
        self.config = config


class MessengerNetwork(nnx.Module):
    """The module of `Messenger`.

    >>> model = Messenger((("low", 4), ("high", 6)), message=5, hidden=8).build(nnx.Rngs(0))
    >>> message = model.encode("low", jnp.ones((3, 2, 2, 4)))
    >>> message.shape, model.decode("high", message).shape
    ((3, 2, 2, 5), (3, 2, 2, 6))
    """

    def __init__(self, config: Messenger, rngs: nnx.Rngs) -> None:
        self.config = config
        said, hidden = ("message", config.message), config.hidden
        own = {name: (f"state.{name}", width) for name, width in config.states}
        self.encoders = nnx.Dict({n: TwoLayers(w, (f"hidden.encode.{n}", hidden), said, rngs) for n, w in own.items()})
        self.decoders = nnx.Dict({n: TwoLayers(said, (f"hidden.decode.{n}", hidden), w, rngs) for n, w in own.items()})

    def encode(self, name: str, state: Float[Array, "B *places W"]) -> Float[Array, "B *places M"]:
        """The message that says this state."""
        return self.encoders[name](state)

    def decode(self, name: str, message: Float[Array, "B *places M"]) -> Float[Array, "B *places W"]:
        """The own state that a message, of whatever model, stands for."""
        return self.decoders[name](message)

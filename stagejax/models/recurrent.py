"""Recurrent bodies of sequence models: what they remember is a state of fixed size, a vector or a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.linear import Dense
from stagejax.models.policy import LSTMCell


@dataclass(frozen=True)
class LSTM:
    """LSTMs on top of each other, as wide as the stream.

    >>> LSTM(layers=2).state(embed=8, length=40)
    32
    """

    layers: int = 1

    def sizes(self, embed: int) -> dict[str, int]:
        return {"gates": 4, "embed.state": embed}

    def state(self, embed: int, length: int) -> int:
        """How many numbers of the past are there when the last position is read: h and c of every layer."""
        return 2 * embed * self.layers

    def body(self, embed: int, rngs: nnx.Rngs) -> nnx.Module:
        return LSTMs([LSTMCell("embed", embed, "embed.state", embed, rngs) for _ in range(self.layers)])


@dataclass(frozen=True)
class OuterProductLSTM:
    """LSTMs whose cell state is a matrix, see `OuterProductCell`.

    >>> OuterProductLSTM().state(embed=8, length=40)
    72
    """

    layers: int = 1

    def sizes(self, embed: int) -> dict[str, int]:
        return {"gates": 6}

    def state(self, embed: int, length: int) -> int:
        """How many numbers of the past are there when the last position is read: h and C of every layer."""
        return (embed + embed**2) * self.layers

    def body(self, embed: int, rngs: nnx.Rngs) -> nnx.Module:
        return LSTMs([OuterProductCell(embed, rngs) for _ in range(self.layers)])


class OuterProductCell(nnx.Module):
    """C' = sigma(f + 1) C + (sigma(i) tanh(g)) tanh(k)^T,  h' = sigma(o) tanh(C' tanh(q) / sqrt(E)), with i, f, g, o, k
    and q linear in x and h: an LSTM that writes values at keys, and reads by queries. Gates act on rows of C.

    Reference: after Kirsch et al. 2022, https://arxiv.org/abs/2212.04458 (outer-product LSTM), and fast weights,
    Schmidhuber 1992.
    """

    def __init__(self, embed: int, rngs: nnx.Rngs) -> None:
        self.size, std, gates = embed, embed**-0.5, {"gates": 6, "embed_out": embed}
        self.input = Dense({"embed": embed}, gates, std=std, bias=True, rngs=rngs)
        self.hidden = Dense({"embed": embed}, gates, std=std, bias=False, rngs=rngs)

    def __call__(self, x_TE: Float[Array, "T E"]) -> Float[Array, "T E"]:
        """The hidden vectors of a sequence, from zero."""
        E = self.size

        def step(carry: tuple[Array, Array], inputs_6E: Array) -> Any:
            h_E, C_EE = carry
            i, f, g, o, k, q = inputs_6E + self.hidden(h_E)
            written_EE = jnp.outer(jax.nn.sigmoid(i) * jnp.tanh(g), jnp.tanh(k))
            C_EE = jax.nn.sigmoid(f + 1)[:, None] * C_EE + written_EE
            h_E = jax.nn.sigmoid(o) * jnp.tanh(C_EE @ jnp.tanh(q) / E**0.5)
            return (h_E, C_EE), h_E

        zero = jnp.zeros(E, x_TE.dtype), jnp.zeros((E, E), x_TE.dtype)
        return jax.lax.scan(step, zero, self.input(x_TE))[1]


class LSTMs(nnx.Module):
    """Recurrent cells, each reading the one before, on every sequence of a batch.

    >>> body = LSTM(layers=2).body(8, nnx.Rngs(0))
    >>> body(jnp.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(self, cells: list[nnx.Module]) -> None:
        self.cells = nnx.List(cells)

    def __call__(self, x_BNE: Float[Array, "B N E"], key: Any = None) -> Float[Array, "B N E"]:
        for cell in self.cells:
            x_BNE = jax.vmap(cell)(x_BNE)
        return x_BNE

"""Two texts, each read by a bidirectional LSTM and attended to, and one logit of whether they say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.policy import LSTMCell


@dataclass(frozen=True)
class PairMatcher:
    """Attention LSTMs over the token vectors of two texts, and a network on what both give; both share one LSTM.

    Reference: Yang et al. 2016 (attention over recurrent states), NAACL; Moravvej et al. 2023,
    https://arxiv.org/abs/2305.02374.

    >>> PairMatcher(embed=8, hidden=4, attention=4, mlp=4).sizes()["features"]
    8
    """

    embed: int = 64  # of a token vector
    hidden: int = 24  # of an LSTM in one direction
    attention: int = 24
    mlp: int = 32

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        units = {"units.forward": self.hidden, "units.backward": self.hidden, "features": 2 * self.hidden}
        rest = {"gates": 4, "attention": self.attention, "compared": 8 * self.hidden, "mlp": self.mlp, "score": 1}
        return {"embed": self.embed} | units | rest

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `AttentiveMatcher` with its initial parameters."""
        return built(AttentiveMatcher, self, rngs.params())


class AttentiveMatcher(nnx.Module):
    """h = BiLSTM(x),  a = softmax(v . tanh(W h + b)) over real tokens,  r = sum_t a_t h_t,  and the logit is a network
    of one hidden layer on [r1, r2, |r1 - r2|, r1 r2].

    Letters: B pairs, N texts, T tokens, E of a token vector, F features of a text.

    >>> model = PairMatcher(embed=8, hidden=4, attention=4, mlp=4).build(nnx.Rngs(0))
    >>> batch = {"vectors": jnp.ones((3, 2, 5, 8)), "length": jnp.full((3, 2), 5)}
    >>> model(batch).shape
    (3,)
    """

    def __init__(self, config: PairMatcher, rngs: nnx.Rngs) -> None:
        c, features = config, {"features": 2 * config.hidden}
        self.forward = LSTMCell("embed", c.embed, "units.forward", c.hidden, rngs)
        self.backward = LSTMCell("embed", c.embed, "units.backward", c.hidden, rngs)
        self.attend = Dense(features, {"attention": c.attention}, std=(2 * c.hidden) ** -0.5, bias=True, rngs=rngs)
        self.weigh = Dense({"attention": c.attention}, {"score": 1}, std=c.attention**-0.5, bias=False, rngs=rngs)
        compared = {"compared": 8 * c.hidden}
        self.hide = Dense(compared, {"mlp": c.mlp}, std=(8 * c.hidden) ** -0.5, bias=True, rngs=rngs)
        self.score = Dense({"mlp": c.mlp}, {"score": 1}, std=c.mlp**-0.5, bias=True, rngs=rngs)

    def __call__(self, batch: Mapping[str, Any], key: Any = None) -> Float[Array, " B"]:
        """The logits of pairs: `vectors` (B, 2, T, E) in any precision, `length` (B, 2) how many of a text are real."""
        vectors = batch["vectors"].astype(self.score.kernel[...].dtype)
        r_NF = self.features(vectors.reshape(-1, *vectors.shape[2:]), batch["length"].reshape(-1))
        one, two = jnp.moveaxis(r_NF.reshape(len(vectors), 2, -1), 1, 0)
        compared = jnp.concatenate([one, two, jnp.abs(one - two), one * two], -1)
        return self.score(jax.nn.relu(self.hide(compared)))[:, 0]

    def features(self, x_NTE: Float[Array, "N T E"], lengths_N: Int[Array, " N"]) -> Float[Array, "N F"]:
        """What the attention makes of texts; padding is not seen."""
        h_NTF = self.states(x_NTE, lengths_N)
        real_NT = jnp.arange(x_NTE.shape[1]) < lengths_N[:, None]
        score_NT = self.weigh(jnp.tanh(self.attend(h_NTF)))[..., 0]
        weight_NT = jax.nn.softmax(jnp.where(real_NT, score_NT, -jnp.inf), -1)
        return jnp.einsum("nt,ntf->nf", weight_NT, h_NTF)

    def states(self, x_NTE: Float[Array, "N T E"], lengths_N: Int[Array, " N"]) -> Float[Array, "N T F"]:
        """The hidden states of both directions; the backward one begins at the last real token."""
        t, last = jnp.arange(x_NTE.shape[1]), lengths_N[:, None]
        turned_NT1 = jnp.where(t < last, last - 1 - t, t)[..., None]
        ahead = read(self.forward, x_NTE)
        back = read(self.backward, jnp.take_along_axis(x_NTE, turned_NT1, 1))
        return jnp.concatenate([ahead, jnp.take_along_axis(back, turned_NT1, 1)], -1)


def read(cell: LSTMCell, x_NTE: Float[Array, "N T E"]) -> Float[Array, "N T H"]:
    """The hidden vectors of sequences, as `LSTMCell` has them. What is read is mapped to the gates at each token, not
    before: of a population, whose members all read the same, the gates of all tokens would be much more memory."""

    def step(carry: tuple[Array, Array], x_NE: Array) -> Any:
        h_NH, c_NH = carry
        i, f, g, o = jnp.moveaxis(cell.input(x_NE) + cell.hidden(h_NH), 1, 0)
        c_NH = jax.nn.sigmoid(f + 1) * c_NH + jax.nn.sigmoid(i) * jnp.tanh(g)
        h_NH = jax.nn.sigmoid(o) * jnp.tanh(c_NH)
        return (h_NH, c_NH), h_NH

    zero = jnp.zeros((len(x_NTE), cell.size), x_NTE.dtype)
    return jnp.moveaxis(jax.lax.scan(step, (zero, zero), jnp.moveaxis(x_NTE, 1, 0))[1], 0, 1)

"""A mixture of experts in the place of a transformer's feed-forward network.

Letters: B batch, T tokens, E embed, X experts, k chosen experts, F mlp, C capacity, M rows sorted by expert.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.linear import Dense
from stagejax.models.mlp import GATED, Activation, activate

Routing = Literal["topk_softmax", "softmax_topk"]
Dispatch = Literal["ragged", "dense"]


@dataclass(frozen=True)
class Mixture:
    """How many experts a layer has, and how tokens are brought to them."""

    experts: int
    top_k: int = 2  # experts that each token chooses
    routing: Routing = "topk_softmax"  # how the weights of the chosen ones are made; see `MoE`
    capacity: float | None = None  # None: no token is dropped; else see `MoE`
    dispatch: Dispatch = "ragged"  # of a dropless layer; see `MoE`


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RouterStatistics:
    """What the router of one layer did with a batch; behind a model, every field has a leading axis of layers.

    Losses on them are in `stagejax.objectives.experts`. Gradients flow through all but `load` and `dropped`.
    """

    load: Float[Array, "*layers X"]  # share of all choices that fell on each expert; sums to 1
    probability: Float[Array, "*layers X"]  # mean softmax of the router's logits over all experts
    z: Float[Array, "*layers"]  # mean of logsumexp(logits)^2
    max_z: Float[Array, "*layers"]  # mean of max(logits)^2
    entropy: Float[Array, "*layers"]  # mean entropy of that softmax, in nats
    dropped: Float[Array, "*layers"]  # share of all choices beyond an expert's capacity


class MoE(nnx.Module):
    """`y = sum over the k chosen experts e of w_e(x) mlp_e(x)`, with w from a linear router.

    Router kernel (embed, experts); expert kernels gate and up (experts, embed, mlp), down (experts, mlp, embed): the
    experts are stacked, each an `MLP` of its own. Logits, softmax and weights are taken in at least float32.

    Settings of the `Mixture`:
      routing: "topk_softmax": w is the softmax of the k largest logits, so it sums to 1 (Mixtral, and the same function
        as softmax-then-top-k renormalised); "softmax_topk": the k largest entries of the softmax over all (Switch).
      capacity: None is dropless. A factor c lets each expert take at most ceil(c k T / X) tokens of each row, first
        come first served; a choice beyond that adds nothing.
      dispatch: of a dropless layer: "ragged" sorts tokens by expert and multiplies each with its own kernels alone;
        "dense" multiplies every token with every expert (X / k times the products, but quick for a few tiny experts).

    References: Shazeer et al. 2017, https://arxiv.org/abs/1701.06538; Fedus et al. 2021 (Switch),
    https://arxiv.org/abs/2101.03961; Jiang et al. 2024 (Mixtral), https://arxiv.org/abs/2401.04088; Gale et al. 2022
    (dropless), https://arxiv.org/abs/2211.15841.

    >>> four = Mixture(experts=4, top_k=2)
    >>> moe = MoE(8, 16, four, activation="swiglu", bias=False, std=0.02, std_out=0.02, rngs=nnx.Rngs(0))
    >>> y, statistics = moe.routed(jnp.ones((2, 3, 8)))
    >>> y.shape, statistics.load.shape
    ((2, 3, 8), (4,))
    """

    def __init__(
        self,
        embed: int,
        mlp: int,
        mixture: Mixture,
        *,
        activation: Activation,
        bias: bool,
        std: float,
        std_out: float,
        rngs: nnx.Rngs,
    ) -> None:
        self.mixture, self.activation = mixture, activation
        experts = mixture.experts
        rises, falls = ({"embed": embed}, {"mlp": mlp}), ({"mlp": mlp}, {"embed": embed})
        self.router = Dense({"embed": embed}, {"experts": experts}, std=std, bias=False, rngs=rngs)
        self.gate = ExpertDense(experts, *rises, std=std, bias=bias, rngs=rngs) if activation in GATED else None
        self.up = ExpertDense(experts, *rises, std=std, bias=bias, rngs=rngs)
        self.down = ExpertDense(experts, *falls, std=std_out, bias=bias, rngs=rngs)

    def __call__(self, x_BTE: Float[Array, "B T E"], masks: Mapping[str, Array] | None = None) -> Float[Array, "B T E"]:
        """The output alone; see `routed`."""
        return self.routed(x_BTE, masks)[0]

    def routed(
        self, x_BTE: Float[Array, "B T E"], masks: Mapping[str, Array] | None = None
    ) -> tuple[Float[Array, "B T E"], RouterStatistics]:
        """The output, and what the router did.

        Args:
          masks: by axis. `experts` (X,) multiplies exp(logits): an expert of mask 0 is never chosen, so experts can be
            added to a trained layer without any change and let in gradually. `mlp` (F,) multiplies the hidden units.
        """
        masks = masks or {}
        logits_BTX = self._logits(x_BTE, masks.get("experts"))
        weight_BTk, expert_BTk = self._choose(logits_BTX)
        mask_F = masks.get("mlp")
        if self.mixture.capacity is not None:
            y_BTE, kept_BTk = self._with_capacity(x_BTE, weight_BTk, expert_BTk, mask_F)
        else:
            kept_BTk = jnp.ones_like(weight_BTk)
            run = self._ragged if self.mixture.dispatch == "ragged" else self._dense
            y_BTE = run(x_BTE, weight_BTk, expert_BTk, mask_F)
        return y_BTE, _statistics(logits_BTX, expert_BTk, kept_BTk)

    def inside(self, x_BTE: Float[Array, "B T E"]) -> tuple[Bool[Array, "B T X"], Float[Array, "B X T F"]]:
        """Which experts each token chooses, whether they have room or not, and every expert's hidden units of it."""
        _, expert_BTk = self._choose(self._logits(x_BTE, None))
        experts = self.mixture.experts
        x_BXTE = jnp.broadcast_to(x_BTE[:, None], (x_BTE.shape[0], experts, *x_BTE.shape[1:]))
        gate = None if self.gate is None else self.gate.each(x_BXTE)
        hidden_BXTF = activate(self.activation, self.up.each(x_BXTE), gate)
        return jax.nn.one_hot(expert_BTk, experts, dtype=bool).any(2), hidden_BXTF

    def _logits(self, x_BTE: Array, mask_X: Array | None) -> Array:
        wide = jnp.promote_types(x_BTE.dtype, jnp.float32)
        logits_BTX = x_BTE.astype(wide) @ self.router.kernel[...].astype(wide)
        return logits_BTX if mask_X is None else logits_BTX + _log(mask_X.astype(wide))

    def _choose(self, logits_BTX: Array) -> tuple[Array, Array]:
        """Weight and index of the chosen experts, the best first."""
        if self.mixture.routing == "softmax_topk":
            weight_BTk, expert_BTk = jax.lax.top_k(jax.nn.softmax(logits_BTX), self.mixture.top_k)
            return weight_BTk, expert_BTk
        chosen_BTk, expert_BTk = jax.lax.top_k(logits_BTX, self.mixture.top_k)
        return jax.nn.softmax(chosen_BTk), expert_BTk

    def _mlp(self, linear: Callable[[ExpertDense, Array], Array], x: Array, mask_F: Array | None) -> Array:
        """The experts' networks, given how one linear layer of all of them is applied."""
        gate = None if self.gate is None else linear(self.gate, x)
        hidden = activate(self.activation, linear(self.up, x), gate)
        return linear(self.down, hidden if mask_F is None else hidden * mask_F)

    def _ragged(self, x_BTE: Array, weight_BTk: Array, expert_BTk: Array, mask_F: Array | None) -> Array:
        """Rows sorted by expert, so that each expert has one contiguous group of any size."""
        B, T, E = x_BTE.shape
        expert_M = expert_BTk.reshape(-1)
        order_M = jnp.argsort(expert_M, stable=True)
        sizes_X = jnp.bincount(expert_M, length=self.mixture.experts).astype(jnp.int32)
        x_ME = x_BTE.reshape(-1, E)[order_M // self.mixture.top_k]
        y_ME = self._mlp(lambda dense, x: dense.grouped(x, sizes_X, expert_M[order_M]), x_ME, mask_F)
        y_BTkE = y_ME[jnp.argsort(order_M)].reshape(B, T, self.mixture.top_k, E)
        return jnp.sum(y_BTkE * weight_BTk[..., None].astype(x_BTE.dtype), axis=2)

    def _dense(self, x_BTE: Array, weight_BTk: Array, expert_BTk: Array, mask_F: Array | None) -> Array:
        """Every expert on every token."""
        x_BXTE = jnp.broadcast_to(x_BTE[:, None], (x_BTE.shape[0], self.mixture.experts, *x_BTE.shape[1:]))
        y_BXTE = self._mlp(lambda dense, x: dense.each(x), x_BXTE, mask_F)
        chosen_BTkX = jax.nn.one_hot(expert_BTk, self.mixture.experts, dtype=x_BTE.dtype)
        weight_BTX = jnp.sum(chosen_BTkX * weight_BTk[..., None].astype(x_BTE.dtype), axis=2)
        return jnp.sum(y_BXTE * weight_BTX.swapaxes(1, 2)[..., None], axis=1)

    def _with_capacity(
        self, x_BTE: Array, weight_BTk: Array, expert_BTk: Array, mask_F: Array | None
    ) -> tuple[Array, Array]:
        """Every expert on a buffer of C tokens of each row; also which choices found room in it."""
        (B, T, E), X = x_BTE.shape, self.mixture.experts
        C = min(T, math.ceil((self.mixture.capacity or 0) * self.mixture.top_k * T / X))
        chosen_BNX = jax.nn.one_hot(expert_BTk.reshape(B, -1), X, dtype=jnp.int32)  # N = T k, in the order of tokens
        place_BN = jnp.sum((jnp.cumsum(chosen_BNX, axis=1) - 1) * chosen_BNX, axis=-1)
        kept_BN = place_BN < C
        slot_BN = jnp.where(kept_BN, expert_BTk.reshape(B, -1) * C + place_BN, X * C)  # the last one is thrown away
        token_N = jnp.arange(T * self.mixture.top_k) // self.mixture.top_k
        rows_B1 = jnp.arange(B)[:, None]
        buffer = jnp.zeros((B, X * C + 1, E), x_BTE.dtype).at[rows_B1, slot_BN].set(x_BTE[:, token_N])
        y_BXCE = self._mlp(lambda dense, x: dense.each(x), buffer[:, :-1].reshape(B, X, C, E), mask_F)
        y_BNE = y_BXCE.reshape(B, X * C, E)[rows_B1, jnp.minimum(slot_BN, X * C - 1)]
        kept_BTk = kept_BN.reshape(weight_BTk.shape)
        weight_BTk = jnp.where(kept_BTk, weight_BTk, 0).astype(x_BTE.dtype)
        return jnp.sum(y_BNE.reshape(*weight_BTk.shape, E) * weight_BTk[..., None], axis=2), kept_BTk


class ExpertDense(nnx.Module):
    """The same linear layer of every expert: kernel (experts, reads, writes) and bias (experts, writes)."""

    def __init__(
        self,
        experts: int,
        reads: Mapping[str, int],
        writes: Mapping[str, int],
        *,
        std: float,
        bias: bool,
        rngs: nnx.Rngs,
    ) -> None:
        (i, size_in), (o, size_out) = *reads.items(), *writes.items()
        matrix = jax.random.normal(rngs.params(), (experts * size_in, size_out))
        own, zeros = std * matrix.reshape(experts, size_in, size_out), jnp.zeros((experts, size_out))
        self.kernel = axes.param(own, stack=("experts",), reads=(i,), writes=(o,))
        self.bias = axes.param(zeros, stack=("experts",), writes=(o,)) if bias else None

    def each(self, x_BXCi: Float[Array, "B X C i"]) -> Float[Array, "B X C o"]:
        """Every expert on its own rows."""
        y_BXCo = jnp.einsum("bxci,xio->bxco", x_BXCi, self.kernel[...])
        return y_BXCo if self.bias is None else y_BXCo + self.bias[...][:, None]

    def grouped(
        self, x_Mi: Float[Array, "M i"], sizes_X: Int[Array, " X"], expert_M: Int[Array, " M"]
    ) -> Float[Array, "M o"]:
        """Every row by the expert in whose group it is; `sizes_X` are the groups' sizes, `expert_M` says it per row."""
        y_Mo = jax.lax.ragged_dot(x_Mi, self.kernel[...], sizes_X)
        return y_Mo if self.bias is None else y_Mo + self.bias[...][expert_M]


def empty_statistics(layers: int, experts: int, dtype: jnp.dtype) -> RouterStatistics:
    """Zeros for the statistics of `layers` layers, to be filled one by one.

    >>> empty_statistics(2, 4, jnp.dtype("float32")).load.shape
    (2, 4)
    """
    per_expert, per_layer = jnp.zeros((layers, experts), dtype), jnp.zeros(layers, dtype)
    return RouterStatistics(per_expert, per_expert, per_layer, per_layer, per_layer, per_layer)


def _statistics(logits_BTX: Array, expert_BTk: Array, kept_BTk: Array) -> RouterStatistics:
    log_z = jax.nn.logsumexp(logits_BTX, axis=-1, keepdims=True)
    probability = jnp.exp(logits_BTX - log_z)
    finite = jnp.where(probability > 0, logits_BTX - log_z, 0)
    dtype = logits_BTX.dtype
    return RouterStatistics(
        load=jnp.bincount(expert_BTk.reshape(-1), length=logits_BTX.shape[-1]).astype(dtype) / expert_BTk.size,
        probability=probability.mean((0, 1)),
        z=jnp.mean(log_z**2),
        max_z=jnp.mean(logits_BTX.max(-1) ** 2),
        entropy=-jnp.mean(jnp.sum(probability * finite, -1)),
        dropped=jnp.mean(1 - kept_BTk.astype(dtype)),
    )


def _log(mask_X: Array) -> Array:
    """The logarithm of a mask; of 0 a number so low that no expert with it is chosen, and without a NaN gradient."""
    lowest = jnp.finfo(mask_X.dtype).min / 2
    return jnp.where(mask_X > 0, jnp.log(jnp.where(mask_X > 0, mask_X, 1)), lowest)

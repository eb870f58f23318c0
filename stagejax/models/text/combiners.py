"""What a block adds to its stream of the outputs u_a of its adapters: one's own, a scaled sum, or an attention.

A row belongs to a task, and each task has combining weights of its own, so that many targets are trained in one
program: row b reads the weights of task t(b) alone. `sees` says which adapters a target may use; None: all.

Letters: A adapters, M bottleneck, N tasks, B batch, T tokens, E embed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.block import Key, dropout

#: For every target the numbers of the adapters that it may use.
Sees = tuple[tuple[int, ...], ...] | None


@runtime_checkable
class Bank(Protocol):
    """The adapters of a block, u_a = up_a inner_a, without their residuals."""

    def inner(self, h_BTE: Array, layer: Any) -> Float[Array, "B T A M"]:
        """The bottleneck of each adapter for every row."""
        ...

    def outward(self, layer: Any) -> Float[Array, "A M E"]:
        """What each adapter makes of its bottleneck."""
        ...

    def one(self, h_BTE: Array, which_B: Array, layer: Any) -> Float[Array, "B T E"]:
        """What one adapter for each row gives."""
        ...


@dataclass(frozen=True)
class Own:
    """`u_t`: rows of task t go through adapter first + t; a single one serves all tasks (joint multi-task learning)."""

    first: int = 0

    def build(self, tasks: int, adapters: int, layers: int, embed: int, rngs: nnx.Rngs) -> OwnAdapter:
        """The combiner of a model; it has no weights."""
        if adapters != 1 and adapters < self.first + tasks:
            raise ValueError(f"adapters={adapters} of tasks={tasks}: {self} needs one for each, or one for all")
        return OwnAdapter(self.first, adapters == 1)


class OwnAdapter(nnx.Module):
    """`Own` as a module."""

    def __init__(self, first: int, one_for_all: bool) -> None:
        self.first, self.one_for_all = first, one_for_all

    def __call__(
        self, bank: Bank, h_BTE: Float[Array, "B T E"], task_B: Int[Array, " B"], layer: Any, key: Key | None
    ) -> Float[Array, "B T E"]:
        """What each row's own adapter gives."""
        return bank.one(h_BTE, jnp.zeros_like(task_B) if self.one_for_all else self.first + task_B, layer)


@dataclass(frozen=True)
class Scale:
    """ScaLearn: `sum_a omega_a * u_a`, element by element, with omega free: no softmax, no sum of 1, no sign.

    The four variants are the shapes of omega: (layers, A, E), or with one number for all of E (`uniform`), for all
    layers (`shared`), or both. It begins at Normal(start, spread).

    Reference: Frohmann et al. 2024, https://arxiv.org/abs/2310.01217, section 3.

    Args:
      shared: ScaLearn++.
      uniform: ScaLearnUniform.
      dropout: share of the coefficients that a training step sets to 0; the others are divided by 1 - dropout.
      start: mean of the first values; None: 2 / number of adapters.
      constraint: ablations that the paper rejects: "mean" divides by the sum over adapters, "softmax" exponentiates.
    """

    shared: bool = False
    uniform: bool = False
    dropout: float = 0.3
    start: float | None = None
    spread: float = 0.001
    constraint: Literal["mean", "softmax"] | None = None
    sees: Sees = None

    def build(self, tasks: int, adapters: int, layers: int, embed: int, rngs: nnx.Rngs) -> Scales:
        """The coefficients of a model."""
        return Scales(self, tasks, adapters, layers, embed, rngs)


class Scales(nnx.Module):
    """`omega` (N, [layers,] A[, E]) of `Scale`.

    >>> Scale(shared=True, uniform=True).build(3, 8, 12, 16, nnx.Rngs(0)).omega.shape
    (3, 8)
    """

    def __init__(self, config: Scale, tasks: int, adapters: int, layers: int, embed: int, rngs: nnx.Rngs) -> None:
        self.config = config
        self.counts = tasks, adapters
        over = {"tasks": tasks} | ({} if config.shared else {"layers": layers}) | {"adapters": adapters}
        own = {} if config.uniform else {"embed": embed}
        noise = jax.random.normal(rngs.params(), (*over.values(), *own.values()))
        many = seen(config.sees, tasks, adapters).sum(1).reshape(-1, *[1] * (noise.ndim - 1))
        start = 2 / many if config.start is None else config.start
        self.omega = axes.param(start + config.spread * noise, stack=tuple(over), gain=tuple(own))

    def coefficients(self, layer: Any, key: Key | None = None) -> Float[Array, "N A E"] | Float[Array, "N A 1"]:
        """omega as a block uses it: 0 for what a target does not see, and dropped out where a key is given."""
        c = self.config
        omega = self.omega[...] if c.shared else self.omega[...][:, layer]
        omega = omega[..., None] if c.uniform else omega
        visible = seen(c.sees, *self.counts)[..., None]
        if c.constraint == "softmax":
            omega = jax.nn.softmax(jnp.where(visible, omega, -jnp.inf), axis=1)
        omega = omega * visible
        omega = omega / omega.sum(1, keepdims=True) if c.constraint == "mean" else omega
        return dropout(omega, c.dropout, None if key is None else jax.random.fold_in(key, layer))

    def __call__(
        self, bank: Bank, h_BTE: Float[Array, "B T E"], task_B: Int[Array, " B"], layer: Any, key: Key | None
    ) -> Float[Array, "B T E"]:
        """The scaled sum of what all adapters give; it is `up` that is scaled, so that the u_a are never there."""
        omega_BAe = of_task(self.coefficients(layer, key), task_B)
        return jnp.einsum("btam,bame->bte", bank.inner(h_BTE, layer), omega_BAe[:, :, None] * bank.outward(layer))


@dataclass(frozen=True)
class Fusion:
    """AdapterFusion: `V sum_a p_a u_a` with `p = softmax_a((Q h) . (K u_a))`; V begins as the identity.

    Computed as (up_a^T K^T Q h) . inner_a, and V after the sum: the same numbers by fewer products.

    Reference: Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247, section 3.2.
    """

    std: float = 0.02  # of Q and K at first
    sees: Sees = None

    def build(self, tasks: int, adapters: int, layers: int, embed: int, rngs: nnx.Rngs) -> FusionLayers:
        """The matrices of a model."""
        return FusionLayers(self, tasks, adapters, layers, embed, rngs)


class FusionLayers(nnx.Module):
    """`query`, `key` and `value` (N, layers, E, E) of `Fusion`."""

    def __init__(self, config: Fusion, tasks: int, adapters: int, layers: int, embed: int, rngs: nnx.Rngs) -> None:
        self.config = config
        self.counts = tasks, adapters

        def matrix(value: Array) -> nnx.Param:
            whole = jnp.broadcast_to(value, (tasks, layers, embed, embed))
            return axes.param(whole, stack=("tasks", "layers"), reads=("embed",), writes=("fused",))

        def drawn() -> Array:
            return config.std * jax.random.normal(rngs.params(), (tasks, layers, embed, embed))

        self.query, self.key, self.value = matrix(drawn()), matrix(drawn()), matrix(jnp.eye(embed))

    def __call__(
        self, bank: Bank, h_BTE: Float[Array, "B T E"], task_B: Int[Array, " B"], layer: Any, key: Key | None
    ) -> Float[Array, "B T E"]:
        """What the attention over adapters gives, token by token."""
        query, keys, value = (of_task(w[...][:, layer], task_B) for w in (self.query, self.key, self.value))
        inner_BTAM, up_AME = bank.inner(h_BTE, layer), bank.outward(layer)
        wanted_BTE = jnp.einsum("btf,bgf->btg", jnp.einsum("bte,bef->btf", h_BTE, query), keys)
        scores_BTA = (jnp.einsum("bte,ame->btam", wanted_BTE, up_AME) * inner_BTAM).sum(-1)
        visible_BA = jnp.asarray(seen(self.config.sees, *self.counts))[task_B]
        shares_BTA = jax.nn.softmax(jnp.where(visible_BA[:, None], scores_BTA, -jnp.inf))
        added_BTE = jnp.einsum("btam,ame->bte", shares_BTA[..., None] * inner_BTAM, up_AME)
        return jnp.einsum("bte,bef->btf", added_BTE, value)


def of_task(weights_N: Float[Array, " N *rest"], task_B: Int[Array, " B"]) -> Float[Array, " B *rest"]:
    """The weights of each row's task: a product with a one-hot table, whose gradient is a product too and no scatter.

    >>> of_task(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1, 1, 0])).tolist()
    [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]
    """
    return jnp.tensordot(jax.nn.one_hot(task_B, weights_N.shape[0], dtype=weights_N.dtype), weights_N, 1)


def seen(sees: Sees, tasks: int, adapters: int) -> Bool[np.ndarray, "N A"]:
    """Which adapters every target sees, as a table.

    Raises:
      ValueError: not one row a task, a number that no adapter has, or a target that sees none.

    >>> seen(((0, 2), (1,)), 2, 3).tolist()
    [[True, False, True], [False, True, False]]
    """
    rows = sees if sees is not None else (tuple(range(adapters)),) * tasks
    if len(rows) != tasks or any(not row or min(row) < 0 or max(row) >= adapters for row in rows):
        raise ValueError(f"sees={sees} for tasks={tasks}: say for each which of the adapters 0 ... {adapters - 1}")
    table = np.zeros((tasks, adapters), bool)
    for task, row in enumerate(rows):
        table[task, list(row)] = True
    return table


def transfer_parameters(combine: Own | Scale | Fusion, adapters: int, layers: int, embed: int) -> int:
    """How many numbers one target trains beside its head, to combine so many adapters.

    >>> [transfer_parameters(c, 8, 12, 768) for c in (Scale(), Scale(uniform=True), Scale(shared=True))]
    [73728, 96, 6144]
    """
    made = nnx.eval_shape(lambda: combine.build(1, adapters, layers, embed, nnx.Rngs(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(made, nnx.Param)))

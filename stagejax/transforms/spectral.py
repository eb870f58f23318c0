"""Kernels as their singular value decomposition, of which few directions are trained at a time.

`W = left · diag(values) · right`, with `left` (inputs, m), `right` (m, outputs), m = min(inputs, outputs). All values
are trained; of the directions only r, which lie beside the store as `active_left` (inputs, r) and `active_right`
(r, outputs) and replace the rows of the store that `active` names. So gradients and moments have r directions, not m.

Reference: Zhao et al. 2024, Sparse Spectral Training, https://arxiv.org/abs/2405.15481.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.axes import Axes
from stagejax.transforms.reparameterize import Tree, as_matrices, check_rank, split_sizes, update_kernels

Kernel = dict[str, jax.Array]
#: (values (..., m), r, key, turn) -> r different directions of each kernel (..., r).
Sampler = Callable[[jax.Array, int, jax.Array, Any], jax.Array]


def directions(path: str, axes: Axes) -> bool:
    """A stage's `trainable`: everything but the stored directions, of which the active ones are trained in their place.

    >>> directions("up/kernel/left", Axes((), ())), directions("up/kernel/active_left", Axes((), ()))
    (False, True)
    """
    return path.rpartition("/")[2] not in ("left", "right")


# --- the kernel ---


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def compose(
    enhanced: bool,
    left: Float[Array, "inputs m"],
    values: Float[Array, " m"],
    right: Float[Array, "m outputs"],
    active_left: Float[Array, "inputs r"],
    active_right: Float[Array, "r outputs"],
    active: Int[Array, " r"],
) -> Float[Array, "inputs outputs"]:
    """`W = sum_i values_i · left_i right_i`, where the active directions replace those of the store.

    With G = dL/dW, the gradient of value i is `left_i^T G right_i`, and that of an active direction `G right_i` and
    `left_i^T G`: the *enhanced* one, without the factor values_i of the true gradient (which `enhanced=False` keeps).
    The store gets none.
    """
    return _compose(enhanced, left, values, right, active_left, active_right, active)[0]


def _compose(
    enhanced: bool, left: Array, values: Array, right: Array, active_left: Array, active_right: Array, active: Array
) -> tuple[Array, tuple[Array, ...]]:
    left, right = _put(left, right, active_left, active_right, active)
    return (left * values) @ right, (left, values, right, active_left, active_right, active)


def _gradients(enhanced: bool, kept: tuple[Array, ...], gradient: Array) -> tuple[Array | None, ...]:
    left, values, right, active_left, active_right, active = kept
    scale = jnp.ones_like(values[active]) if enhanced else values[active]
    of_values = jnp.sum((left.T @ gradient) * right, axis=-1)
    of_left = (gradient @ active_right.T) * scale
    of_right = scale[:, None] * (active_left.T @ gradient)
    return None, of_values, None, of_left, of_right, None


compose.defvjp(_compose, _gradients)


class Active(nnx.Variable):
    """Which directions of the spectrum are trained."""


@dataclass(frozen=True)
class Spectral:
    """Every kernel as its singular values and vectors. Train it with `trainable=directions`."""

    rank: int  # directions trained at a time
    enhanced: bool = True  # gradients of directions without the factor of their singular values
    names: ClassVar[frozenset[str]] = frozenset({"left", "values", "right", "active_left", "active_right"})

    def make(self, value: jax.Array, axes: Axes, key: jax.Array) -> nnx.Module:
        """The module of one kernel."""
        return SpectralKernel(self, value, axes)

    def value(self, params: Mapping[str, jax.Array], rest: Mapping[str, jax.Array]) -> jax.Array:
        """The kernel as one array."""
        values, lead = params["values"], params["values"].ndim - 1
        left, right = as_matrices(params["left"], params["right"], lead)
        active = as_matrices(params["active_left"], params["active_right"], lead)
        made = _stacked(functools.partial(compose, self.enhanced), lead)(left, values, right, *active, rest["active"])
        return made.reshape(params["left"].shape[:-1] + params["right"].shape[lead + 1 :])


class SpectralKernel(nnx.Module):
    """One kernel of a model with `Spectral`; `kernel[...]` is the product."""

    def __init__(self, form: Spectral, value: Float[Array, "..."], named: Axes) -> None:
        stack, reads, writes = split_sizes(named, value.shape)
        check_rank("Spectral", form.rank, named, reads, writes)
        lead, inner, outer = (tuple(sizes.values()) for sizes in (stack, reads, writes))
        left, values, right = decompose(value.reshape(*lead, math.prod(inner), math.prod(outer)))
        m, r = values.shape[-1], form.rank
        left, right = left.reshape(*lead, *inner, m), right.reshape(*lead, m, *outer)
        into, out = {"reads": tuple(reads)}, {"writes": tuple(writes)}
        make = functools.partial(axes.param, stack=tuple(stack))
        self.form = form
        self.left = make(left, **into, writes=("spectrum",))
        self.values = make(values, gain=("spectrum",))
        self.right = make(right, reads=("spectrum",), **out)
        self.active_left = make(left[..., :r], **into, writes=("active",))
        self.active_right = make(jax.lax.slice_in_dim(right, 0, r, axis=len(lead)), reads=("active",), **out)
        self.active = Active(jnp.broadcast_to(jnp.arange(r, dtype=jnp.int32), (*lead, r)))

    def __getitem__(self, _: object) -> Float[Array, "..."]:
        params = {name: getattr(self, name)[...] for name in Spectral.names}
        return self.form.value(params, {"active": self.active[...]})


def decompose(matrices: Float[Array, "*lead inputs outputs"]) -> tuple[Array, Array, Array]:
    """Left vectors (..., inputs, m), values in falling order (..., m), right vectors (..., m, outputs); one at a time.

    >>> _, values, _ = decompose(jnp.diag(jnp.array([1.0, 3.0, 2.0])))
    >>> values.round(5)
    Array([3., 2., 1.], dtype=float32)
    """
    lead = matrices.shape[:-2]
    wide = matrices.astype(jnp.promote_types(matrices.dtype, jnp.float32)).reshape(-1, *matrices.shape[-2:])
    parts = jax.lax.map(functools.partial(jnp.linalg.svd, full_matrices=False), wide)
    left, values, right = (x.astype(matrices.dtype).reshape(*lead, *x.shape[1:]) for x in parts)
    return left, values, right


# --- which directions are trained next ---


def probabilities(values: Float[Array, "*lead m"]) -> Float[Array, "*lead m"]:
    """`p_i = (1/m + s_i / sum s) / 2`: by singular value, and none so small that it is never drawn.

    >>> probabilities(jnp.array([3.0, 1.0, 0.0, 0.0]))
    Array([0.5  , 0.25 , 0.125, 0.125], dtype=float32)
    """
    total = jnp.maximum(values.sum(-1, keepdims=True), jnp.finfo(values.dtype).tiny)
    return (1 / values.shape[-1] + values / total) / 2


def multinomial(values: jax.Array, rank: int, key: jax.Array, turn: Any) -> jax.Array:
    """r directions drawn one after the other by `probabilities`, without replacement: the r largest of log p + Gumbel.

    Reference of the equivalence: Yellott 1977; Kool et al. 2019, https://arxiv.org/abs/1903.06059.
    """
    noise = jax.random.gumbel(key, values.shape, values.dtype)
    return jax.lax.top_k(jnp.log(probabilities(values)) + noise, rank)[1]


def top(values: jax.Array, rank: int, key: jax.Array, turn: Any) -> jax.Array:
    """The r directions of the largest values."""
    return jax.lax.top_k(values, rank)[1]


def uniform(values: jax.Array, rank: int, key: jax.Array, turn: Any) -> jax.Array:
    """r directions drawn without regard to their values."""
    return jax.lax.top_k(jax.random.uniform(key, values.shape), rank)[1]


def sequential(values: jax.Array, rank: int, key: jax.Array, turn: Any) -> jax.Array:
    """One after the other: directions r t ... r t + r - 1 at turn t, modulo m.

    >>> sequential(jnp.ones(5), 2, jax.random.key(0), 2).tolist()
    [4, 0]
    """
    return jnp.broadcast_to(
        (turn * rank + jnp.arange(rank, dtype=jnp.int32)) % values.shape[-1], (*values.shape[:-1], rank)
    )


# --- transforms of the state ---


def resample(form: Spectral, params: Tree, rest: Tree, key: jax.Array, turn: Any, sample: Sampler) -> tuple[Tree, Tree]:
    """Write the active directions back into the store and take others out; the function stays to the bit."""

    def one(number: int, params: Kernel, rest: Kernel) -> tuple[Kernel, Kernel]:
        stored = _stored(params, rest)
        active = sample(stored["values"], form.rank, jax.random.fold_in(key, number), turn).astype(jnp.int32)
        return _taken(stored, active), {"active": active}

    return update_kernels(form, one, params, rest)


def redecompose(form: Spectral, params: Tree, rest: Tree) -> tuple[Tree, Tree]:
    """`left, values, right = SVD(W)`: orthogonal again, in falling order; the function stays up to rounding."""

    def one(_: int, params: Kernel, rest: Kernel) -> tuple[Kernel, Kernel]:
        value, lead = form.value(params, rest), params["values"].shape[:-1]
        inner = math.prod(params["left"].shape[len(lead) : -1])
        left, values, right = decompose(value.reshape(*lead, inner, -1))
        stored = {"left": left.reshape(params["left"].shape), "values": values}
        stored["right"] = right.reshape(params["right"].shape)
        return _taken(stored, rest["active"]), rest

    return update_kernels(form, one, params, rest)


def retract(form: Spectral, params: Tree) -> Tree:
    """Active directions back on the unit sphere, values below zero at zero: what follows each optimizer step."""

    def one(_: int, params: Kernel, rest: Tree) -> tuple[Kernel, Tree]:
        lead = params["values"].ndim - 1
        left, right = params["active_left"], params["active_right"]
        unit = {
            "active_left": left / _norm(left, range(lead, left.ndim - 1)),
            "active_right": right / _norm(right, range(lead + 1, right.ndim)),
        }
        return params | unit | {"values": jnp.maximum(params["values"], 0)}, rest

    return update_kernels(form, one, params, {})[0]


def _norm(x: jax.Array, over: range) -> jax.Array:
    return jnp.maximum(jnp.linalg.vector_norm(x, axis=tuple(over), keepdims=True), jnp.finfo(x.dtype).tiny)


def _stored(params: Kernel, rest: Kernel) -> Kernel:
    """The store with the active directions in their places."""
    lead = params["values"].ndim - 1
    places = _stacked(_put, lead)(
        *as_matrices(params["left"], params["right"], lead),
        *as_matrices(params["active_left"], params["active_right"], lead),
        rest["active"],
    )
    left, right = (new.reshape(params[name].shape) for name, new in zip(("left", "right"), places, strict=True))
    return {"left": left, "values": params["values"], "right": right}


def _taken(stored: Kernel, active: jax.Array) -> Kernel:
    """The store and, beside it, its active directions."""
    left, right, lead = stored["left"], stored["right"], stored["values"].ndim - 1
    active_left, active_right = _stacked(_take, lead)(*as_matrices(left, right, lead), active)
    rank = active.shape[-1:]
    return stored | {
        "active_left": active_left.reshape(left.shape[:-1] + rank),
        "active_right": active_right.reshape(right.shape[:lead] + rank + right.shape[lead + 1 :]),
    }


def _put(left: Array, right: Array, active_left: Array, active_right: Array, active: Array) -> tuple[Array, Array]:
    return left.at[:, active].set(active_left), right.at[active].set(active_right)


def _take(left: Array, right: Array, active: Array) -> tuple[Array, Array]:
    return left[:, active], right[active]


def _stacked(function: Callable[..., Any], lead: int) -> Callable[..., Any]:
    """A function of one kernel's matrices on kernels that are stacked along `lead` dimensions."""
    for _ in range(lead):
        function = jax.vmap(function)
    return function

"""Pruning: kernels of which some entries are held at zero by a mask, chosen by magnitude."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax import axes
from stagejax.axes import Axes
from stagejax.transforms.reparameterize import Tree, split_sizes, update_kernels


class Mask(nnx.Variable):
    """Which entries of a kernel are there. Not a parameter: no gradient and no moment belongs to it."""


@dataclass(frozen=True)
class Masked:
    """`W = mask ⊙ dense`, with all entries there at first; masked entries get no gradient and take no part.

    >>> from stagejax.models import gpt
    >>> from stagejax.transforms import Reparameterized
    >>> model = Reparameterized(gpt(layers=1), Masked()).build(nnx.Rngs(0))
    >>> bool(model.blocks.mlp.up.kernel.mask[...].all())
    True
    """

    names: ClassVar[frozenset[str]] = frozenset({"dense"})

    def make(self, value: jax.Array, axes: Axes, key: jax.Array) -> nnx.Module:
        """The module of one kernel."""
        return MaskedKernel(self, value, axes)

    def value(self, params: Mapping[str, jax.Array], rest: Mapping[str, jax.Array]) -> jax.Array:
        """The kernel with its zeros."""
        return jnp.where(rest["mask"], params["dense"], 0)


class MaskedKernel(nnx.Module):
    """One kernel of a model with `Masked`; `kernel[...]` has zeros where the mask has."""

    def __init__(self, form: Masked, value: Float[Array, "..."], named: Axes) -> None:
        stack, reads, writes = (tuple(names) for names in split_sizes(named, value.shape))
        self.form = form
        self.dense = axes.param(value, stack=stack, reads=reads, writes=writes)
        self.mask = Mask(jnp.ones(value.shape, bool), axes=named)

    def __getitem__(self, _: object) -> Float[Array, "..."]:
        return self.form.value({"dense": self.dense[...]}, {"mask": self.mask[...]})


def by_magnitude(
    dense: Float[Array, "..."], sparsity: Float[Array, ""] | float, threshold: Float[Array, ""] | None = None
) -> Bool[Array, "..."]:
    """Which entries stay: all but the share `sparsity` of least magnitude, or those above a threshold.

    >>> by_magnitude(jnp.array([3.0, -1.0, 2.0, -4.0]), 0.5).tolist()
    [True, False, False, True]
    """
    size = jnp.abs(dense)
    if threshold is None:
        rank = jnp.argsort(jnp.argsort(size.ravel())).reshape(size.shape)
        return rank >= jnp.round(sparsity * size.size)
    return size > threshold


def prune(
    params: Tree, rest: Tree, sparsity: Float[Array, ""] | float, scope: Literal["kernel", "model"] = "kernel"
) -> tuple[Tree, Tree]:
    """Masks renewed by magnitude, of a model with `Masked`: share `sparsity` of each kernel, or of all, is zero.

    Masked entries are zero at the same time, so that they do not come back with their old value when a mask opens. A
    pure transform: call it between stages, or in a step with `cubic_sparsity`.

    Reference: Han et al. 2015, https://arxiv.org/abs/1506.02626 (kernel by kernel); Frankle and Carbin 2019,
    https://arxiv.org/abs/1803.03635, section 4 (over all).
    """
    threshold, found = None, []
    if scope == "model":
        update_kernels(Masked(), lambda _, p, r: (found.append(jnp.abs(p["dense"]).ravel()), (p, r))[1], params, rest)
        threshold = jnp.quantile(jnp.concatenate(found), sparsity)

    def one(_: int, params: dict[str, Any], rest: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        mask = by_magnitude(params["dense"], sparsity, threshold)
        return {"dense": jnp.where(mask, params["dense"], 0)}, {**rest, "mask": mask}

    return update_kernels(Masked(), one, params, rest)


def cubic_sparsity(progress: Float[Array, ""] | float, last: float, first: float = 0.0) -> Float[Array, ""]:
    """The share of zeros by progress p from 0 to 1: last + (first - last) (1 - p)³, quickly at first.

    Reference: Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878, equation 1.

    >>> [round(float(cubic_sparsity(p, 0.8)), 2) for p in (0.0, 0.5, 1.0)]
    [0.0, 0.7, 0.8]
    """
    return last + (first - last) * (1 - jnp.clip(progress, 0.0, 1.0)) ** 3

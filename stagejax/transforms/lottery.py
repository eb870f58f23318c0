"""Lottery-ticket sparse fine-tuning: train all entries, keep those that moved most, begin again with these alone.

form = Reparameterized(base, Ticket(), chosen)              # chosen: what may be masked, such as all but the head
open = run.transform("open", form.adapt, start, to=form)    # every entry learns
full = run.train(Stage("full", form, ...), open)
ticket = run.transform("ticket", draw(0.08), open, full, to=form)
sparse = run.train(Stage("sparse", form, ...), ticket)      # 8 % of the entries have moved, all others are `start`'s

The difference that this leaves is sparse, and differences of several tasks and languages add up (`add_differences`).

Reference: Ansell et al. 2022, https://arxiv.org/abs/2110.07560.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax import axes
from stagejax.axes import Axes
from stagejax.transforms.reparameterize import Tree, Variables, split_sizes, update_kernels


class Learns(nnx.Variable):
    """Which entries of a parameter learn. Not a parameter."""


@dataclass(frozen=True)
class Ticket:
    """A parameter of which only some entries learn; all of them at first.

    The others get the gradient 0, and so are left where they are by any optimizer that does not decay them.

    >>> from stagejax.models import gpt
    >>> from stagejax.transforms import Reparameterized
    >>> model = Reparameterized(gpt(layers=1), Ticket()).build(nnx.Rngs(0))
    >>> bool(model.blocks.mlp.up.kernel.learns[...].all())
    True
    """

    names: ClassVar[frozenset[str]] = frozenset({"entries"})

    def make(self, value: jax.Array, axes: Axes, key: jax.Array) -> nnx.Module:
        """The module of one parameter."""
        return TicketParameter(self, value, axes)

    def value(self, params: Mapping[str, jax.Array], rest: Mapping[str, jax.Array]) -> jax.Array:
        """The parameter, through which gradients pass where it learns."""
        return jnp.where(rest["learns"], params["entries"], jax.lax.stop_gradient(params["entries"]))


class TicketParameter(nnx.Module):
    """One parameter of a model with `Ticket`."""

    def __init__(self, form: Ticket, value: Float[Array, "..."], named: Axes) -> None:
        stack, reads, writes = (tuple(names) for names in split_sizes(named, value.shape))
        self.form = form
        self.entries = axes.param(value, stack=stack, reads=reads, writes=writes)
        self.learns = Learns(jnp.ones(value.shape, bool), axes=named)

    def __getitem__(self, _: object) -> Float[Array, "..."]:
        return self.form.value({"entries": self.entries[...]}, {"learns": self.learns[...]})


def largest(sizes: Sequence[Float[Array, "..."]], count: int) -> list[Bool[Array, "..."]]:
    """Which `count` entries of all these arrays together are largest, exactly as many; of equal ones the first.

    >>> [found.tolist() for found in largest([jnp.array([3.0, 1.0]), jnp.array([[2.0, 5.0]])], 2)]
    [[True, False], [[False, True]]]
    """
    order = jnp.argsort(-jnp.concatenate([own.ravel() for own in sizes]), stable=True)
    chosen = jnp.zeros(order.shape, bool).at[order[:count]].set(True)
    ends = [sum(own.size for own in sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return [part.reshape(own.shape) for part, own in zip(jnp.split(chosen, ends), sizes, strict=True)]


@dataclass(frozen=True)
class Drawn:
    """For `run.transform`, with the model before and after training. Make it by `draw`."""

    density: float

    def __call__(self, key: Any, start: Variables, trained: Variables) -> Variables:
        """The parameters of `start`, of which the round(density n) of n that moved most learn.

        Parameters without a `Ticket`, such as a new head, stay as they were trained.
        """
        before, after = (_entries(params, rest) for params, rest in (start, trained))
        moved = [jnp.abs(new - old) for old, new in zip(before, after, strict=True)]
        masks = largest(moved, round(self.density * sum(own.size for own in moved)))

        def one(number: int, _: Tree, rest: Tree) -> tuple[Tree, Tree]:
            return {"entries": before[number]}, {**rest, "learns": masks[number]}

        return update_kernels(Ticket(), one, *trained)


def draw(density: float) -> Drawn:
    """`run.transform(name, draw(0.08), start, trained, to=form)`: mask and reset.

    Raises:
      ValueError: the density is no share.
    """
    if not 0 < density <= 1:
        raise ValueError(f"density={density} is no share of the entries: set 0 < density <= 1")
    return Drawn(density)


def density(rest: Tree) -> float:
    """The share of entries that learn, of all that have a `Ticket`.

    >>> density({"up": {"learns": jnp.array([True, False])}, "down": {"learns": jnp.array([False, False])}})
    0.25
    """
    masks = jax.tree.leaves(rest)
    return float(sum(mask.sum() for mask in masks)) / sum(math.prod(mask.shape) for mask in masks)


def strays(before: Variables, after: Variables) -> int:
    """How many entries of the parameters that have a `Ticket` differ, although they do not learn.

    >>> rest, at = {"up": {"learns": jnp.array([True, False])}}, lambda x: {"up": {"entries": jnp.array(x)}}
    >>> strays((at([1.0, 1.0]), rest), (at([2.0, 1.0]), rest)), strays((at([1.0, 1.0]), rest), (at([2.0, 2.0]), rest))
    (0, 1)
    """
    pairs, found = iter(_entries(*before)), []

    def one(_: int, params: Tree, rest: Tree) -> tuple[Tree, Tree]:
        found.append(int(((params["entries"] != next(pairs)) & ~rest["learns"]).sum()))
        return params, rest

    update_kernels(Ticket(), one, *after)
    return sum(found)


def add_differences(key: Any, base: Variables, *ends: Variables) -> Variables:
    """θ + (θ₁ - θ₁') + (θ₂ - θ₂') + ..., for `run.transform` with base, θ₁, θ₁', θ₂, θ₂', ...

    Other variables are those of the base.

    Raises:
      ValueError: a model without one to subtract.

    >>> one = lambda x: ({"x": jnp.array(x)}, {})
    >>> float(add_differences(None, one(1.0), one(5.0), one(3.0))[0]["x"])
    3.0
    """
    if len(ends) % 2:
        raise ValueError(f"{len(ends)} models behind the base: give each with the one that it began at")
    differences = [
        jax.tree.map(jnp.subtract, end[0], start[0]) for end, start in zip(ends[::2], ends[1::2], strict=True)
    ]
    return jax.tree.map(lambda own, *more: own + sum(more), base[0], *differences), base[1]


def _entries(params: Tree, rest: Tree) -> list[Array]:
    """The parameters that have a `Ticket`, in the order of `update_kernels`."""
    found: list[Array] = []
    update_kernels(Ticket(), lambda _, p, r: (found.append(p["entries"]), (p, r))[1], params, rest)
    return found

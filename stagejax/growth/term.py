"""Terms: an operator's value on one parameter is a sum of mapped sources, some of them only in a region.

    new = Σ coefficient · (⊗ over axes of the map of that axis and side) source

A term without a region adds. A term with a region replaces what the terms before it put there, where its masks say so
on all the axes they name; leaves that lack one of these axes are left alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.axes import Axes, Side, family, layers_dim
from stagejax.growth.blocks import in_blocks
from stagejax.growth.linear import Linear
from stagejax.growth.maps import Map

#: The family of axes along which repeated blocks are stacked; maps of several layers find their layers there.
LAYERS = "layers"


@dataclass(frozen=True, eq=False)
class Term:
    """One source tree, mapped axis by axis.

    Args:
      source: "small", the tree that grows; "init", a fresh one of the new sizes; or another by name (see `run.grow`).
      maps: by axis; axes that are not named stay as they are.
      coefficient: share in a mixture, of moments too; 0 with a region: nothing there.
      region: axis -> (new,) booleans, where it replaces what the terms before it put; None: it is added everywhere.
      leaves: which parameters it concerns, by their axes; None: all.
      constant: what parameters are where the coefficient is 0, with a region.
      matched: with a region: shifted and scaled to the mean and deviation of what it replaces there.
      born: concerns only parameters that the old model lacks (see `Growth.terms_of`).
    """

    source: str
    maps: Mapping[str, Map] = field(default_factory=dict)
    coefficient: float | jax.Array = 1.0
    region: Mapping[str, np.ndarray] | None = None
    leaves: Callable[[Axes], bool] | None = None
    constant: float = 0.0
    matched: bool = False
    born: bool = False

    @property
    def nothing(self) -> bool:
        """Whether it takes nothing from its source: what stands there is a constant, 0 but for some parameters."""
        return isinstance(self.coefficient, float | int) and self.coefficient == 0

    def concerns(self, axes: Axes) -> bool:
        """Whether the term says anything about a parameter with these axes."""
        names = {base(name) for name in axes.names}
        return set(self.region or ()) <= names and (self.leaves is None or self.leaves(axes))


#: How the linear map of one side acts on a kind of values: parameters, moments or masks.
View = Callable[[Linear, Side], Linear]


def by_weight(linear: Linear, side: Side) -> Linear:
    """Parameters and their averages move by the map itself."""
    return linear


def by_dual(linear: Linear, side: Side) -> Linear:
    """Gradients, hence first moments, move by the dual map; along a stack they are copied."""
    return linear if side == "stack" else linear.dual()


def by_squared_dual(linear: Linear, side: Side) -> Linear:
    """Second moments move by the squares of the dual map."""
    return by_dual(linear, side).squared()


def by_index(linear: Linear, side: Side) -> Linear:
    """Masks are copied to where their parameters go, without weights."""
    return linear.pattern()


@functools.cache
def base(name: str) -> str:
    """The axis whose map a name follows: `embed_out` is `embed` on the other side of the same leaf.

    >>> base("embed.image_out")
    'embed.image'
    """
    return name.removesuffix("_out")


def grow_leaf(
    terms: Sequence[Term],
    sources: Mapping[str, tuple[jax.Array, Axes]],
    axes: Axes,
    view: View,
    blocks: bool = False,
) -> jax.Array:
    """One parameter of the target: the sum of the terms over its sources.

    Args:
      terms: in order; a term with a region overwrites the ones before it.
      sources: for each source's name, the leaf and its axes.
      axes: of the target's leaf. An axis that the source lacks is one of size 1 there.
      view: parameters, moments or masks.
      blocks: try `in_blocks`, for arrays on one CPU.

    >>> from stagejax.growth.maps import copy_map
    >>> kernel = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> axes = Axes(("embed", "mlp"), ("read", "write"))
    >>> grow_leaf([Term("small", {"mlp": copy_map([0, 1, 0], 2)})], {"small": (kernel, axes)}, axes, by_weight)
    Array([[1., 2., 1.],
           [3., 4., 3.]], dtype=float32)
    """
    total: jax.Array | None = None
    known: dict[tuple[str, int], jax.Array] = {}  # several regions may show the same mapped source
    for term in terms:
        if not term.concerns(axes):
            continue
        cached = (term.source, id(term.maps))
        if cached not in known:
            known[cached] = _mapped(term.maps, *sources[term.source], axes, view, blocks)
        constant = term.constant if view is by_weight else 0
        value = jnp.full_like(known[cached], constant) if term.nothing else _mixed(known[cached], term.coefficient)
        if term.region:
            before, inside = jnp.zeros_like(value) if total is None else total, region_mask(term.region, axes)
            value = _matched(value, before, inside, axes) if term.matched and view is by_weight else value
            value = jnp.where(jnp.asarray(inside), value, before)
        elif total is not None:
            value = total | value if value.dtype == bool else total + value
        total = value
    if total is None:
        raise ValueError(f"no term concerns a parameter with the axes {axes}")
    return total


def _mapped(
    maps: Mapping[str, Map], x: jax.Array, source_axes: Axes, axes: Axes, view: View, blocks: bool
) -> jax.Array:
    for dim, name in enumerate(axes.names):
        if name not in source_axes.names:
            x = jnp.expand_dims(x, dim)
    stack_dim = layers_dim(axes)
    steps = []
    for dim in sorted(range(x.ndim), key=lambda dim: dim == stack_dim):  # width first: old layers may differ in it
        name, side = axes.names[dim], axes.sides[dim]
        if base(name) in maps:
            linear = view(maps[base(name)].rule(side, axes.tied), seen_side(name, side))
            steps += [] if linear.identity else [(dim, linear)]
    made = in_blocks(steps, x) if blocks and steps else None
    if made is not None:
        return made
    for dim, linear in steps:
        x = linear.apply(x, dim, stack_dim)
    return x


def seen_side(name: str, side: Side) -> Side:
    """The side of an axis that views go by: of what is stacked, only copies of layers have gradients of their own.

    Copies of an expert share the gradient among them, as copies of units do.
    """
    return "write" if side == "stack" and family(base(name)) != LAYERS else side


def _matched(fresh: jax.Array, replaced: jax.Array, inside: np.ndarray, axes: Axes) -> jax.Array:
    """`fresh` with the mean and the standard deviation that `replaced` has in the region, in each layer."""
    dims = tuple(dim for dim in range(fresh.ndim) if dim != layers_dim(axes))
    wide = jnp.promote_types(fresh.dtype, jnp.float32)
    mean = functools.partial(jnp.mean, axis=dims, keepdims=True, where=jnp.asarray(inside), dtype=wide)
    (before, old), (now, new) = ((m := mean(x), mean((x - m) ** 2) ** 0.5) for x in (replaced, fresh))
    return (before + (fresh - now) * (old / jnp.maximum(new, jnp.finfo(wide).tiny))).astype(fresh.dtype)


def _mixed(x: jax.Array, coefficient: float | jax.Array) -> jax.Array:
    if isinstance(coefficient, float | int) and coefficient == 1:
        return x
    return (x * coefficient).astype(x.dtype)


def region_mask(region: Mapping[str, np.ndarray], axes: Axes) -> np.ndarray:
    inside = np.ones((1,) * len(axes.names), bool)
    for dim, name in enumerate(axes.names):
        if base(name) in region:
            inside = inside & np.expand_dims(region[base(name)], [d for d in range(len(axes.names)) if d != dim])
    return inside

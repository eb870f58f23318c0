"""The application of a growth to trees of values: parameters, their averages, masks.

Leaf by leaf, each in a small program of its own that is compiled once for all leaves with the same axes and sizes: so
no more than one leaf is ever gathered from its shards, however many devices there are.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from flax import nnx
from jax.sharding import Sharding

from stagejax.axes import Axes, path_name
from stagejax.growth.operator import Growth, GrowthError, Tree, by_path
from stagejax.growth.term import Term, View, by_weight, grow_leaf


def grow(
    growth: Growth,
    params: Tree,
    *,
    key: jax.Array | None = None,
    others: Mapping[str, Tree] | None = None,
    shardings: Tree = None,
    view: View = by_weight,
) -> Tree:
    """The grown parameters, made directly in the target's shardings.

    Takes anything that has one leaf per parameter: parameters, their averages and, with `view=by_index`, masks. May be
    called under `jit` and `eval_shape`.

    Args:
      growth: the operator and the two configurations.
      params: nested dictionaries of values of the old model.
      key: for operators that draw fresh parameters (their terms name the source `init`).
      others: further sources, by the name that the operator's terms give them.
      shardings: of the result, as a tree; None leaves them to the compiler.
      view: how values move.

    Raises:
      GrowthError: the operator cannot grow this pair of models, a leaf is missing or has another shape, or a source is
        missing.
    """
    sources = {"small": params, **(others or {})}
    needed = {term.source for term in growth.terms} - set(sources)
    if needed - {"init"} or (needed and key is None):
        raise GrowthError(f"{growth.operator} needs {sorted(needed)} too: pass key= for init, others= for the rest")
    missing = sorted(set(growth.source) - set(by_path(params)))
    if missing:
        raise GrowthError(f"{growth.operator}: the tree to grow lacks {missing[0]!r} ({len(missing)} leaves in all)")
    if needed:
        draw = functools.partial(initial, growth)
        sources["init"] = jax.jit(draw, out_shardings=shardings)(key)
    leaves = {name: by_path(tree) for name, tree in sources.items()}
    places = by_path(shardings)

    def one(path: Any, _: jax.Array) -> jax.Array:
        where = path_name(path)
        own = {name: tree[where] for name, tree in leaves.items() if where in tree}
        return grow_one(growth, growth.terms, where, own, view, places.get(where))

    return jax.tree_util.tree_map_with_path(one, params)


def grow_one(
    growth: Growth,
    terms: Sequence[Term],
    where: str,
    sources: Mapping[str, jax.Array],
    view: View,
    sharding: Sharding | None = None,
) -> jax.Array:
    """The grown value of the one leaf at path `where`, from this leaf of each source.

    Raises:
      GrowthError: the leaf is not one of the old model, or a term's source lacks it.
    """
    small = sources["small"]
    axes_before, shape = growth.source.get(where, (None, None))
    if axes_before is None or small.shape != shape:
        raise GrowthError(
            f"{growth.operator}: {where!r} is {small.shape} in the tree to grow, but {shape or 'absent'} in the model "
            f"before, {growth.old}. Grow the tree of that model."
        )
    axes, _ = growth.target[where]
    used = {term.source for term in terms if term.concerns(axes)}
    lacking = sorted(used - set(sources))
    if lacking:
        raise GrowthError(f"{growth.operator} needs {where!r} also from {lacking}, where there is no such leaf")
    own = {name: leaf for name, leaf in sources.items() if name in used}
    known = tuple((name, axes_before if name == "small" else axes) for name in own)
    return leaf_program(own, tuple(terms), known, axes, view, small.dtype, sharding)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4, 5, 6))
def leaf_program(
    sources: Mapping[str, jax.Array],
    terms: tuple[Term, ...],
    source_axes: tuple[tuple[str, Axes], ...],
    axes: Axes,
    view: View,
    dtype: Any,
    sharding: Sharding | None,
) -> jax.Array:
    """The compiled form of `grow_leaf`. Terms that hold traced values (learned maps) go to `grow_leaf` itself."""
    known = dict(source_axes)
    y = grow_leaf(terms, {name: (x, known[name]) for name, x in sources.items()}, axes, view).astype(dtype)
    return y if sharding is None else jax.lax.with_sharding_constraint(y, sharding)


def initial(growth: Growth, key: jax.Array) -> Tree:
    """Freshly drawn parameters of the grown model."""
    return nnx.to_pure_dict(nnx.state(growth.config.build(nnx.Rngs(key)), nnx.Param))

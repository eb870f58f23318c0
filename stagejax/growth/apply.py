"""The application of a growth to trees of values: parameters, their averages, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from flax import nnx

from stagejax.axes import path_name
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
    """The grown parameters, computed by one program, directly in the target's shardings.

    Takes anything that has one leaf per parameter: parameters, their averages and, with `view=by_index`, masks.

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
        raise GrowthError(
            f"{growth.operator} needs the sources {sorted(needed)}: pass key= for init, others= for the rest"
        )
    missing = sorted(set(growth.source) - set(by_path(params)))
    if missing:
        raise GrowthError(
            f"{growth.operator}: {missing[0]!r} is not in the tree to grow ({len(missing)} leaves are missing)"
        )

    def program(sources: Mapping[str, Tree], key: jax.Array | None) -> Tree:
        trees = {**sources, "init": initial(growth, key)} if "init" in needed else sources
        leaves = {name: by_path(tree) for name, tree in trees.items()}

        def one(path: Any, _: jax.Array) -> jax.Array:
            where = path_name(path)
            own = {name: tree[where] for name, tree in leaves.items() if where in tree}
            return grow_one(growth, growth.terms, where, own, view)

        return jax.tree_util.tree_map_with_path(one, sources["small"])

    return jax.jit(program, out_shardings=shardings)(sources, key)


def grow_one(
    growth: Growth, terms: Sequence[Term], where: str, sources: Mapping[str, jax.Array], view: View
) -> jax.Array:
    """The grown value of the one leaf at path `where`, as a pure function of this leaf of each source.

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
    lacking = sorted({term.source for term in terms if term.concerns(axes)} - set(sources))
    if lacking:
        raise GrowthError(f"{growth.operator} needs {where!r} also of {lacking}, which have no such leaf")
    own = {name: (leaf, axes_before if name == "small" else axes) for name, leaf in sources.items()}
    return grow_leaf(terms, own, axes, view).astype(small.dtype)


def initial(growth: Growth, key: jax.Array) -> Tree:
    """Freshly drawn parameters of the grown model."""
    return nnx.to_pure_dict(nnx.state(growth.config.build(nnx.Rngs(key)), nnx.Param))

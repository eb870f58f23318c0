"""The growth of variables that no gradient trains: running statistics move as what they are statistics of."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from stagejax.axes import Axes, path_name
from stagejax.growth.apply import Job, LeafRule, run
from stagejax.growth.linear import Linear
from stagejax.growth.operator import Growth, GrowthError, Tree, by_path
from stagejax.growth.term import Side, View, by_weight


def by_square(linear: Linear, side: Side) -> Linear:
    """A variance moves by the square of the map of what it is the variance of."""
    return linear.squared()


#: How a variable moves, by the power it is declared with (`stagejax.axes.variable`).
VIEWS: Mapping[int, View] = {1: by_weight, 2: by_square}


def grow_rest(growth: Growth, rest: Tree, *, others: Mapping[str, Tree] | None = None, shardings: Tree = None) -> Tree:
    """The variables of the grown model that are not parameters: batch statistics grow with their channels.

    A variable without named axes (a counter) passes as it is. Where the operator draws fresh units, their statistics
    are those of a fresh model; those of a layer that is born are too.

    Args:
      growth: the operator and the two configurations.
      rest: nested dictionaries of the old model's variables.
      others: those of further sources, by name.
      shardings: of the result, as a tree; None leaves them to the compiler.

    Raises:
      GrowthError: see `check_rest`.
    """
    check_rest(growth)
    before, after = described(growth.old), described(growth.config)
    trees = {"small": rest, **(others or {})}
    if any(term.source == "init" for term in growth.terms):
        trees["init"] = nnx.to_pure_dict(nnx.state(growth.config.build(nnx.Rngs(0)), nnx.Not(nnx.Param)))
    leaves, places = {name: by_path(tree) for name, tree in trees.items()}, by_path(shardings)

    def one(path: Any, leaf: Any) -> Any:
        where = path_name(path)
        axes_before, (axes, shape, power) = before[where][0], after[where]
        if axes is None or axes_before is None:
            return leaf
        terms = growth.terms_of(where, growth.terms)
        used = {term.source for term in terms if term.concerns(axes)}
        known = tuple((name, axes_before if name == "small" else axes) for name in trees if name in used)
        rule = LeafRule(tuple(terms), known, axes, shape, np.dtype(leaf.dtype), VIEWS[power])
        return Job(tuple(leaves[name][where] for name, _ in known), rule, places.get(where))

    grown = run(jax.tree_util.tree_map_with_path(one, rest))
    born = {where: leaves["init"][where] for where in after if where not in before}
    return with_leaves(grown, {where: jax.device_put(leaf, places.get(where)) for where, leaf in born.items()})


def check_rest(growth: Growth) -> None:
    """Refuse what `grow_rest` cannot do; needs no arrays.

    Raises:
      GrowthError: a variable without named axes changes size, or is only in one of the models.
    """
    before, after = described(growth.old), described(growth.config)
    for where in sorted(set(before) | set(after)):
        if where not in before and (axes := after[where][0]) is not None and growth.operator.born(axes):
            continue
        if where not in before or where not in after:
            raise GrowthError(f"{growth.operator}: variable {where!r} is only in one of the two models")
        (axes, old, _), (_, new, _) = before[where], after[where]
        if axes is None and old != new:
            raise GrowthError(
                f"{growth.operator}: variable {where!r} changes size, {old} -> {new}, but names no axes. Make it with "
                "stagejax.axes.variable(kind, value, writes=...)."
            )


def with_leaves(tree: Tree, leaves: Mapping[str, Any]) -> Tree:
    """Nested dictionaries with further leaves, by path.

    >>> with_leaves({"a": {"b": 1}}, {"a/c": 2, "d/e": 3})
    {'a': {'b': 1, 'c': 2}, 'd': {'e': 3}}
    """
    for where, leaf in leaves.items():
        first, slash, others = where.partition("/")
        tree = {**tree, first: with_leaves(tree.get(first, {}), {others: leaf}) if slash else leaf}
    return tree


@functools.lru_cache(maxsize=64)
def described(config: Any) -> dict[str, tuple[Axes | None, tuple[int, ...], int]]:
    """Axes, shape and power of every variable of a model that is not a parameter, by path."""
    module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    found = {}
    for path, leaf in nnx.to_flat_state(nnx.state(module, nnx.Not(nnx.Param))):
        metadata = leaf.get_metadata()
        found[path_name(path)] = (metadata.get("axes"), tuple(leaf.get_value().shape), metadata.get("power", 1))
    return found

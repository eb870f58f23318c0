"""The optimizer's moments across a growth: reset, copied by index, or moved exactly as gradients move.

If a growth keeps the function and its copies are symmetric, gradients move by the dual maps D = A (AᵀA)⁻¹. So

    first moments  m ← D m        second moments  v ← (D∘D) v        step counts stay,

and with the factors of `factors` the large model then follows the small one exactly, step for step. Adafactor's row
and column means are in `factored`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Sharding

from stagejax.axes import path_name
from stagejax.growth.apply import Job, LeafRule, job_of, run, with_born
from stagejax.growth.factored import grow_factored, largest_dims
from stagejax.growth.operator import Growth, GrowthError, Tree
from stagejax.growth.term import View, by_dual, by_index, by_squared_dual

Rule = Literal["reset", "copy", "dual"]

#: For each optimizer state, its fields that hold one value per parameter, and the power of the gradient they average.
POWERS: Mapping[type, Mapping[str, int]] = {
    optax.ScaleByAdamState: {"mu": 1, "nu": 2},
    optax.ScaleByAmsgradState: {"mu": 1, "nu": 2, "nu_max": 2},
    optax.ScaleByBeliefState: {"mu": 1, "nu": 2},
    optax.ScaleByLionState: {"mu": 1},
    optax.ScaleByRmsState: {"nu": 2},
    optax.ScaleByRssState: {"sum_of_squares": 2},
    optax.ScaleByRStdDevState: {"mu": 1, "nu": 2},
    optax.TraceState: {"trace": 1},
    optax.EmaState: {"ema": 1},
    optax.MultiStepsState: {"acc_grads": 1},
    optax.contrib.MuonState: {"mu": 1},
}


def grow_moments(
    growth: Growth, tx: optax.GradientTransformation, state: Tree, rule: str = "dual", *, shardings: Tree = None
) -> Tree:
    """The optimizer state of the grown model, for any chain of optax transformations.

    Args:
      growth: the operator and the two configurations.
      tx: the transformation whose state it is.
      state: of the small model; parameters that were frozen may be lacking.
      rule: `dual` moves moments as gradients move, `copy` copies them by index like statistics of units; both
        keep step counts. `reset` makes moments and counts zero.
      shardings: of the result, as a tree; None leaves them to the compiler.

    Raises:
      GrowthError: the state is of another transformation or another model, it holds values per parameter of which it is
        not known whether they average gradients or their squares, or the operator mixes in another tree.
      ValueError: an unknown rule.
    """
    if rule not in get_args(Rule):
        raise ValueError(f"moments={rule!r} is unknown: choose one of {get_args(Rule)}")
    others = set() if rule == "reset" else {term.source for term in growth.moment_terms} - {"small", "init"}
    if others:
        raise GrowthError(
            f"{growth.operator} mixes in {sorted(others)}, whose moments are not at hand: use moments='reset'"
        )

    state = _with_born(growth, state)
    leaves = jax.tree.map(_Leaf, state, *([] if shardings is None else [shardings]))
    try:
        marked = optax.tree_map_params(
            tx, lambda x: x if _masked(x) else replace(x, moment=True), leaves, is_leaf=_masked
        )
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise GrowthError(
            f"{growth.operator}: the optimizer state is not one of this transformation ({first}). Give the one that "
            "made it."
        ) from error
    if any(_is_factored(node) for node in jax.tree.leaves(marked, is_leaf=_is_factored)):
        marked = _with_fresh(growth, tx, marked)
    return run(_walk(growth, rule, marked, (type(None), ""), ()))


@dataclass(frozen=True, eq=False)
class _Leaf:
    """A leaf of an optimizer state, where it shall be, and whether it belongs to a parameter."""

    value: jax.Array | np.ndarray | jax.ShapeDtypeStruct  # abstract where the parameter is only born now
    sharding: Sharding | None = None
    moment: bool = False


def _with_born(growth: Growth, node: Any) -> Any:
    """An optimizer's state with abstract leaves beside those of parameters, for parameters that are born."""
    if isinstance(node, dict):
        if not {where.split("/")[0] for where in growth.born} & set(node):
            return {key: _with_born(growth, child) for key, child in node.items()}

        def make(where: str, near: Any) -> Any:
            return near if _masked(near) else jax.ShapeDtypeStruct(growth.target[where][1], near.dtype)

        return with_born(growth, node, make)
    if isinstance(node, tuple) and growth.born:
        children = [_with_born(growth, child) for child in node]
        return type(node)(*children) if hasattr(node, "_fields") else tuple(children)
    return node


def _walk(growth: Growth, rule: str, node: Any, owner: tuple[type, str], path: tuple[str, ...]) -> Any:
    """`node` grown. `owner` is the type and field of the state it lies in, `path` that of its parameter."""
    if isinstance(node, _Leaf):
        return _moved(growth, rule, node, owner, "/".join(path)) if node.moment else _counted(rule, node)
    if isinstance(node, dict):
        return {key: _walk(growth, rule, child, owner, (*path, str(key))) for key, child in node.items()}
    if isinstance(node, _Factored):
        return _factored(growth, rule, node)
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        children = zip(node._fields, node, strict=True)
        return type(node)(*(_walk(growth, rule, child, (type(node), name), ()) for name, child in children))
    children, structure = jax.tree.flatten(node, is_leaf=lambda x: x is not node)
    return structure.unflatten([_walk(growth, rule, child, (type(node), ""), ()) for child in children])


def _moved(growth: Growth, rule: str, leaf: _Leaf, owner: tuple[type, str], where: str) -> jax.Array | Job:
    """What becomes of the moment of the parameter at `where`."""
    state, name = owner
    power = _power(rule, state, name, where)
    if where not in growth.target:
        raise GrowthError(f"{growth.operator}: the moments' leaf {where!r} is no parameter of {growth.old}")
    zeros = functools.partial(jnp.zeros, growth.target[where][1], leaf.value.dtype, device=leaf.sharding)
    if rule == "reset" or where in growth.born:
        return zeros()
    fresh = {"init": zeros()} if any(term.source == "init" for term in growth.moment_terms) else {}
    view = _view(rule, power)
    return job_of(growth, growth.moment_terms, where, {"small": leaf.value, **fresh}, view, leaf.sharding)


def _power(rule: str, state: type, name: str, where: str) -> int | None:
    power = POWERS.get(state, {}).get(name)
    if power is None and rule != "copy":
        raise GrowthError(
            f"moments={rule!r}: the optimizer state {state.__name__} keeps {name or 'values'} for {where!r}, and it is "
            "not known which power of the gradient they average. Use moments='copy', or enter the state in "
            "stagejax.growth.moments.POWERS."
        )
    return power


def _view(rule: str, power: int | None) -> View:
    return by_index if rule == "copy" else by_dual if power == 1 else by_squared_dual


@dataclass(frozen=True, eq=False)
class _Factored:
    """A factored state, and the abstract one with which the optimizer would begin the grown model."""

    state: optax.FactoredState
    fresh: optax.FactoredState


def _with_fresh(growth: Growth, tx: optax.GradientTransformation, marked: Tree) -> Tree:
    """The marked state, with every factored state in it as `_Factored`."""
    params: dict[str, Any] = {}
    trained = {_where(path) for path, leaf in jax.tree_util.tree_leaves_with_path(marked) if leaf.moment}
    for where, (_, shape) in growth.target.items():
        *parents, last = where.split("/")
        node = params
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = jax.ShapeDtypeStruct(shape, jnp.float32) if where in trained else None
    fresh = jax.eval_shape(tx.init, params)
    paired = lambda node, new: _Factored(node, new) if _is_factored(node) else node  # noqa: E731
    return jax.tree.map(paired, marked, fresh, is_leaf=_is_factored)


def _where(path: tuple[Any, ...]) -> str:
    """The part of a path in an optimizer's state that is the path of a parameter: the names at its end."""
    names = list(itertools.takewhile(lambda key: isinstance(key, jax.tree_util.DictKey), reversed(path)))
    return path_name(tuple(reversed(names)))


def _factored(growth: Growth, rule: str, pair: _Factored) -> optax.FactoredState:
    """What becomes of Adafactor's state."""
    before, after = ((state.v_row, state.v_col, state.v) for state in (pair.state, pair.fresh))
    paths = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(pair.state.v)]
    triples, fresh = (list(zip(*map(jax.tree.leaves, trees), strict=True)) for trees in (before, after))
    made = [_factored_leaf(growth, rule, *found) for found in zip(paths, triples, fresh, strict=True)]
    columns = zip(*made, strict=True)
    trees = [jax.tree.structure(tree).unflatten(column) for tree, column in zip(before, columns, strict=True)]
    return optax.FactoredState(_counted(rule, pair.state.count), *trees)


def _factored_leaf(growth: Growth, rule: str, where: str, old: Sequence[_Leaf], fresh: Sequence[Any]) -> list[Any]:
    """(v_row, v_col, v) of one parameter."""
    _check_factored(growth, where, *old)
    dtype = np.dtype(old[2].value.dtype)
    if rule == "reset":
        values: Sequence[Any] = [jnp.zeros(x.shape, dtype) for x in fresh]
    else:
        axes, shape = growth.target[where]
        init = [jnp.zeros(shape, dtype)] if any(t.source == "init" for t in growth.moment_terms) else []
        sources = (("small", growth.source[where][0]), *(("init", axes) for _ in init))
        how = LeafRule(tuple(growth.moment_terms), sources, axes, shape, dtype, _view(rule, 2))
        triple = (old[0].value, old[1].value, old[2].value)
        values = grow_factored(triple, tuple(init), how, growth.source[where][1], fresh[2].shape != shape)
    return [x if o.sharding is None else jax.device_put(x, o.sharding) for x, o in zip(values, old, strict=True)]


def _check_factored(growth: Growth, where: str, row: _Leaf, col: _Leaf, v: _Leaf) -> None:
    shape = growth.source.get(where, (None, None))[1]
    found = [tuple(leaf.value.shape) for leaf in (row, col, v)]
    if shape is not None and found[2] != shape and len(shape) > 1:
        second, largest = largest_dims(shape)
        fits = found[:2] == [tuple(np.delete(shape, dim)) for dim in (largest, second)]
    else:
        fits = found[2] == shape
    if not fits:
        raise GrowthError(
            f"{growth.operator}: the row means, column means and squares of {where!r} are {found}, which are not of a "
            f"parameter that is {shape or 'absent'} in the model that the growth starts from."
        )


def _counted(rule: str, leaf: _Leaf) -> jax.Array | np.ndarray:
    """What becomes of a step count, or of anything else that belongs to no parameter."""
    counts = jnp.issubdtype(jnp.result_type(leaf.value), jnp.integer)
    value = jnp.zeros_like(leaf.value) if rule == "reset" and counts else leaf.value
    return value if leaf.sharding is None else jax.device_put(value, leaf.sharding)


def _masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


def _is_factored(node: Any) -> bool:
    return isinstance(node, optax.FactoredState)

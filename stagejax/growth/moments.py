"""The optimizer's moments across a growth: reset, copied by index, or moved exactly as gradients move.

If a growth keeps the function and its copies are symmetric, gradients move by the dual maps D = A (AᵀA)⁻¹. So

    first moments  m ← D m        second moments  v ← (D∘D) v        step counts stay,

and with the factors of `factors` the large model then follows the small one exactly, step for step.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Sharding

from stagejax.growth.apply import Job, job_of, run
from stagejax.growth.operator import Growth, GrowthError, Tree
from stagejax.growth.term import by_dual, by_index, by_squared_dual

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
      GrowthError: the state holds values per parameter of which it is not known whether they average gradients or their
        squares, the operator mixes in another tree, or a leaf has the shape of another model.
      ValueError: an unknown rule.
    """
    if rule not in get_args(Rule):
        raise ValueError(f"moments={rule!r} is unknown: choose one of {get_args(Rule)}")
    others = {term.source for term in growth.moment_terms} - {"small", "init"}
    if others and rule != "reset":
        raise GrowthError(
            f"{growth.operator} mixes in {sorted(others)}, whose moments are not at hand: use moments='reset'"
        )

    leaves = jax.tree.map(_Leaf, state, *([] if shardings is None else [shardings]))
    marked = optax.tree_map_params(tx, lambda x: x if _masked(x) else replace(x, moment=True), leaves, is_leaf=_masked)
    return run(_walk(growth, rule, marked, (type(None), ""), ()))


@dataclass(frozen=True, eq=False)
class _Leaf:
    """A leaf of an optimizer state, where it shall be, and whether it belongs to a parameter."""

    value: jax.Array | np.ndarray
    sharding: Sharding | None = None
    moment: bool = False


def _walk(growth: Growth, rule: str, node: Any, owner: tuple[type, str], path: tuple[str, ...]) -> Any:
    """`node` grown. `owner` is the type and field of the state it lies in, `path` that of its parameter."""
    if isinstance(node, _Leaf):
        return _moved(growth, rule, node, owner, "/".join(path)) if node.moment else _counted(rule, node)
    if isinstance(node, dict):
        return {key: _walk(growth, rule, child, owner, (*path, str(key))) for key, child in node.items()}
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        children = zip(node._fields, node, strict=True)
        return type(node)(*(_walk(growth, rule, child, (type(node), name), ()) for name, child in children))
    children, structure = jax.tree.flatten(node, is_leaf=lambda x: x is not node)
    return structure.unflatten([_walk(growth, rule, child, (type(node), ""), ()) for child in children])


def _moved(growth: Growth, rule: str, leaf: _Leaf, owner: tuple[type, str], where: str) -> jax.Array | Job:
    """What becomes of the moment of the parameter at `where`."""
    state, name = owner
    power = POWERS.get(state, {}).get(name)
    if power is None and rule != "copy":
        raise GrowthError(
            f"moments={rule!r}: the optimizer state {state.__name__} keeps {name or 'values'} for {where!r}, and it is "
            "not known which power of the gradient they average. Use moments='copy', or enter the state in "
            "stagejax.growth.moments.POWERS."
        )
    if where not in growth.target:
        raise GrowthError(f"{growth.operator}: the moments' leaf {where!r} is no parameter of {growth.old}")
    zeros = functools.partial(jnp.zeros, growth.target[where][1], leaf.value.dtype, device=leaf.sharding)
    if rule == "reset":
        return zeros()
    view = by_index if rule == "copy" else by_dual if power == 1 else by_squared_dual
    fresh = {"init": zeros()} if any(term.source == "init" for term in growth.moment_terms) else {}
    return job_of(growth, growth.moment_terms, where, {"small": leaf.value, **fresh}, view, leaf.sharding)


def _counted(rule: str, leaf: _Leaf) -> jax.Array | np.ndarray:
    """What becomes of a step count, or of anything else that belongs to no parameter."""
    counts = jnp.issubdtype(jnp.result_type(leaf.value), jnp.integer)
    value = jnp.zeros_like(leaf.value) if rule == "reset" and counts else leaf.value
    return value if leaf.sharding is None else jax.device_put(value, leaf.sharding)


def _masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)

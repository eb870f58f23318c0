"""The application of a growth to trees of values: parameters, their averages, masks, moments.

Leaves are grown in groups, each in one program, no larger than the largest leaf (or 64 MiB): so little more than one
leaf is ever gathered from its shards, however many devices there are, and a small model takes one program.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Sharding

from stagejax.axes import Axes, path_name
from stagejax.growth.blocks import on_one_cpu
from stagejax.growth.operator import Growth, GrowthError, Tree, by_path
from stagejax.growth.term import Term, View, by_weight, grow_leaf

Leaf = jax.Array | np.ndarray | jax.ShapeDtypeStruct


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

    def one(path: Any, _: Leaf) -> Job:
        where = path_name(path)
        own = {name: tree[where] for name, tree in leaves.items() if where in tree}
        return job_of(growth, growth.terms, where, own, view, places.get(where))

    def drawn(where: str, near: Job) -> Job:
        own = {name: tree[where] for name, tree in leaves.items() if where in tree}
        return job_of(growth, growth.terms, where, own, view, places.get(where), near.rule.dtype)

    return run(with_born(growth, jax.tree_util.tree_map_with_path(one, params), drawn))


@dataclass(frozen=True)
class LeafRule:
    """All that is static about the growth of one leaf."""

    terms: tuple[Term, ...]
    sources: tuple[tuple[str, Axes], ...]  # by name, in the order of the arrays
    axes: Axes
    shape: tuple[int, ...]
    dtype: np.dtype
    view: View
    blocks: bool = False  # see `in_blocks`


@dataclass(frozen=True, eq=False)
class Job:
    """The growth of one leaf, not done yet."""

    sources: tuple[Leaf, ...]
    rule: LeafRule
    sharding: Sharding | None

    @property
    def bytes(self) -> int:
        """Of the whole result."""
        return math.prod(self.rule.shape) * self.rule.dtype.itemsize


def job_of(
    growth: Growth,
    terms: Sequence[Term],
    where: str,
    sources: Mapping[str, Leaf],
    view: View,
    sharding: Sharding | None = None,
    dtype: np.dtype | None = None,
) -> Job:
    """The growth of the one leaf at path `where`, from this leaf of each source; in the dtype of the small one's.

    Raises:
      GrowthError: the leaf is not one of the old model, or a term's source lacks it.
    """
    small = sources.get("small")
    axes_before, shape_before = growth.source.get(where, (None, None))
    if small is not None and (axes_before is None or small.shape != shape_before):
        raise GrowthError(
            f"{growth.operator}: {where!r} is {small.shape} in the tree to grow, but {shape_before or 'absent'} in the "
            "model that the growth starts from. Grow the tree of that model, and all layers of it."
        )
    axes, shape = growth.target[where]
    terms = growth.terms_of(where, terms)
    used = {term.source for term in terms if term.concerns(axes)}
    lacking = sorted(used - set(sources))
    if lacking:
        raise GrowthError(f"{growth.operator} needs {where!r} also from {lacking}, where there is no such leaf")
    known = tuple((name, axes_before if name == "small" else axes) for name in sources if name in used)
    dtype, arrays = dtype or np.dtype(sources["small"].dtype), tuple(sources[name] for name, _ in known)
    rule = LeafRule(tuple(terms), known, axes, shape, dtype, view, on_one_cpu(arrays, sharding))
    return Job(arrays, rule, sharding)


def with_born(growth: Growth, tree: Tree, make: Callable[[str, Any], Any]) -> Tree:
    """Nested dictionaries with `make(path, a leaf near it)` where the old model lacks a parameter."""
    for where in sorted(growth.born):
        *parents, last = where.split("/")
        nodes = [dict(tree)]
        for parent in parents:
            nodes[-1][parent] = dict(nodes[-1].get(parent, {}))
            nodes.append(nodes[-1][parent])
        near = next(leaf for node in reversed(nodes) for leaf in jax.tree.leaves(node, is_leaf=_empty))
        nodes[-1][last] = make(where, near)
        tree = nodes[0]
    return tree


def _empty(node: Any) -> bool:
    """A tuple without entries, with which optax marks what a transformation leaves alone."""
    return isinstance(node, tuple) and not node


def run(tree: Tree) -> Tree:
    """The tree with every `Job` in it done."""
    leaves, structure = jax.tree.flatten(tree)
    jobs = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Job)]
    for group in groups(jobs, [leaves[i].bytes for i in jobs]):
        compiled = program(tuple(leaves[i].sharding for i in group))
        values = compiled(tuple(leaves[i].sources for i in group), tuple(leaves[i].rule for i in group))
        for i, value in zip(group, values, strict=True):
            leaves[i] = value
    return structure.unflatten(leaves)


def groups(jobs: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Consecutive jobs, together no larger than the largest one, or than 64 MiB.

    >>> groups([0, 1, 2, 3], [40 * 2**20, 30 * 2**20, 20 * 2**20, 5 * 2**20])
    [[0], [1, 2, 3]]
    """
    most, filled = max([2**26, *sizes]), 0
    made: list[list[int]] = []
    for job, size in zip(jobs, sizes, strict=True):
        filled += size
        if not made or filled > most:
            made.append([])
            filled = size
        made[-1].append(job)
    return made


@functools.cache
def program(shardings: tuple[Sharding | None, ...]) -> Callable[..., tuple[jax.Array, ...]]:
    """The compiled growth of a group of leaves, (arrays of each leaf, rule of each leaf) -> leaves."""
    return jax.jit(grow_group, static_argnums=1, out_shardings=shardings)


def grow_group(sources: tuple[tuple[Leaf, ...], ...], rules: tuple[LeafRule, ...]) -> tuple[jax.Array, ...]:
    """A group of leaves, grown. Terms that hold traced values (learned maps) go to `grow_leaf` itself."""
    grown = []
    for arrays, rule in zip(sources, rules, strict=True):
        own = {name: (jnp.asarray(x), axes) for x, (name, axes) in zip(arrays, rule.sources, strict=True)}
        grown.append(grow_leaf(rule.terms, own, rule.axes, rule.view, rule.blocks).astype(rule.dtype))
    return tuple(grown)


def initial(growth: Growth, key: jax.Array) -> Tree:
    """Freshly drawn parameters of the grown model."""
    return nnx.to_pure_dict(nnx.state(growth.config.build(nnx.Rngs(key)), nnx.Param))

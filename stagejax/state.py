"""The state of one model in training: plain pytree data, and the few pure functions every stage needs on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.axes import Axes, is_axes, layers_dim, path_name

Tree = Any
#: What of a leaf is trained: all of it, nothing, or these rows of its `layers` axis.
Selected = bool | slice
#: Decides it, from the path (`blocks/mlp/up`) and the axes of a leaf.
Trainable = Callable[[str, Axes], Selected]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything a stage changes, as one pytree.

    A step of one's own returns `dataclasses.replace(state, step=state.step + 1, params=...)`.

    Args:
      step: int32 scalar, optimizer steps since the schedule's origin.
      params: nested dictionaries of arrays.
      rest: batch statistics and other variables that no gradient trains.
      opt_state: moments of the trained leaves only.
      ema: exponential moving average of the parameters, or None.
    """

    step: Tree
    params: Tree
    rest: Tree
    opt_state: Tree
    ema: Tree


def everything(path: str, axes: Axes) -> Selected:
    """Train every parameter."""
    return True


def select(trainable: Trainable, axes: Tree, shapes: Tree) -> Tree:
    """What of each leaf is trained: a tree of True, False or slices of the leading `layers` axis.

    Raises:
      ValueError: something else than True, False or a slice; rows of a leaf that has no `layers` axis; an empty slice;
        or nothing trained at all.
    """

    def chosen(path: Any, leaf_axes: Axes, leaf: Any) -> Selected:
        what = trainable(path_name(path), leaf_axes)
        if isinstance(what, bool):
            return what
        if not isinstance(what, slice):
            raise ValueError(
                f"trainable says {what!r} of {path_name(path)!r}: return True, False or a slice of its layers"
            )
        if layers_dim(leaf_axes) != 0:
            raise ValueError(
                f"trainable chose rows {what} of {path_name(path)!r}, which has no leading `layers` axis: {leaf_axes}"
            )
        start, stop, stride = what.indices(leaf.shape[0])
        if stop <= start or stride != 1:
            raise ValueError(f"trainable chose rows {what} of {path_name(path)!r}, which has {leaf.shape[0]} layers")
        return True if (start, stop) == (0, leaf.shape[0]) else slice(start, stop)

    selection = jax.tree_util.tree_map_with_path(chosen, axes, shapes, is_leaf=is_axes)
    if not any(what is not False for what in jax.tree.leaves(selection, is_leaf=_is_selected)):
        rule, known = getattr(trainable, "__name__", trainable), ", ".join(map(str, axes))
        raise ValueError(f"nothing is trainable: {rule} chose no leaf of a model of {known}")
    return selection


def split(params: Tree, selection: Tree) -> tuple[Tree, Tree]:
    """The trained part of every leaf, and the frozen part. A leaf with no part in a tree is None there."""

    def trained(what: Selected, leaf: jax.Array) -> Tree:
        return (leaf if what else None) if isinstance(what, bool) else leaf[what]

    def frozen(what: Selected, leaf: jax.Array) -> Tree:
        return (None if what else leaf) if isinstance(what, bool) else (leaf[: what.start], leaf[what.stop :])

    return (
        jax.tree.map(trained, selection, params, is_leaf=_is_selected),
        jax.tree.map(frozen, selection, params, is_leaf=_is_selected),
    )


def join(trained: Tree, frozen: Tree, selection: Tree) -> Tree:
    """The inverse of `split`."""

    def whole(what: Selected, moving: Tree, still: Tree) -> jax.Array:
        if isinstance(what, bool):
            return moving if what else still
        return jnp.concatenate([still[0], moving, still[1]])

    return jax.tree.map(whole, selection, trained, frozen, is_leaf=_is_selected)


def cast(tree: Tree, dtype: Any) -> Tree:
    """Floating-point leaves in another precision; the others as they are. None leaves all as they are."""
    if dtype is None:
        return tree
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def count(tree: Tree) -> int:
    """How many numbers a tree of arrays (or abstract arrays) holds."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def digest(tree: Tree) -> str:
    """The sha256 of the leaves of a tree in the order of their paths: path, dtype, shape, bytes.

    >>> digest({"a": np.zeros(2)}) == digest({"a": np.zeros(2)})
    True
    >>> digest({"a": np.zeros(2)}) == digest({"b": np.zeros(2)})
    False
    """
    total = hashlib.sha256()
    leaves = {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    for path in sorted(leaves):
        array = np.ascontiguousarray(_whole(leaves[path]))
        total.update(f"{path} {array.dtype} {list(array.shape)}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _whole(leaf: Any) -> np.ndarray:
    """The whole array on this host, also where its shards lie on several."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))
    return np.asarray(leaf)


def _is_selected(what: Any) -> bool:
    return isinstance(what, bool | slice)

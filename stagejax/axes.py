"""Every parameter names its axes and says which side of each it is on.

A kernel *reads* `embed` and *writes* `("kv_heads", "q_per_kv", "head_dim")`; a table reads `vocab` and writes `embed`;
a bias writes; a norm's *gain* and *shift* are sides of their own, because they grow by another rule; repeated blocks
are *stacked* along a leading `layers` axis. Where a model has several axes of one kind they are qualified, such as
`layers.decoder` or `channels.2`, and rules speak of their family, `layers` or `channels`. This one declaration drives
sharding, growth, optimizer-state transfer and the printed parameter table, so nothing in the library ever matches
parameter paths.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

Side = Literal["stack", "read", "write", "gain", "shift"]
Rules = Mapping[str, str | tuple[str, ...] | None]

#: Where each named axis lives on a mesh, unless a preset says otherwise. An axis absent here is replicated. Do not put
#: `embed` and `embed_out` on mesh axes together with a batch that is split over both: with jax 0.10 to 0.12 on CPU, XLA
#: then computes wrong gradients of two such kernels in a row (the test in tests/test_mesh.py says when).
DEFAULT_RULES: Rules = {
    "batch": ("data", "fsdp"),
    "embed": "fsdp",
    "text": "fsdp",  # the width of a text that another network attends to
    "vocab": "tensor",
    "mlp": "tensor",
    "kv_heads": "tensor",
    "experts": "expert",
    "population": "data",  # members of a search, each whole on its devices
}


def split_over(tree: Any, dim: int, mesh: Any, axes: tuple[str, ...]) -> Any:
    """Every array with dimension `dim` split over these axes of a mesh, or whole on every device where there are none.

    What the other dimensions are split over is left to the compiler.

    >>> import jax.numpy as jnp
    >>> mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> split_over({"x": jnp.ones((4, 2))}, 0, mesh, ("data",))["x"].shape
    (4, 2)
    """

    def one(array: jax.Array) -> jax.Array:
        spec = [PartitionSpec.UNCONSTRAINED] * array.ndim
        spec[dim] = axes or None
        return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, PartitionSpec(*spec)))

    return jax.tree.map(one, tree)


@dataclass(frozen=True)
class Axes:
    """The names of a parameter's dimensions, in order, and the side of each.

    `tied` marks the gain and shift of a norm whose output is read by a table that is stored on its writing side
    (a tied head): growth moves the reader's division onto this norm.
    """

    names: tuple[str, ...]
    sides: tuple[Side, ...]
    tied: bool = False

    def __post_init__(self) -> None:
        if len(self.names) != len(self.sides):
            raise ValueError(f"{len(self.names)} axis names {self.names} but {len(self.sides)} sides {self.sides}")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"axis names repeat in {self.names}: give the two sides of the leaf different names")

    def __str__(self) -> str:
        marks = {"stack": "#", "read": "<", "write": ">", "gain": "*", "shift": "+"}
        shown = " ".join(marks[side] + name for name, side in zip(self.names, self.sides, strict=True))
        return f"{shown} tied" if self.tied else shown

    def stacked(self, name: str) -> Axes:
        """These axes behind one more leading axis, along which whole blocks are stacked."""
        return replace(self, names=(name, *self.names), sides=("stack", *self.sides))


@functools.cache
def family(name: str) -> str:
    """The kind of an axis, without the qualifier by which a model tells several of one kind apart.

    >>> [family(name) for name in ("layers.decoder", "embed.image_out", "mlp")]
    ['layers', 'embed_out', 'mlp']
    """
    kind, dot, qualifier = name.partition(".")
    return kind + "_out" if dot and qualifier.endswith("_out") else kind


def layers_dim(axes: Axes) -> int | None:
    """The dimension along which blocks are stacked, if there is one.

    >>> layers_dim(Axes(("layers.decoder", "embed"), ("stack", "gain")))
    0
    """
    return next((dim for dim, name in enumerate(axes.names) if family(name) == "layers"), None)


class MissingAxes(ValueError):
    """A parameter does not name its axes."""


def param(
    value: jax.Array,
    *,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    gain: tuple[str, ...] = (),
    shift: tuple[str, ...] = (),
    stack: tuple[str, ...] = (),
    tied: bool = False,
) -> nnx.Param:
    """An `nnx.Param` whose dimensions are named, in the order stack, reads, writes, gain, shift.

    Args:
      value: the array; its rank equals the number of names.
      reads, writes, gain, shift, stack: names of the dimensions on each side.
      tied: this norm's output is read by a table stored on its writing side.

    Raises:
      ValueError: the rank is not the number of names, or a name is used twice.

    >>> import jax.numpy as jnp
    >>> kernel = param(jnp.zeros((8, 2, 4)), reads=("embed",), writes=("heads", "head_dim"))
    >>> print(kernel.get_metadata()["axes"])
    <embed >heads >head_dim
    """
    axes = _axes(value, stack=stack, read=reads, write=writes, gain=gain, shift=shift, tied=tied)
    return nnx.Param(value, axes=axes)


def variable(
    kind: type[nnx.Variable],
    value: jax.Array,
    *,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    power: int = 1,
) -> nnx.Variable:
    """A variable of `kind` that no gradient trains, such as a running statistic, with named axes; so it grows too.

    Args:
      power: 2 for what grows by the square of its axes' maps, such as the variance of what a kernel writes.

    >>> import jax.numpy as jnp
    >>> var = variable(nnx.BatchStat, jnp.ones(4), writes=("channels.1",), power=2)
    >>> print(var.get_metadata()["axes"], var.get_metadata()["power"])
    >channels.1 2
    """
    return kind(value, axes=_axes(value, read=reads, write=writes), power=power)


def _axes(value: jax.Array, *, tied: bool = False, **groups: tuple[str, ...]) -> Axes:
    axes = Axes(
        names=tuple(name for names in groups.values() for name in names),
        sides=tuple(side for side, names in groups.items() for _ in names),  # type: ignore[misc]
        tied=tied,
    )
    if value.ndim != len(axes.names):
        raise ValueError(f"a value of shape {value.shape} has {value.ndim} dimensions but names {axes.names}")
    return axes


def stack_axes(module: nnx.Module, name: str) -> None:
    """Declare, in place, that every parameter of `module` carries a new leading axis `name` (after `nnx.vmap`)."""
    for _, leaf in nnx.to_flat_state(nnx.state(module)):
        if isinstance(leaf, nnx.Param) or "axes" in leaf.get_metadata():
            leaf.set_metadata("axes", leaf.get_metadata()["axes"].stacked(name))


def renamed(module: Any, names: Mapping[str, str]) -> Any:
    """The module with some axes of its parameters under other names, as of one of several towers.

    >>> from stagejax.models.norm import Norm
    >>> print(axes_of(renamed(Norm("rms", "embed", 4, eps=0.0), {"embed": "embed.text"}))["gain"])
    *embed.text
    """
    for _, leaf in nnx.to_flat_state(nnx.state(module, nnx.Param)):
        own = leaf.get_metadata()["axes"]
        leaf.set_metadata("axes", replace(own, names=tuple(names.get(name, name) for name in own.names)))
    return module


def path_name(path: tuple[Any, ...]) -> str:
    """A path of dictionary keys, or of `jax.tree_util` keys, as people write it.

    >>> path_name(("blocks", "attention", "query"))
    'blocks/attention/query'
    """
    return "/".join(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)


def axes_of(module: nnx.Module) -> dict[str, Any]:
    """The `Axes` of every parameter of a module (concrete or abstract), as nested plain dictionaries.

    Raises:
      MissingAxes: a parameter was made without `axes.param`; the error names it.
    """
    tree: dict[Any, Any] = {}
    for path, leaf in nnx.to_flat_state(nnx.state(module, nnx.Param)):
        axes = leaf.get_metadata().get("axes")
        if not isinstance(axes, Axes):
            raise MissingAxes(
                f"parameter {path_name(path)!r} of {type(module).__name__}, shape {leaf.get_value().shape}, does not "
                "name its axes. Make it with stagejax.axes.param(value, reads=..., writes=...)."
            )
        if len(axes.names) != leaf.get_value().ndim:
            raise MissingAxes(
                f"parameter {path_name(path)!r} of {type(module).__name__} has shape {leaf.get_value().shape} but "
                f"names {axes.names}. After nnx.vmap call stagejax.axes.stack_axes(module, 'layers')."
            )
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = axes
    return tree


def is_axes(leaf: Any) -> bool:
    """Whether `leaf` is an `Axes`: the `is_leaf` of tree maps over axes."""
    return isinstance(leaf, Axes)


def partition_spec(axes: Axes, shape: tuple[int, ...], mesh: Any, rules: Rules = DEFAULT_RULES) -> PartitionSpec:
    """The mesh axes of one parameter: each name through `rules`, each mesh axis at most once.

    A rule for a qualified name (`layers.decoder`) goes before that of its family (`layers`).
    A dimension that its mesh axes do not divide is replicated, and so is one whose mesh axes are absent from the mesh;
    `stagejax params` shows the outcome.

    >>> mesh = jax.sharding.AbstractMesh((4, 2), ("fsdp", "tensor"))
    >>> partition_spec(Axes(("embed", "mlp"), ("read", "write")), (8, 6), mesh) == jax.P("fsdp", "tensor")
    True
    >>> partition_spec(Axes(("embed", "mlp"), ("read", "write")), (7, 6), mesh) == jax.P(None, "tensor")
    True
    """
    used: set[str] = set()
    entries: list[str | tuple[str, ...] | None] = []
    for name, size in zip(axes.names, shape, strict=True):
        wanted = rules.get(name, rules.get(family(name)))
        wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted or ())
        chosen = tuple(axis for axis in wanted if axis in mesh.shape and axis not in used)
        ways = 1
        for axis in chosen:
            ways *= mesh.shape[axis]
        if not chosen or size % ways:
            entries.append(None)
            continue
        used.update(chosen)
        entries.append(chosen[0] if len(chosen) == 1 else chosen)
    return PartitionSpec(*entries)


def shardings(axes: Any, shapes: Any, mesh: Any, rules: Rules = DEFAULT_RULES) -> Any:
    """`NamedSharding` for each leaf of a tree of `Axes`; `shapes` is the tree of arrays or abstract arrays."""
    return jax.tree.map(
        lambda a, leaf: NamedSharding(mesh, partition_spec(a, leaf.shape, mesh, rules)), axes, shapes, is_leaf=is_axes
    )

"""Dense kernels stored in another form: a model whose linear maps are products, sums or factors of parameters.

A kernel becomes a small module that is read where the array was (`kernel[...]`), so models, objectives and stages know
nothing of it. Its parameters name their axes like all others: what the kernel read is read by the first factor, what
it wrote is written by the last, and the axis between them is new (`spectrum`, `rank`, `active`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
from flax import nnx

from stagejax.axes import Axes, path_name

Tree = Any
Variables = tuple[Tree, Tree]  # parameters, and all else
#: Axes that are looked up or predicted, not mapped linearly: their tables and heads stay as they are.
INDEXED = frozenset({"vocab", "position", "types", "classes", "buckets"})


@runtime_checkable
class Form(Protocol):
    """How a kernel is stored: a frozen dataclass."""

    #: Names of the parameters of one kernel.
    names: frozenset[str]

    def make(self, value: jax.Array, axes: Axes, key: jax.Array) -> nnx.Module:
        """The module that stands for a kernel with this first value; `module[...]` is the kernel."""
        ...

    def value(self, params: Mapping[str, jax.Array], rest: Mapping[str, jax.Array]) -> jax.Array:
        """The kernel as one array, from the parameters and other variables of its module."""
        ...


def linear_maps(path: str, axes: Axes) -> bool:
    """Whether a parameter is the kernel of a linear layer: it reads and writes, and no side of it is an index.

    >>> linear_maps("up/kernel", Axes(("embed", "mlp"), ("read", "write")))
    True
    >>> linear_maps("tokens/table", Axes(("vocab", "embed"), ("read", "write")))
    False
    >>> linear_maps("positions/table", Axes(("buckets", "kv_heads"), ("read", "write")))  # T5's biases of distances
    False
    """
    return {"read", "write"} <= set(axes.sides) and INDEXED.isdisjoint(axes.names)


@dataclass(frozen=True)
class Reparameterized:
    """The model of `base` with every chosen kernel stored in another `form`; the function is that of `base` at first.

    >>> from stagejax.models import gpt
    >>> from stagejax.transforms import LoRA
    >>> model = Reparameterized(gpt(layers=2), LoRA(rank=4)).build(nnx.Rngs(0))
    >>> model.blocks.mlp.up.kernel.down.shape
    (2, 64, 4)
    """

    base: Any  # config of a model
    form: Any  # a Form, such as Spectral(rank=8)
    chosen: Callable[[str, Axes], bool] = linear_maps

    def sizes(self) -> dict[str, int]:
        """The named axes of the base; those between factors have a size for each kernel."""
        return self.base.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The base with the same initial kernels, in their new form."""
        return self._adapted(self.base.build(rngs), rngs)

    def adapt(self, key: jax.Array, start: Variables) -> Variables:
        """A trained model of the base in the new form, for `run.transform(name, config.adapt, trained, to=config)`."""

        def build(rngs: nnx.Rngs) -> nnx.Module:
            model = self.base.build(rngs)
            graphdef, _, _ = nnx.split(model, nnx.Param, ...)
            return self._adapted(nnx.merge(graphdef, *start), rngs)

        _, params, rest = nnx.split(build(nnx.Rngs(key)), nnx.Param, ...)
        return nnx.to_pure_dict(params), nnx.to_pure_dict(rest)

    def merge(self, key: jax.Array, start: Variables) -> Variables:
        """A model of the base again, for `run.transform(name, config.merge, trained, to=config.base)`."""

        def one(_: int, params: Tree, rest: Tree) -> tuple[Any, Tree]:
            return self.form.value(params, rest), None

        params, rest = update_kernels(self.form, one, *start)
        return params, _filled(rest)

    def _adapted(self, model: nnx.Module, rngs: nnx.Rngs) -> nnx.Module:
        for module, name, leaf in parameters_of(model, self.chosen):
            setattr(module, name, self.form.make(leaf[...], leaf.get_metadata()["axes"], rngs.params()))
        return model


def _filled(tree: Tree) -> Tree:
    """Without what is None, and without dictionaries of nothing else."""
    if not isinstance(tree, dict):
        return tree
    filled = {name: _filled(child) for name, child in tree.items()}
    return {name: child for name, child in filled.items() if child is not None and child != {}}


def parameters_of(model: nnx.Module, chosen: Callable[[str, Axes], bool]) -> list[tuple[nnx.Module, str, nnx.Param]]:
    """The chosen parameters of a model: the module that holds each, its name there, and itself."""
    return [
        (module, name, leaf)
        for path, module in nnx.iter_modules(model)
        for name, leaf in vars(module).items()
        if isinstance(leaf, nnx.Param) and chosen(path_name((*path, name)), leaf.get_metadata()["axes"])
    ]


#: (number of the kernel, its parameters, its other variables) -> the new ones.
Update = Callable[[int, dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]


def update_kernels(form: Form, update: Update, params: Tree, rest: Tree) -> tuple[Tree, Tree]:
    """`update` on every kernel of that form, in the order of their paths; the number tells their random keys apart."""
    count = iter(range(1 << 30))

    def walk(params: Tree, rest: Tree) -> tuple[Tree, Tree]:
        if not isinstance(params, dict):
            return params, rest
        if set(params) == form.names:
            return update(next(count), params, rest)
        pairs = {name: walk(params[name], rest.get(name, {})) for name in sorted(params)}
        kept = {name: variable for name, variable in rest.items() if name not in params}
        return (
            {name: new for name, (new, _) in pairs.items()},
            kept | {name: new for name, (_, new) in pairs.items() if name in rest},
        )

    return walk(params, rest)


def merged(form: Form, params: Tree, rest: Tree) -> Tree:
    """The parameters of the base model, every kernel an array again: no cost is left at inference."""
    return update_kernels(form, lambda _, params, rest: (form.value(params, rest), rest), params, rest)[0]


def split_sizes(axes: Axes, shape: tuple[int, ...]) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Names and sizes of what a kernel is stacked along, what it reads, and what it writes.

    >>> split_sizes(Axes(("layers", "embed", "mlp"), ("stack", "read", "write")), (2, 8, 32))
    ({'layers': 2}, {'embed': 8}, {'mlp': 32})
    """
    triples = list(zip(axes.names, axes.sides, shape, strict=True))
    stack, reads, writes = ({n: k for n, s, k in triples if s == side} for side in ("stack", "read", "write"))
    return stack, reads, writes


def as_matrices(first: jax.Array, last: jax.Array, lead: int) -> tuple[jax.Array, jax.Array]:
    """Two factors behind `lead` stacked dimensions as matrices (..., inputs, k) and (..., k, outputs)."""
    left = first.reshape(*first.shape[:lead], -1, first.shape[-1])
    return left, last.reshape(*last.shape[: lead + 1], -1)


def check_rank(name: str, rank: int, axes: Axes, reads: Mapping[str, int], writes: Mapping[str, int]) -> None:
    """Whether a kernel has that many directions.

    Raises:
      ValueError: it has not; the error names its axes.
    """
    most = min(math.prod(reads.values()), math.prod(writes.values()))
    if not 1 <= rank <= most:
        raise ValueError(
            f"{name}(rank={rank}) of a kernel with the axes {axes}, which reads {dict(reads)} and writes "
            f"{dict(writes)}: set rank to 1 ... {most}, or leave the kernel out by `chosen`."
        )

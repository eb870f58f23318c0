"""Low-rank adaptation: a frozen kernel and a trained product of two thin ones; stacking, and starting again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.axes import Axes
from stagejax.transforms.parts import Parts, parts
from stagejax.transforms.reparameterize import Tree, Variables, as_matrices, check_rank, split_sizes, update_kernels


def adapters(path: str, axes: Axes) -> bool:
    """A stage's `trainable`: everything but the frozen kernels under the adapters.

    >>> adapters("up/kernel/frozen", Axes((), ())), adapters("up/kernel/down", Axes((), ()))
    (False, True)
    """
    return path.rpartition("/")[2] != "frozen"


@dataclass(frozen=True)
class Factors:
    """The low-rank factors, and all of some attributes of the model, as a stage's `trainable`. Make it by `factors`.

    >>> factors("head")("up/kernel/down", Axes(("embed", "rank"), ("read", "write")))
    True
    >>> factors("head")("norm/scale", Axes(("embed",), ("gain",))), factors("head")("head/kernel", Axes((), ()))
    (False, True)
    """

    whole: Parts

    def __call__(self, path: str, axes: Axes) -> bool:
        return "rank" in axes.names or self.whole(path, axes)


def factors(*whole: str) -> Factors:
    """`trainable=factors("tokens", "head")`: the factors, and these attributes in full ("modules to save"); or none.

    >>> factors()("up/kernel/down", Axes(("embed", "rank"), ("read", "write"))), factors()("head/kernel", Axes((), ()))
    (True, False)
    """
    return Factors(parts(*whole))


@dataclass(frozen=True)
class LoRA:
    """`W = frozen + scale · down up`, with a random `down` and `up = 0` at first. Train it with `trainable=adapters`.

    Reference: Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1.
    """

    rank: int
    scale: float = 1.0
    names: ClassVar[frozenset[str]] = frozenset({"frozen", "down", "up"})

    def make(self, value: jax.Array, axes: Axes, key: jax.Array) -> nnx.Module:
        """The module of one kernel."""
        return LoRAKernel(self, value, axes, key)

    def value(self, params: Mapping[str, jax.Array], rest: Mapping[str, jax.Array]) -> jax.Array:
        """The merged kernel."""
        frozen, down, up = (params[name] for name in ("frozen", "down", "up"))
        lead = up.ndim + down.ndim - frozen.ndim - 2
        left, right = as_matrices(down, up, lead)
        return frozen + self.scale * (left @ right).reshape(frozen.shape)


class LoRAKernel(nnx.Module):
    """One kernel of a model with `LoRA`; `kernel[...]` is the merged array."""

    def __init__(self, form: LoRA, value: Float[Array, "..."], named: Axes, key: jax.Array) -> None:
        stack, reads, writes = split_sizes(named, value.shape)
        check_rank("LoRA", form.rank, named, reads, writes)
        down = jnp.zeros((*stack.values(), *reads.values(), form.rank), value.dtype)
        up = jnp.zeros((*stack.values(), form.rank, *writes.values()), value.dtype)
        self.form = form
        self.frozen = axes.param(value, stack=tuple(stack), reads=tuple(reads), writes=tuple(writes))
        self.down = axes.param(draw(key, down, len(stack)), stack=tuple(stack), reads=tuple(reads), writes=("rank",))
        self.up = axes.param(up, stack=tuple(stack), reads=("rank",), writes=tuple(writes))

    def __getitem__(self, _: object) -> Float[Array, "..."]:
        return self.form.value({name: getattr(self, name)[...] for name in LoRA.names}, {})


def stack(form: LoRA, key: jax.Array, *starts: Variables) -> Variables:
    """Adapters trained apart on one frozen base as a single one: `W = frozen + scale · Σᵢ downᵢ upᵢ`, ranks added up.

    For `run.transform(name, partial(stack, form), first, second, to=a model with LoRA of that rank and scale)`. The
    frozen kernels, and all that is not adapted, are those of the first.

    >>> form, kernel = LoRA(rank=1), {"frozen": jnp.zeros((2, 2)), "down": jnp.ones((2, 1)), "up": jnp.ones((1, 2))}
    >>> params, _ = stack(form, jax.random.key(0), ({"kernel": kernel}, {}), ({"kernel": kernel}, {}))
    >>> form.value(params["kernel"], {}).tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """

    def one(first: Any, *others: Any) -> Any:
        if not isinstance(first, dict):
            return first
        lead = first["up"].ndim + first["down"].ndim - first["frozen"].ndim - 2
        down, up = ([kernel[name] for kernel in (first, *others)] for name in ("down", "up"))
        return first | {"down": jnp.concatenate(down, -1), "up": jnp.concatenate(up, lead)}

    def adapted(node: Any) -> bool:
        return isinstance(node, dict) and set(node) == form.names

    return jax.tree.map(one, *(params for params, _ in starts), is_leaf=adapted), starts[0][1]


def draw(key: jax.Array, down: jax.Array, lead: int) -> jax.Array:
    """A new first value for `down`: normal, with variance 1 / (3 · number of inputs)."""
    inputs = math.prod(down.shape[lead:-1])
    return jax.random.normal(key, down.shape, down.dtype) * (3 * inputs) ** -0.5


def restart(form: LoRA, params: Tree, key: jax.Array) -> Tree:
    """Merge every product into its frozen kernel and begin a new one; the function stays.

    Reference: Lialin et al. 2023 (ReLoRA), https://arxiv.org/abs/2307.05695, section 3.

    >>> form = LoRA(rank=1)
    >>> kernel = {"frozen": jnp.zeros((2, 2)), "down": jnp.ones((2, 1)), "up": jnp.ones((1, 2))}
    >>> after = restart(form, {"kernel": kernel}, jax.random.key(0))["kernel"]
    >>> after["frozen"].tolist(), after["up"].tolist()
    ([[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0]])
    """

    def one(number: int, params: dict[str, jax.Array], rest: Tree) -> tuple[dict[str, jax.Array], Tree]:
        frozen, down, up = form.value(params, rest), params["down"], params["up"]
        lead = up.ndim + down.ndim - frozen.ndim - 2
        fresh = draw(jax.random.fold_in(key, number), down, lead)
        return {"frozen": frozen, "down": fresh, "up": jnp.zeros_like(up)}, rest

    return update_kernels(form, one, params, {})[0]

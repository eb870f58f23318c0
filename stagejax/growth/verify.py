"""The receipt of a growth: what it changed, and, measured on a probe batch, what that did to the function."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.axes import Axes, axes_of, family, layers_dim
from stagejax.declare import Json, declare
from stagejax.growth.operator import Growth, GrowthError, Tree, by_path
from stagejax.growth.term import LAYERS, base

#: (model, batch, key) -> (loss, metrics), with key None in evaluation.
Objective = Callable[[Any, Any, Any], tuple[jax.Array, Any]]


@dataclass(frozen=True)
class Symmetry:
    """How alike the gradients of new units are to those of the units they copy; identical copies never learn apart."""

    cosine: float  # largest, of new unit and its source
    difference: float  # smallest, relative to the source's gradient
    new: int = 0  # how many units are copies of another
    same: int = 0  # how many of them have its gradient, within a hundredth, on every probe


@dataclass(frozen=True)
class Receipt:
    """What a growth did. The measured part, from `logit_change` on, is None until it is measured.

    Args:
      operator: its declaration.
      sizes_before, sizes_after: of the named axes.
      parameters_before, parameters_after: how many numbers.
      eps_before, eps_after: of the norms.
      moments: what happened to the optimizer's moments.
      logit_change: the largest, absolute.
      logit_change_relative: to the largest logit.
      loss_before, loss_after: on the probe.
      symmetry: how alike gradients of copies are, by grown axis.
    """

    operator: Json
    sizes_before: dict[str, int]
    sizes_after: dict[str, int]
    parameters_before: int
    parameters_after: int
    eps_before: float | None
    eps_after: float | None
    moments: str
    logit_change: float | None = None
    logit_change_relative: float | None = None
    loss_before: float | None = None
    loss_after: float | None = None
    symmetry: dict[str, Symmetry] | None = None

    def to_json(self) -> Json:
        """The receipt as JSON; what is not a finite number is None."""
        fields = dataclasses.asdict(self)
        return jax.tree.map(lambda x: None if isinstance(x, float) and not math.isfinite(x) else x, fields)


def receipt_of(growth: Growth, moments: str = "reset") -> Receipt:
    """The part of the receipt that needs no arrays; `moments` is the rule of `grow_moments`.

    Raises:
      GrowthError: the operator cannot grow this pair of models, or there is no such rule of moments.
    """
    _ = growth.terms
    described = {
        "reset": "reset: zeros, and counts from 0",
        "copy": "copied by index, counts kept",
        "dual": "moved by the dual maps as gradients move, counts kept",
    }
    if moments not in described:
        raise GrowthError(f"moments={moments!r}: choose {', '.join(map(repr, described))}")
    return Receipt(
        operator=declare(growth.operator),
        sizes_before=dict(growth.old.sizes()),
        sizes_after=dict(growth.config.sizes()),
        parameters_before=sum(math.prod(shape) for _, shape in growth.source.values()),
        parameters_after=sum(math.prod(shape) for _, shape in growth.target.values()),
        eps_before=getattr(growth.old, "norm_eps", None),
        eps_after=getattr(growth.config, "norm_eps", None),
        moments=described[moments],
    )


def verify_growth(
    growth: Growth,
    small: Tree,
    large: Tree,
    moments: str,
    objective: Objective,
    batch: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    rest: Tree = None,
    rest_after: Tree = None,
) -> Receipt:
    """The whole receipt: change of the logits and of the loss, and the symmetry of new units' gradients.

    Args:
      growth: the operator and the two configurations.
      small, large: the parameters before and after.
      moments: what was done to the optimizer's moments, as in `grow_moments`.
      objective: (model, batch, key) -> (loss, metrics). Logits are what it gets from calling the model; where it only
        calls methods of the model, their change is not measured.
      batch: the probe, or several: losses are averaged over them, the largest change of a logit counts.
      rest, rest_after: the variables of the models before and after that are not parameters; one for both if alike.

    Raises:
      GrowthError: the operator cannot grow this pair of models.
    """
    receipt = receipt_of(growth, moments)
    partners = {axis: pair for axis in _grown_axes(growth) if (pair := _partners(growth, axis))[1].any()}

    probes = [batch] if isinstance(batch, Mapping) else batch
    rests = (rest or {}, rest or {} if rest_after is None else rest_after)
    trees = ((small, rests[0]), (large, rests[1]), partners)
    measured = [
        jax.device_get(_measured(growth.old, growth.config, objective, *trees, dict(probe))) for probe in probes
    ]
    pairs = [found.pop("symmetry") for found in measured]
    symmetry = {axis: _together([found[axis] for found in pairs]) for axis in pairs[0]}
    together = {name: np.mean if name.startswith("loss") else np.max for name in measured[0]}
    numbers = {name: float(f([found[name] for found in measured])) for name, f in together.items()}
    return dataclasses.replace(receipt, symmetry=symmetry, **numbers)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _measured(
    old: Any,
    new: Any,
    objective: Objective,
    small: tuple[Tree, Tree],
    large: tuple[Tree, Tree],
    partners: Mapping[str, tuple[jax.Array, jax.Array]],
    batch: Mapping[str, Any],
) -> dict[str, Any]:
    """What one probe batch says: compiled once for all growths from one configuration to another."""
    loss_before, before = _run(old, *small, objective, batch)
    whole = jax.value_and_grad(lambda params: _run(new, params, large[1], objective, batch), has_aux=True)
    (loss_after, after), grads = whole(large[0])
    values = {"loss_before": loss_before, "loss_after": loss_after}
    if before is not None and after is not None and before.shape == after.shape:
        change = jnp.max(jnp.abs(after - before))
        values |= {"logit_change": change, "logit_change_relative": change / jnp.max(jnp.abs(before))}
    axes_of_leaf, leaves = by_path(axes_of(nnx.eval_shape(lambda: new.build(nnx.Rngs(0))))), by_path(grads)
    pairs = {axis: _symmetry(axes_of_leaf, leaves, axis, *pair) for axis, pair in partners.items()}
    return values | {"symmetry": pairs}


class _Recorder:
    """Stands for a model while an objective calls it, and keeps what the calls returned."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.outputs: list[Any] = []

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.outputs.append(self.model(*args, **options))
        return self.outputs[-1]

    def routed(self, *args: Any, **options: Any) -> Any:
        """The same of a mixture of experts, which also returns what its routers did."""
        self.outputs.append(self.model.routed(*args, **options))
        return self.outputs[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def _run(config: Any, params: Tree, rest: Tree, objective: Objective, batch: Any) -> tuple[jax.Array, Any]:
    """Loss and logits of one model."""
    graphdef, _, _ = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
    recorder = _Recorder(nnx.merge(graphdef, params, rest))
    loss, _ = objective(recorder, batch, None)
    outputs = [x for x in jax.tree.leaves(recorder.outputs) if jnp.issubdtype(jnp.result_type(x), jnp.floating)]
    return loss, outputs[0] if outputs else None


def _grown_axes(growth: Growth) -> list[str]:
    old, new = growth.sizes
    mapped = {axis for term in growth.terms if term.source == "small" for axis in term.maps}
    return [axis for axis in new if axis in mapped and family(axis) != LAYERS and new[axis] > old.get(axis, 1)]


def _partners(growth: Growth, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """For every unit of an axis the first with the same source, (new,) or (layers, new); whether it is another."""
    maps = next(term.maps for term in growth.terms if term.source == "small" and axis in term.maps)
    index, filled = maps[axis].write.pattern().index, maps[axis].write.pattern().weight != 0
    rows = [np.unique(row, return_index=True, return_inverse=True) for row in np.atleast_2d(index)]
    first = np.stack([first[inverse.ravel()] for _, first, inverse in rows]).reshape(index.shape)
    if index.ndim == 2 and LAYERS in maps:
        above = maps[LAYERS].stack.pattern().index
        first, filled = first[above], filled[above]
    return first, (first != np.arange(index.shape[-1])) & filled


def _together(probes: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Symmetry:
    """What all probes say: units are the same only if they are on every one."""
    cosines, differences, copies = (np.stack(values) for values in zip(*probes, strict=True))
    largest, new = differences.max(0), copies[0]
    return Symmetry(
        cosine=float(cosines[:, new].max()),
        difference=float(differences[:, new].min()),
        new=int(new.sum()),
        same=int(np.sum(largest[new] < 1e-2)),
    )


def _symmetry(
    target: Mapping[str, Axes], grads: Mapping[str, jax.Array], axis: str, partner: jax.Array, new: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For each unit, cosine and difference of its gradient and its partner's in kernels and tables; if it is a copy."""
    sums: list[jax.Array] = []
    for where, axes in target.items():
        connects = sum(side in ("read", "write") for side in axes.sides) > 1
        for dim, name in enumerate(axes.names):
            if connects and base(name) == axis:
                sums.append(_products(grads[where], axes, dim, partner))
    dot, own, other = jnp.sum(jnp.stack(sums), axis=0)
    tiny = jnp.finfo(dot.dtype).tiny
    cosine = dot / jnp.maximum(jnp.sqrt(own * other), tiny)
    difference = jnp.sqrt(jnp.maximum(own - 2 * dot + other, 0) / jnp.maximum(other, tiny))
    return jnp.clip(cosine, -1, 1), difference, jnp.atleast_2d(new).any(0)


def _products(grad: jax.Array, axes: Axes, dim: int, partner: jax.Array) -> jax.Array:
    """(3, new): for every unit along `dim`, ⟨g, h⟩, ⟨g, g⟩ and ⟨h, h⟩ of its gradient g and its partner's h."""
    rest = tuple(d for d in range(grad.ndim) if d != dim)
    if partner.ndim == 1:
        other = jnp.take(grad, partner.astype(jnp.int32), axis=dim, mode="clip")
    else:
        layers = layers_dim(axes)
        assert layers is not None  # a map of each layer is only accepted where there are layers
        index = jnp.expand_dims(partner if layers < dim else partner.T, [d for d in rest if d != layers])
        other = jnp.take_along_axis(grad, index.astype(jnp.int32), axis=dim, mode="clip")
    return jnp.stack([jnp.sum(x, axis=rest) for x in (grad * other, grad * grad, other * other)])

"""Growth in little memory: one layer of one parameter, from the source's layers that it is made of and no others.

`grow` takes whole trees. This is for models that do not fit: `read` is asked for what is needed, and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.axes import layers_dim
from stagejax.growth.linear import Dense, Gather, Inverse, Linear
from stagejax.growth.maps import SIDES, Map
from stagejax.growth.operator import Growth, GrowthError
from stagejax.growth.term import Term, base, by_weight, grow_leaf

#: (path, layers) -> that parameter of the small model, only these layers of it; all of a parameter without layers.
Read = Callable[[str, Sequence[int] | None], Any]


def grow_row(
    growth: Growth, where: str, layer: int | None, read: Read, fresh: Callable[[str], Any] | None = None
) -> jax.Array:
    """The parameter at `where` after the growth: one layer of it, or, with `layer=None`, one that has no layers.

    Equals that layer of what `grow` makes of the whole tree.

    Args:
      growth: the operator and the two configurations.
      read: gives parameters of the small model, layers along the first axis.
      fresh: gives whole freshly drawn parameters of the large one, for operators that need them.

    Raises:
      GrowthError: the operator cannot grow this pair of models, or needs a source that is not given.

    >>> from stagejax.growth import Deepen
    >>> from stagejax.models import gpt
    >>> growth = Growth(Deepen(), gpt(layers=2), gpt(layers=4))
    >>> grow_row(growth, "blocks/mlp/up/bias", 3, lambda where, layers: np.full((len(layers), 256), layers[0] / 2))[0]
    Array(0.5, dtype=float32)
    """
    axes, _ = growth.target[where]
    terms = [term for term in growth.terms_of(where, growth.terms) if term.concerns(axes)]
    needed = {term.source for term in terms} - {"small", *(["init"] if fresh else [])}
    if needed:
        raise GrowthError(f"{growth.operator} also needs {sorted(needed)}, which this way of growing does not have")
    dim = layers_dim(axes)
    chosen: list[int] | None = None
    if dim is not None and layer is not None:
        name = axes.names[dim]
        old = dict(zip(growth.source[where][0].names, growth.source[where][1], strict=True))[name]
        chosen = sorted({i for term in terms if term.source == "small" for i in _sources(term, name, layer, old)})
        known: dict[int, Mapping[str, Map]] = {}  # several terms may share their maps, and then their result
        terms = [_term_of_row(term, name, layer, chosen, old, known) for term in terms]
    sources = {}
    for source in {term.source for term in terms}:
        x = read(where, chosen) if source == "small" else fresh(where) if fresh else None
        if source == "init" and layer is not None:
            x = jax.lax.slice_in_dim(jnp.asarray(x), layer, layer + 1, axis=dim or 0)
        sources[source] = (jnp.asarray(x), growth.source[where][0] if source == "small" else axes)
    dtype = sources["small"][0].dtype if "small" in sources else next(iter(sources.values()))[0].dtype
    value = grow_leaf(terms, sources, axes, by_weight).astype(dtype)
    return value if layer is None or dim is None else jnp.squeeze(value, dim)


def _stack(term: Term, name: str) -> Linear | None:
    maps = term.maps.get(base(name))
    return maps.stack if maps else None


def _weights(term: Term, name: str, layer: int, old: int) -> np.ndarray:
    """(old,): how much of every source layer is in this one."""
    stack = _stack(term, name)
    if stack is None:
        return np.eye(old)[layer]
    if isinstance(stack, Gather):
        return np.eye(old)[stack.index[layer]] * stack.weight[layer]
    return np.asarray(stack.dense())[layer]


def _sources(term: Term, name: str, layer: int, old: int) -> list[int]:
    """The source layers that a term takes this layer from; any one where it takes none."""
    return np.flatnonzero(_weights(term, name, layer, old)).tolist() or [0]


def _term_of_row(
    term: Term, name: str, layer: int, chosen: Sequence[int], old: int, known: dict[int, Mapping[str, Map]]
) -> Term:
    """The term as it acts on the chosen layers of the source, for one layer of the target."""
    if id(term.maps) not in known:
        own = {axis: _of_layers(m, chosen) for axis, m in term.maps.items() if axis != base(name)}
        if term.source == "small":
            weights = _weights(term, name, layer, old)[list(chosen)]
            at = np.flatnonzero(weights)
            one = Gather.of([at[0] if len(at) else 0], len(chosen), weights.sum())
            linear: Linear = one if len(at) < 2 else Dense(weights[None])
            own[base(name)] = Map(linear, linear, linear, linear, linear, tied=np.ones(1))
        known[id(term.maps)] = own
    region = None if term.region is None else dict(term.region)
    if region and base(name) in region:
        region[base(name)] = region[base(name)][layer : layer + 1]
    return replace(term, maps=known[id(term.maps)], region=region)


def _of_layers(m: Map, layers: Sequence[int]) -> Map:
    """A map that may differ from layer to layer, for some layers of the source."""
    return replace(
        m, **{side: _linear_of_layers(getattr(m, side), layers) for side in SIDES}, tied=_rows(m.tied, layers)
    )


def _linear_of_layers(linear: Linear, layers: Sequence[int]) -> Linear:
    if isinstance(linear, Inverse):
        return Inverse(_linear_of_layers(linear.forward, layers))
    if isinstance(linear, Gather):
        return Gather(_rows(linear.index, layers), _rows(linear.weight, layers), linear.old)
    return linear


def _rows(values: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    return values if values.ndim == 1 else values[list(layers)]

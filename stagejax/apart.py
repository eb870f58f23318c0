"""A model's configuration taken apart on abstract values: structure, axes, parameters, other variables."""

from __future__ import annotations

import functools
from typing import Any

import jax
from flax import nnx

from stagejax.axes import axes_of
from stagejax.stage import variables
from stagejax.state import Tree


def take_apart(config: Any) -> tuple[Any, Tree, Tree, Tree]:
    """Structure, axes, abstract parameters and other abstract variables; found once for each hashable configuration.

    >>> from stagejax.models import gpt
    >>> graphdef, axes, params, rest = take_apart(gpt(vocab=16, embed=8))
    >>> params["tokens"]["table"].shape, rest
    ((16, 8), {})
    """
    try:
        hash(config)
    except TypeError:
        return _apart.__wrapped__(config, False)
    return _apart(config, bool(jax.config.jax_enable_x64))


@functools.lru_cache(maxsize=256)
def _apart(config: Any, x64: bool) -> tuple[Any, Tree, Tree, Tree]:
    """Dtypes depend on the process's precision: hence `x64`."""
    module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    return nnx.graphdef(module), axes_of(module), nnx.to_pure_dict(nnx.state(module, nnx.Param)), variables(module)

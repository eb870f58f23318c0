"""A model from its configuration: put together once, drawn by one program that is compiled once for each."""

from __future__ import annotations

import functools
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array


def built(kind: type[nnx.Module], config: Any, key: Array) -> Any:
    """`kind(config, rngs)` with its initial values drawn from `key`.

    Building a model abstractly takes longer than many a program that uses it, and is asked for often: by stages, plans,
    growths and interop. So its structure is found once for every configuration.
    """
    return nnx.merge(_structure(kind, config), _draw(kind, config, key))


@functools.lru_cache(maxsize=256)
def _structure(kind: type[nnx.Module], config: Any) -> Any:
    return nnx.split(nnx.eval_shape(lambda: kind(config, nnx.Rngs(0))))[0]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw(kind: type[nnx.Module], config: Any, key: Array) -> dict[str, Any]:
    return nnx.to_pure_dict(nnx.state(kind(config, nnx.Rngs(params=key))))

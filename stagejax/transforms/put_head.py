"""A linear head on top of a language model: one more, or in place of its own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def put_head(key: Any, source: Any, *, classes: int, std: float = 0.02) -> Any:
    """The variables of `TextClassifier` and its kind from those of their encoder: a head drawn afresh.

    It is the `function` of a `run.transform`.

    >>> params, _ = put_head(jax.random.key(0), ({"tokens": {"table": jnp.ones((9, 4))}}, {}), classes=3)
    >>> sorted(params), params["head"]["kernel"].shape
    (['encoder', 'head'], (4, 3))
    """
    params, rest = source
    width = params["tokens"]["table"].shape[1]
    head = {"kernel": std * jax.random.normal(key, (width, classes)), "bias": jnp.zeros(classes)}
    return {"encoder": params, "head": head}, {"encoder": rest} if rest else rest


def put_score(key: Any, source: Any, *, seed: int = 0, std: float = 0.02) -> Any:
    """The variables of `models.text.critic.Critic` from those of its base: a scalar head drawn afresh, and no other.

    It is the `function` of a `run.transform`.

    Args:
      seed: of the head, beside the key.

    >>> base = {"tokens": {"table": jnp.ones((9, 4))}, "head": {"output": {"kernel": jnp.ones((4, 9))}}}
    >>> params, _ = put_score(jax.random.key(0), (base, {}))
    >>> sorted(params), params["score"]["kernel"].shape
    (['score', 'tokens'], (4, 1))
    """
    params, rest = source
    width = params["tokens"]["table"].shape[1]
    kernel = std * jax.random.normal(jax.random.fold_in(key, seed), (width, 1))
    kept = {name: x for name, x in params.items() if name != "head"}
    return kept | {"score": {"kernel": kernel, "bias": jnp.zeros(1)}}, rest

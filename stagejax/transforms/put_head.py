"""A linear head on top of a language model that had none."""

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

"""Words that get a second, independent row in the vocabulary: the soft tokens of a prompt."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp


def copy_last_rows(key: Any, source: Any, *, count: int) -> Any:
    """The variables of a tied encoder with the last `count` tokens once more, behind the vocabulary.

    A copy begins as its token, in the table and in the head's bias, and is trained apart from then on. It is the
    `function` of a `run.transform`, from a `Transformer` to the same with `count` more ids.

    Reference: Zhang et al., Differentiable prompt makes pre-trained language models better few-shot learners (DART),
    ICLR 2022, https://arxiv.org/abs/2108.13161, without its fluency loss.

    >>> params = {"tokens": {"table": jnp.eye(3)}, "head": {"bias": jnp.array([1.0, 2.0, 3.0])}}
    >>> copy_last_rows(None, (params, {}), count=2)[0]["head"]["bias"].tolist()
    [1.0, 2.0, 3.0, 2.0, 3.0]
    """
    params, rest = source

    def longer(rows: Any) -> Any:
        return jnp.concatenate([rows, rows[-count:]])

    table = {**params["tokens"], "table": longer(params["tokens"]["table"])}
    return {**params, "tokens": table, "head": {**params["head"], "bias": longer(params["head"]["bias"])}}, rest

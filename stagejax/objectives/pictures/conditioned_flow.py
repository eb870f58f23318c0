"""Flow matching of two models, of which one says what the other draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagejax.objectives.flow import FlowMatching, squared_errors
from stagejax.objectives.loss import Metrics

Teller = Callable[[Mapping[str, Any], Array, Array], Mapping[str, Array]]


@dataclass(frozen=True)
class ConditionedFlow:
    """E |dit(X_t, t, condition(prompt)) - (X_1 - X_0)|², mean over coordinates; an objective of two models.

    The model "condition" is called with the batch, with the tokens (B, S) of each prompt that are left, and with ratios
    (B,) of `visual_blend`, r ~ U(0, 1) for each sample; what it gives are the keyword arguments of the model "dit". A
    dropped prompt keeps the tokens that the batch's `task` names, such as "copy image :", of those that are `there`.
    Pictures are bytes, and become data from -1 to 1. In evaluation nothing is dropped, and r is `ratio`.

    Args:
      drop: share of prompts that are dropped, for guidance.
      logit_normal: (mean, std) of the times, see `FlowMatching`.
      random_ratio: whether r is drawn; else it is `ratio`.
      ratio: r in evaluation.
      target: name of the pictures in the batch.

    Reference: Chen et al. 2025 (Dream Engine), https://arxiv.org/abs/2502.20172.

    >>> batch = {"target": jnp.ones((2, 4, 4, 3)), "there": jnp.ones((2, 5), bool), "task": jnp.zeros((2, 5), bool)}
    >>> models = {"condition": lambda batch, there, ratio: {"said": ratio}, "dit": lambda x, t, said: 0 * x}
    >>> loss, _ = ConditionedFlow()(models, batch, jax.random.key(0))
    >>> loss.shape
    ()
    """

    drop: float = 0.1
    logit_normal: tuple[float, float] | None = (0.0, 1.0)
    random_ratio: bool = True
    ratio: float = 0.5
    target: str = "target"

    def __call__(
        self, models: Mapping[str, Any], batch: Mapping[str, Any], key: Array | None
    ) -> tuple[Float[Array, ""], Metrics]:
        data = jnp.asarray(batch[self.target], jnp.float32) / 127.5 - 1
        keys = jax.random.split(jax.random.key(0) if key is None else key, 4)  # evaluation: the same noise each time
        noise = jax.random.normal(keys[0], data.shape)
        t = FlowMatching(logit_normal=self.logit_normal).times(keys[1], len(data))
        dropped, ratio = jnp.zeros(len(data), bool), jnp.full(len(data), self.ratio)
        if key is not None:
            dropped = jax.random.bernoulli(keys[2], self.drop, dropped.shape)
            ratio = jax.random.uniform(keys[3], ratio.shape) if self.random_ratio else ratio
        told = models["condition"](batch, left(batch, dropped), ratio)
        loss = squared_errors(lambda x, t: models["dit"](x, t, **told), noise, data, t).mean()
        return loss, {"loss": loss}


def left(batch: Mapping[str, Any], dropped_B: Bool[Array, " B"]) -> Bool[Array, "B S"]:
    """The tokens of prompts that are left: those that are `there`, and where all else is dropped, only their `task`.

    >>> batch = {"there": jnp.array([[True, True, False]]), "task": jnp.array([[True, False, True]])}
    >>> left(batch, jnp.array([False])).tolist(), left(batch, jnp.array([True])).tolist()
    ([[True, True, False]], [[True, False, False]])
    """
    there, task = (jnp.asarray(batch[name], bool) for name in ("there", "task"))
    return there & (task | ~dropped_B[:, None])

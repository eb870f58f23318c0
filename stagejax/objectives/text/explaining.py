"""A label, and the reason for it as a second task: what an encoder-decoder learns step by step.

Reference: Hsieh et al. 2023, https://arxiv.org/abs/2305.02301, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

from stagejax.objectives.language import Batch, seq2seq
from stagejax.objectives.loss import Metrics


def task(batch: Batch, name: str) -> dict[str, Any]:
    """The fields of one task, by their own names.

    >>> task({"label/inputs": 1, "rationale/inputs": 2}, "label")
    {'inputs': 1}
    """
    return {field.removeprefix(f"{name}/"): leaf for field, leaf in batch.items() if field.startswith(f"{name}/")}


def label_alone(model: Any, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
    """CE(label | predict, x), the mean over its tokens: `seq2seq` on the fields `label/...` of a batch."""
    return seq2seq(model, task(batch, "label"), key)


@dataclass(frozen=True)
class StepByStep:
    """alpha CE(label | predict, x) + (1 - alpha) CE(rationale | explain, x): two passes, a mean over tokens in each.

    Called, it is an objective of batches with fields `label/...` and `rationale/...`, each as for `seq2seq`. Its
    metrics are those of the label's task, and `rationale`, the loss of the other.

    >>> import jax.numpy as jnp
    >>> model = lambda inputs, tokens, mask, key: jnp.zeros((*tokens.shape, 10))
    >>> one = {"inputs": jnp.array([[1, 2]]), "mask": jnp.array([[True, True]]), "tokens": jnp.array([[1, 5]])}
    >>> one |= {"targets": jnp.array([[5, 2]]), "weights": jnp.ones((1, 2))}
    >>> batch = {f"{task}/{name}": leaf for task in ("label", "rationale") for name, leaf in one.items()}
    >>> loss, metrics = StepByStep(alpha=0.5)(model, batch, None)
    >>> round(float(loss), 4), sorted(metrics)
    (2.3026, ['accuracy', 'exact', 'loss', 'rationale'])
    """

    alpha: float

    def __call__(self, model: Any, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
        keys = (None, None) if key is None else jax.random.split(key)
        label, metrics = label_alone(model, batch, keys[0])
        rationale, other = seq2seq(model, task(batch, "rationale"), keys[1])
        return self.alpha * label + (1 - self.alpha) * rationale, metrics | {"rationale": other["loss"]}

"""What detectors of two classes say of rows that they were not trained on."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.inference.frozen import Frozen, apply
from stagejax.objectives.focal import rates
from stagejax.result import Result


def replica_rates(result: Result, made: Result) -> dict[str, list[float]]:
    """All `rates` of a detector on all rows, one number a replica, and `share`, that of the positives.

    Args:
      result: a trained stage of replicas whose model reads a batch and gives logits.
      made: arrays by field, among them `label`, 1 of a positive.

    >>> # scores = run.make("scores", replica_rates, trained, test_rows).value["auc"]
    """
    state, rows = result.state(), {name: array for name, array in made.value.items() if name != "label"}
    labels = made.value["label"]
    found: dict[str, list[float]] = {"share": [float(labels.mean())]}
    for seed in range(result.stage.seeds):
        one = jax.tree.map(lambda leaf, seed=seed: np.asarray(leaf)[seed], (state.params, state.rest))
        logits = apply(_logits, Frozen(result.model, *one), rows)
        for name, value in rates(jnp.asarray(logits), jnp.asarray(labels)).items():
            found.setdefault(name, []).append(float(value))
    return found


def _logits(model: Any, rows: Any) -> jax.Array:
    return model(rows)

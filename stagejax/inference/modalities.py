"""What networks of several modalities have learned: with all of them, with one absent, and in each encoder.

Letters: C labels, m modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.inference.frozen import Frozen, apply
from stagejax.objectives.several_labels import areas, ridge_probe


def fused_outputs(model: Any, rows: Mapping[str, jax.Array]) -> jax.Array:
    """Logits with all modalities, then with each of them absent, then the features: (rows, all side by side).

    Of a classifier of one modality (`OneModality`): its logits and its features.
    """
    features = model.features(rows)
    if len(features) == 1:
        return jnp.concatenate([model(rows), *features.values()], axis=1)
    numbers = jnp.arange(len(features))
    without = [model.fused(features, (numbers != i)[None]) for i in range(len(features))]
    return jnp.concatenate([model.fused(features, (numbers >= 0)[None]), *without, *features.values()], axis=1)


def fused_areas(
    net: Frozen, train: Mapping[str, np.ndarray], test: Mapping[str, np.ndarray], batch: int = 250
) -> dict[str, np.ndarray]:
    """Areas under ROC curves on test rows: `areas` (C,), `absent` (m, C) without a modality, and `probes` (m, C).

    Probes are `ridge_probe` on the frozen features of one encoder, fitted on training rows. Nothing is absent from a
    classifier of one modality.

    Args:
      net: of `Fused` or of `OneModality`.
      train, test: inputs and `labels` (rows, C).
    """
    truth = {"train": train["labels"], "test": test["labels"]}
    inputs = {"train": train, "test": test}
    found = {}
    for split, rows in inputs.items():
        own = {name: array for name, array in rows.items() if name != "labels"}
        found[split] = apply(fused_outputs, net, own, min(batch, len(truth[split])))
    encoders = getattr(net.config, "encoders", None) or (net.config.encoder,)
    logits = 1 if len(encoders) == 1 else 1 + len(encoders)
    C = truth["test"].shape[1]
    said = [areas(found["test"][:, i * C : (i + 1) * C], truth["test"]) for i in range(logits)]
    probes, begin = [], logits * C
    for encoder in encoders:
        end = begin + encoder.tower.embed
        scores = ridge_probe(found["train"][:, begin:end], truth["train"], found["test"][:, begin:end])
        probes.append(areas(scores, truth["test"]))
        begin = end
    return {"areas": said[0], "absent": np.array(said[1:]).reshape(-1, C), "probes": np.array(probes)}

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
from stagejax.objectives.tasks.several_labels import areas, ridge_probe


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


def area_columns(
    found: Mapping[str, np.ndarray] | None, labels: tuple[str, ...], known: Mapping[str, tuple[int, ...]]
) -> dict[str, float]:
    """Columns of tables from `fused_areas`: each label and their mean `macro`, `no <name>` without a modality, and
    `probe <name>`, the mean of its encoder's probe over the labels that it can know of, with their mean `probes`.

    NaN in a plan, where nothing is found, and of what a classifier of one modality does not have.

    Args:
      known: the numbers of the labels that each modality alone can know of.

    >>> found = {"areas": np.array([0.6, 0.8]), "absent": np.full((2, 2), 0.5), "probes": np.eye(2)}
    >>> area_columns(found, ("a", "b"), {"text": (0,), "audio": (0, 1)})["probes"]
    0.75
    """
    probes, without = [f"probe {name}" for name in known], [f"no {name}" for name in known]
    empty = dict.fromkeys((*labels, "macro", *probes, "probes", *without), float("nan"))
    if found is None:
        return empty
    said = dict(zip(labels, found["areas"].tolist(), strict=True)) | {"macro": float(found["areas"].mean())}
    if len(found["probes"]) == len(known):
        parts = zip(probes, found["probes"], known.values(), strict=True)
        own = {name: float(areas[list(at)].mean()) for name, areas, at in parts}
        said |= own | {"probes": float(np.mean(list(own.values())))}
        said |= dict(zip(without, found["absent"].mean(1).tolist(), strict=True))
    return empty | said

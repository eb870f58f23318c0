"""Labels that a prompted language model gives to every text of a pool: artifacts for `run.make`, as `relabel` takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from stagejax.data.selection.few_shot import FewShot
from stagejax.data.tasks.templates import PromptedTask
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.objectives.text.prompting import label_logits
from stagejax.result import Result

Labels = dict[str, np.ndarray]


def pseudo_labels(data: PromptedTask, net: Result) -> Labels:
    """What a model says of every text, however sure it is; `right` is how often that is true, for the report."""
    batch = data.take_records(np.arange(data.size()))
    asked = {name: batch[name] for name in ("tokens", "mask", "place", "words")}
    label = apply(label_logits, Frozen.of(net), asked, 128).argmax(-1)
    return for_all(label) | {"right": np.array([(label == batch["label"]).mean()])}


def asking_flops(data: PromptedTask, config: Any, texts: int) -> float:
    """The matmul FLOPs of `pseudo_labels` of so many texts."""
    return float(texts * flops_of_one(label_logits, config, data.sample_spec()))


def random_labels(data: PromptedTask, seed: int) -> Labels:
    """Labels that know nothing of the texts."""
    return for_all(np.random.default_rng(seed).integers(0, len(data.template.words), data.size()))


def corrected(known: FewShot, said: Result) -> Labels:
    """What was said of a pool, but for the few records of it whose labels are known."""
    label = said.value["label"].copy()
    label[known.places] = [record[known.label] for record in known]
    return for_all(label)


def for_all(label: np.ndarray) -> Labels:
    """A label for every record, all of one weight.

    >>> for_all(np.array([2, 0]))["rows"].tolist()
    [0, 1]
    """
    return {"rows": np.arange(len(label)), "label": label, "weight": np.ones(len(label))}

"""Choosing records for training by what a network says of them: one pass over all, then the records of a method.

said = run.make("said", said_of_records, images, result, flops=flops_of_scoring(images, result.model, records))
rows = run.make("rows", coreset, EL2N, 500, said)
data = choose(images, rows, 500)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.coresets import around_median, by_class, herding, highest, in_proportion, k_center
from stagejax.data.images import Images
from stagejax.data.joined import for_every_record
from stagejax.data.scores import distance_to_prototype, el2n, forgetting, grand_of_head, margin
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.result import Result

#: What a network said of all records, pass after pass: {"features" (N, E), "logits" (N, C), "label" (N,)}.
Said = Sequence[Mapping[str, np.ndarray]]


def seen(model: Any, rows: jax.Array) -> jax.Array:
    """Features and logits of a classifier that has `features` and `logits`, side by side."""
    found = model.features(rows)
    return jnp.concatenate([found, model.logits(found)], axis=-1)


def said_of_records(data: Images, result: Result) -> dict[str, np.ndarray]:
    """Features, logits and label of every record of the source of `data`: one of `Said`."""
    net, classes = Frozen.of(result), result.model.classes

    def one(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        both = apply(seen, net, batch["image"], data.batch)
        return {"features": both[:, :-classes], "logits": both[:, -classes:], "label": batch["label"]}

    return for_every_record(one, data)


def flops_of_scoring(data: Images, config: Any, records: int) -> float:
    """The matmul FLOPs of `said_of_records` for so many records."""
    return float(records * flops_of_one(seen, config, data.sample_spec()["image"]))


@dataclass(frozen=True)
class Method:
    """Records are chosen class by class: `pick(of(said), k)`."""

    pick: Callable[[np.ndarray, int], np.ndarray]
    of: Callable[[Said], np.ndarray]
    last: bool = False  # whether it looks at the last pass alone

    def flops(self, rows: int, records: int, classes: int, features: int) -> float:
        """Of picking: greedy methods compare each chosen record with all of its class."""
        return 2.0 * rows * records / classes * features if self.pick in (k_center, herding) else 0.0


def coreset(method: Method, rows: int, *passes: Any) -> dict[str, np.ndarray]:
    """{"rows": what a method chooses}, from artifacts of `said_of_records`."""
    said = [one.value for one in passes]
    values = method.of(said)
    return {"rows": by_class(said[-1]["label"], rows, lambda own, k: method.pick(values[own], k))}


def hard(said: Said) -> np.ndarray:
    """EL2N, its mean over the passes."""
    return np.mean([el2n(one["logits"], one["label"]) for one in said], axis=0)


def easy(said: Said) -> np.ndarray:
    """The opposite of `hard`."""
    return -hard(said)


def steep(said: Said) -> np.ndarray:
    """GraNd of the head, its mean over the passes."""
    return np.mean([grand_of_head(one["logits"], one["features"], one["label"]) for one in said], axis=0)


def forgotten(said: Said) -> np.ndarray:
    """How often a record was right in a pass and wrong in the next."""
    return forgetting(np.stack([one["logits"].argmax(1) == one["label"] for one in said]))


def uncertain(said: Said) -> np.ndarray:
    """How small the margin is."""
    return margin(said[-1]["logits"])


def features(said: Said) -> np.ndarray:
    """The features themselves."""
    return said[-1]["features"]


def off_centre(said: Said) -> np.ndarray:
    """The distance from the centre of the class."""
    return distance_to_prototype(said[-1]["features"], said[-1]["label"])


EL2N = Method(highest, hard)
EL2N_EASY = Method(highest, easy)
GRAND = Method(highest, steep)
FORGETTING = Method(highest, forgotten)
MARGIN = Method(highest, uncertain, last=True)
K_CENTER = Method(k_center, features, last=True)
HERDING = Method(herding, features, last=True)
MODERATE = Method(around_median, off_centre, last=True)


def drawn_by_margin(seed: int) -> Method:
    """Records are drawn with probabilities in proportion to `uncertain`."""
    return Method(partial(in_proportion, seed=seed), uncertain, last=True)

"""Choosing records for training by what a network says of them: a proxy that is trained, then a method's records.

proxy = train_proxy(run, stage, 3, images, records)
made = run.make("rows", coreset, EL2N, 500, *proxy.passes)
data = choose(images, made, 500)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.images import Images
from stagejax.data.joined import for_every_record
from stagejax.data.selection.coresets import around_median, by_class, herding, highest, in_proportion, k_center
from stagejax.data.selection.scores import distance_to_prototype, el2n, forgetting, grand_of_head, margin
from stagejax.handover import Handover
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.result import Result
from stagejax.stage import Stage

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


def score_records(run: Any, name: str, data: Images, net: Result, records: int) -> Result:
    """`said_of_records` as an artifact, charged with its forward passes over so many records."""
    flops = float(records * flops_of_one(seen, net.model, data.sample_spec()["image"]))
    return run.make(name, said_of_records, data, net, flops=flops)


def segment(stage: Stage, name: str, steps: int, start: Result | None, **fields: Any) -> Stage:
    """A part of a stage, on the schedule of the whole and with its moments, evaluated at its end alone."""
    return replace(
        stage,
        name=name,
        steps=steps,
        optimizer=replace(stage.optimizer, horizon=stage.steps),
        evaluate=stage.evaluate and replace(stage.evaluate, every=None),
        handover=Handover() if start is None else Handover(**{"moments": "carry", "schedule": "carry"} | fields),
    )


@dataclass(frozen=True)
class Proxy:
    """A network that was trained to choose records: its stages in order, and what it said of all after each."""

    stages: tuple[Result, ...] = ()
    passes: tuple[Result, ...] = ()

    def seen_by(self, method: Method) -> tuple[Result, ...]:
        """The passes that a method looks at."""
        return self.passes[-1:] if method.last else self.passes


def train_proxy(run: Any, stage: Stage, parts: int, data: Images, records: int) -> Proxy:
    """Train a stage in equal parts; after each, all records of the source of `data` are scored.

    Args:
      stage: the whole training; its name is the folder of all results.
      data: in the batches that are scored.
      records: of its source.
    """
    proxy = Proxy()
    for part in range(parts):
        start, name = (proxy.stages[-1] if part else None), f"{stage.name}/{part}"
        net = run.train(segment(stage, name, stage.steps // parts, start, data="carry"), start)
        said = score_records(run, f"{name}/said", data, net, records)
        proxy = Proxy((*proxy.stages, net), (*proxy.passes, said))
    return proxy


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
    """{"rows": what a method chooses}, from artifacts of `said_of_records`.

    >>> from types import SimpleNamespace
    >>> said = {"features": np.eye(4), "logits": np.diag([9.0, 1, 2, 3])[:, :2], "label": np.array([0, 0, 1, 1])}
    >>> coreset(EL2N_EASY, 2, SimpleNamespace(value=said))["rows"].tolist()
    [0, 2]
    """
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

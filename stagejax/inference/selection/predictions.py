"""What a trained network says of all records of a pool, and what is learned from it: artifacts for `data.predict`.

An artifact is {"rows": which records, and fields for each of them}. Where records have one label each, its field is
"label", and "targets" (T,) where each token has one; `field` says which. Letters: N records, C classes, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from stagejax.data.joined import for_every_record
from stagejax.inference.frozen import Frozen, compiled
from stagejax.objectives.text.chain import likeliest_chain
from stagejax.result import Result

Made = dict[str, np.ndarray]
INPUTS = "tokens", "weights"  # of a batch, what a network may see
#: (model, tokens and weights of rows) -> {the label field, "logits", "confidence"}.
Says = Callable[[Any, dict[str, jax.Array]], dict[str, jax.Array]]


def says_class(model: Any, rows: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Logits of each text, the likeliest class and its probability."""
    logits_NC = model.answers(rows["tokens"])
    return {
        "label": logits_NC.argmax(-1).astype(jnp.int32),
        "logits": logits_NC.astype(jnp.float32),
        "confidence": jax.nn.softmax(logits_NC).max(-1),
    }


def says_tags(model: Any, rows: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Logits of each token, the likeliest chain of tags, and the mean over words of the largest softmax of logits."""
    logits_NTC, weights_NT = model.tags(rows["tokens"]), rows["weights"]
    sure_N = (jax.nn.softmax(logits_NTC).max(-1) * weights_NT).sum(-1) / jnp.maximum(weights_NT.sum(-1), 1)
    said_NT = likeliest_chain(logits_NTC, model.moves[...], weights_NT)
    return {"targets": said_NT.astype(jnp.int32), "logits": logits_NTC.astype(jnp.float32), "confidence": sure_N}


def labelled_by_hand(field: str, data: Any, count: int, seed: int) -> Made:
    """`count` records drawn at random, with their true labels: "rows" and the field."""
    rows = np.sort(np.random.default_rng(seed).permutation(data.size())[:count])
    return {"rows": rows, field: data.take_records(rows)[field]}


def predictions(says: Says, data: Any, net: Result) -> Made:
    """What a network says of every record: "rows", the label field, "logits" and "confidence" (N,).

    >>> # said = run.make("predictions", predictions, says_class, texts, model_b)
    """
    frozen = Frozen.of(net)
    run = compiled(says, frozen.config)

    def one(batch: dict[str, np.ndarray]) -> Any:
        return run(frozen.params, frozen.rest, {name: batch[name] for name in INPUTS if name in batch})

    return {"rows": np.arange(data.size()), **for_every_record(one, data)}


def evenly(
    confidence_N: Float[np.ndarray, " N"],
    kinds_N: Int[np.ndarray, " N"],
    may_N: Bool[np.ndarray, " N"],
    above: float,
    each: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, " M"]:
    """As many of every kind that is there, drawn from those that may be taken and are surer than `above`.

    Of each kind there are `each`, or as many as the rarest of them has.

    >>> sure, kinds = np.array([0.9, 0.9, 0.2, 0.9, 0.9]), np.array([0, 0, 0, 0, 1])
    >>> evenly(sure, kinds, np.arange(5) > 0, 0.5, 9, np.random.default_rng(0)).shape
    (2,)
    """
    kept = np.flatnonzero(may_N & (confidence_N > above))
    own = [kept[kinds_N[kept] == kind] for kind in np.unique(kinds_N[kept])]
    count = min([each, *map(len, own)])
    return np.sort(np.concatenate([np.zeros(0, int), *(rng.choice(items, count, replace=False) for items in own)]))


def human_and_pseudo(field: str, above: float, each: int, seed: int, labelled: Any, said: Any) -> Made:
    """The labelled records with their labels and, of all others, confident ones with those that were predicted.

    As many of each predicted class where a record has one, else of all together: "rows", the field, and "pseudo" (N,),
    whether a label was predicted.
    """
    own, found = labelled.value, said.value
    may_N = ~np.isin(found["rows"], own["rows"])
    kinds_N = found[field] if found[field].ndim == 1 else np.zeros(len(may_N), int)
    items = evenly(found["confidence"], kinds_N, may_N, above, each, np.random.default_rng(seed))
    return {
        "rows": np.concatenate([own["rows"], found["rows"][items]]),
        field: np.concatenate([own[field], found[field][items]]),
        "pseudo": np.repeat([False, True], [len(own["rows"]), len(items)]),
    }


def truth_of(field: str, data: Any, labelled: Any, said: Any) -> Made:
    """`accuracy` (1,) of predicted labels on what was not labelled by hand; of words where tags are said."""
    rest = ~np.isin(said.value["rows"], labelled.value["rows"])
    batch = data.take_records(said.value["rows"][rest])
    weights = batch["weights"] if batch[field].ndim > 1 else np.ones(len(batch[field]))
    right = (batch[field] == said.value[field][rest]) * weights
    return {"accuracy": np.array([right.sum() / weights.sum()])}


def most_frequent(field: str, data: Any, test: Any, labelled: Any) -> Made:
    """`accuracy` (1,) on the batches of `test` of the label that is most frequent among those by hand.

    Of tags: of the tag that is most frequent at the word's first token, and of any where that was never seen.
    """
    own, found = data.take_records(labelled.value["rows"]), np.zeros(2)
    several = labelled.value[field].ndim > 1
    counts: dict[int, Any] = {}
    size = int(labelled.value[field].max()) + 1
    everywhere = np.zeros(size)

    def rows(batch: Made, targets: np.ndarray) -> Any:
        keys = batch["tokens"] if several else np.zeros_like(targets)
        weights = batch["weights"] if several else np.ones(len(targets))
        kept = weights.ravel() > 0
        return zip(keys.ravel()[kept].tolist(), targets.ravel()[kept].tolist(), strict=True)

    for key, target in rows(own, labelled.value[field]):
        counts.setdefault(key, np.zeros(size))[target] += 1
        everywhere[target] += 1
    with test.batches() as batches:
        for batch in batches:
            for key, target in rows(batch, batch[field]):
                found += counts.get(key, everywhere).argmax() == target, 1
    return {"accuracy": found[:1] / found[1]}

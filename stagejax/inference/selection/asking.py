"""What a text classifier is asked in a round of active learning: artifacts for `run.make`, of `data.relabel`'s form.

An artifact of labels is {"rows", "label", "weight"}: rows of the pool, labels that were bought or accepted, weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.joined import for_every_record
from stagejax.data.selection.active import balanced_start, contrastive
from stagejax.data.tasks.labelled_text import LabelledText
from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.selection.active import CAL_NEIGHBOURS, Protocol, Query, Strategy, judged, unlabelled
from stagejax.inference.selection.pseudo_labels import HAST, Said
from stagejax.models.text.text_classifier import TextClassifier
from stagejax.objectives.retrieval.neighbours import nearest_others
from stagejax.result import Result

Labels = dict[str, np.ndarray]


def said(model: Any, tokens: jax.Array) -> jax.Array:
    """Embeddings and probabilities of texts, side by side."""
    x_BE = model.embeddings(tokens)
    return jnp.concatenate([x_BE, jax.nn.softmax(model.classify(x_BE))], axis=-1)


def said_with_dropout(model: Any, rows: Mapping[str, jax.Array]) -> jax.Array:
    """Probabilities of "tokens", with dropout drawn by the number "draw" that all rows bear."""
    return jax.nn.softmax(model.answers(rows["tokens"], key=jax.random.key(rows["draw"][0])))


def told(
    data: LabelledText, rows: np.ndarray, net: Frozen, k: int | None = None, loud: Any = None, draws: range = range(0)
) -> Said:
    """What a network says of some rows of the pool.

    Args:
      k: how many neighbours of each are looked for among these rows; None: none are.
      loud: the network's configuration with the dropout of passes, one for each of `draws`.
    """
    tokens, width = data.take_records(rows)["tokens"], net.config.encoder.embed
    both = apply(said, net, tokens, data.batch)
    noisy = replace(net, config=loud)
    drawn = ({"tokens": tokens, "draw": np.full(len(rows), draw, np.int32)} for draw in draws)
    passes = [apply(said_with_dropout, noisy, own, data.batch) for own in drawn]
    near = None if k is None else nearest_others(both[:, :width], k, block=512)
    return Said(both[:, :width], both[:, width:], near, np.stack(passes) if passes else None)


def bought_first(data: LabelledText, count: int, seed: int) -> Labels:
    """The first labels, balanced."""
    true = labels_of(data)
    rows = balanced_start(true, count, np.random.default_rng(seed))
    return {"rows": rows, "label": true[rows], "weight": np.ones(count)}


def bought(query: Query, data: LabelledText, labelled: Result, count: int, seed: int, net: Result) -> Labels:
    """The labels so far, and those that a query asks for by what a network says of all other texts."""
    true, rest = labels_of(data), unlabelled(labelled.value["rows"], data.size())
    pool = told(data, rest, Frozen.of(net), CAL_NEIGHBOURS if query is contrastive else None)
    asked = query(pool.probabilities_NC, count, np.random.default_rng(seed), pool.neighbours_NK)
    rows = np.concatenate([labelled.value["rows"], rest[asked]])
    return {"rows": rows, "label": true[rows], "weight": np.ones(len(rows))}


def chosen(
    strategy: Strategy, data: LabelledText, labelled: Result, subset: int, loud: TextClassifier, seed: int, net: Result,
    *others: Result,
) -> Labels:  # fmt: skip
    """Labelled and accepted rows, with weights of mean 1; and what `judged` says of the accepted, one number each.

    Args:
      subset: at most so many unlabelled texts are looked at, drawn by `seed`.
      loud: the classifier with the dropout of passes.
      others: the second classifier of a strategy that wants one.
    """
    own, rng, true = labelled.value, np.random.default_rng(seed), labels_of(data)
    rest = np.sort(rng.permutation(unlabelled(own["rows"], len(true)))[:subset])
    k = strategy.selector.k - 1 if isinstance(strategy.selector, HAST) else None
    first, draws = Frozen.of(net), range(seed * 100, seed * 100 + strategy.passes)
    pool = told(data, rest, first, k, loud, draws)
    if others:
        pool = replace(pool, again_NC=told(data, rest, Frozen.of(others[0])).probabilities_NC)
    assert strategy.selector is not None
    found = strategy.selector(pool, told(data, own["rows"], first, None, loud, draws), rng)
    return {
        "rows": np.concatenate([own["rows"], rest[found.items_M]]),
        "label": np.concatenate([own["label"], found.labels_M]),
        "weight": found.weights(),
    } | {name: np.array([value]) for name, value in judged(found, pool, true[rest]).items()}


def features_of(data: LabelledText, protocol: Protocol, encoder: Result) -> dict[str, np.ndarray]:
    """Pool and test of a task for `OnFeatures`, each coordinate in standard deviations of the pool's."""
    net, width = Frozen.of(encoder), encoder.model.encoder.embed

    def one(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"x": apply(said, net, batch["tokens"], data.batch)[:, :width], "label": batch["label"]}

    own, test = (for_every_record(one, part) for part in (data, data.held_out(1)))
    middle, deviation = own["x"].mean(0), own["x"].std(0) + 1e-6
    pool, wanted = (own["x"] - middle) / deviation, protocol.labels[-1] + max(CAL_NEIGHBOURS, HAST().k)
    return {
        "pool": pool,
        "graph": nearest_others(pool, min(len(pool) - 1, wanted)),
        "label": own["label"],
        "test": (test["x"] - middle) / deviation,
        "test_label": test["label"],
    }


def labels_of(data: LabelledText) -> np.ndarray:
    """The true labels of all texts of a pool: an oracle sells them, and `judged` looks at them."""
    return np.array([record[data.task.label] for record in data.source], np.int64)

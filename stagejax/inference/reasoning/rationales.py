"""Two models that answer one after the other: the first says why, the second reads that and says the answer.

Functions for `run.make`. Letters: R records, n rationales of each, L tokens of a rationale, S of a prompt.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.joined import Row
from stagejax.data.language.seq2seq import encoder_decoder_spec
from stagejax.data.multimodal.scene_questions import CELLS, CONTEXTS, PICTURE, SceneQuestions, facts_of
from stagejax.data.pipeline import Data
from stagejax.data.prompts.answers import MadeRows
from stagejax.data.tokenizers import SEP
from stagejax.decode import Prompts, rouge, sample
from stagejax.decode.bleu import bleu
from stagejax.decode.vote import majority_vote
from stagejax.inference import Frozen, apply, flops_of_one
from stagejax.inference.answering import ask
from stagejax.models.text.reading import Read
from stagejax.result import Result
from stagejax.stage import Batch

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Form:
    """How rationales and answers are written.

    Args:
      asked, told: tokens of a prompt without a rationale and with one.
      rationale, answer: tokens of what is said, with SEP.
      ends: the id of the word behind a rationale.
    """

    asked: int
    told: int
    rationale: int
    answer: int
    ends: int


def seen(eyes: Result, source: SceneQuestions) -> Arrays:
    """What a frozen classifier of cells has to tell of every record's picture: {"image": (R, cells, features + cells)}.

    Its features, brought to mean 0 and variance 1 in every cell as those behind a norm are, and a code of the cell's
    place that is as long; zeros for a record without a picture, as in Multimodal-CoT.
    """
    records = range(len(source))
    cells = np.stack([source.cells(index) for index in records])
    there = np.array([source[index]["context"] == CONTEXTS.index(PICTURE) for index in records])
    found = apply(features_of_cells, Frozen.of(eyes), cells.reshape(-1, *cells.shape[2:]))
    found = (found - found.mean(-1, keepdims=True)) / (found.std(-1, keepdims=True) + 1e-5)
    place = np.sqrt(found.shape[-1]) * np.eye(len(CELLS), dtype=np.float32)
    made = np.concatenate([found.reshape(*cells.shape[:2], -1), np.tile(place, (len(cells), 1, 1))], axis=-1)
    return {"image": np.where(there[:, None, None], made, 0).astype(np.float32)}


def unseen(count: int, places: tuple[int, int]) -> Arrays:
    """Nothing seen, for so many records."""
    return {"image": np.zeros((count, *places), np.float32)}


def features_of_cells(model: Any, images: jax.Array) -> jax.Array:
    return model.features(images)


def rationales(net: Result, data: Data, form: Form, n: int = 1, temperature: float = 0.0) -> Arrays:
    """What a model says of every record: {"said": (R, n, L) ids without SEP, padded, "tokens": how many were drawn}."""
    frozen, said, drawn = Frozen.of(net), np.zeros((data.size(), n, form.rationale), np.int32), 0
    for number, (records, batch) in enumerate(every(data)):
        inputs = {"inputs": batch["inputs"], "mask": batch["mask"], "image": batch["image"]}
        tokens, ends = ask(spoken, frozen, inputs | {"key": jax.random.key(number)}, form.rationale, n, temperature)
        said[records] = np.where(tokens == SEP, 0, tokens)[: len(records)]
        drawn += int((ends - 1)[: len(records)].sum())
    return {"said": said, "tokens": np.array(drawn)}


def spoken(model: Any, batch: Batch, limit: int, n: int, temperature: float) -> tuple[jax.Array, jax.Array]:
    """n answers of at most `limit` tokens of a model that reads and sees, (B, n, limit), and where they end."""
    B = len(batch["inputs"])
    read = Read(model, batch["inputs"], batch["mask"], {"image": batch["image"]})
    starts = Prompts(jnp.ones((B, 1), jnp.int32), jnp.ones(B, jnp.int32))  # CLS, with which training begins as well
    how: dict[str, Any] = {"length": limit + 1, "n": n, "temperature": temperature, "stops": ((SEP,),)}
    found = sample(read, starts, batch["key"], **how)
    return found.tokens_BNS[..., 1:], found.ends_BN


def with_rationales(data: Data, said: Result, form: Form, wanted: Data) -> Arrays:
    """The rows of an answer model that reads rationales which were said: R n rows, the n of a record side by side.

    Args:
      data: prompts of the first model.
      wanted: rows of the second one with what it has to say; what they read is replaced.

    Raises:
      ValueError: the two are not the same records in the same order.
    """
    made: np.ndarray = said.value["said"]
    n, rows = made.shape[1], []
    for (records, batch), (others, right) in zip(every(data), every(wanted), strict=True):
        if records.tolist() != others.tolist():
            raise ValueError("prompts and wanted answers come in another order: give both one seed and one batch")
        for at, record in enumerate(records):
            for k in range(n):
                asked, reasons = batch["inputs"][at][batch["mask"][at]], made[record, k]
                whole = np.concatenate([asked, reasons[reasons > 0]])[: form.told - 1]  # one that never ended is cut
                own = np.append(whole, form.ends).astype(np.int32)
                inputs = np.zeros(form.told, np.int32)
                inputs[: len(own)] = own
                more = {name: right[name][at] for name in ("tokens", "targets", "weights", "image")}
                rows.append((record, k, {"inputs": inputs, "mask": inputs > 0} | more))
    rows.sort(key=lambda row: row[:2])
    return {name: np.stack([row[name] for _, _, row in rows]) for name in rows[0][2]}


def rows_with(made: Result, form: Form, places: tuple[int, int], batch: int) -> MadeRows:
    """The rows that `with_rationales` made, as batches; `places` is the shape of a record's image."""
    spec = {name: (leaf.shape, str(leaf.dtype)) for name, leaf in encoder_decoder_spec(form.told, form.answer).items()}
    rows = tuple(Row(name, *kind) for name, kind in (spec | {"image": (places, "float32")}).items())
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch)


def answers(net: Result, data: Data, form: Form) -> Arrays:
    """What a model says to every record or row, {"said": (R, answer) ids without SEP}, and whether it is "right"."""
    frozen = Frozen.of(net)
    made = {"said": np.zeros((data.size(), form.answer), np.int32), "right": np.zeros(data.size(), bool)}
    for records, batch in every(data):
        inputs = {name: batch[name] for name in ("inputs", "mask", "image")} | {"key": jax.random.key(0)}
        said, wanted = ask(spoken, frozen, inputs, form.answer, 1, 0.0)[0][:, 0], batch["targets"]
        said, wanted = (np.where(rows == SEP, 0, rows)[: len(records)] for rows in (said, wanted))
        made["said"][records], made["right"][records] = said, (said == wanted).all(1)
    return made


def elected_right(said: np.ndarray, right: np.ndarray, n: int) -> np.ndarray:
    """Whether the answer is right that most of every n are, which follow each other; of equals the first.

    >>> said = np.array([[1, 0], [2, 3], [2, 3]])
    >>> elected_right(said, np.array([False, True, True]), 3).tolist()
    [True]
    """
    found = []
    for each, own in zip(said.reshape(-1, n, said.shape[1]).tolist(), right.reshape(-1, n), strict=True):
        answers = [tuple(row) for row in each]
        found.append(bool(own[answers.index(majority_vote(answers).answer)]))
    return np.array(found)


def nearness(said: np.ndarray, source: SceneQuestions) -> dict[str, float]:
    """How near rationales (R, L) come to those of a source, in %.

    `exact`: all facts right and no other; `facts`, of which `cells` and `conclusions`: those wanted that are said in
    their place; `rougeL` and `bleu`.
    """
    code, wanted = source.words(), [source[index]["rationale"] for index in range(len(source))]
    told = [code.decode(row) for row in said]
    pairs = [(facts_of(own), facts_of(gold)) for own, gold in zip(told, wanted, strict=True)]
    right = [[at < len(own) and own[at] == fact for at, fact in enumerate(gold)] for own, gold in pairs]
    made = {
        "exact": np.mean([own == gold for own, gold in pairs]),
        "facts": np.mean([one for own in right for one in own]),
        "cells": np.mean([one for own in right for one in own[:-1]]),
        "conclusions": np.mean([own[-1] for own in right]),
        "rougeL": rouge(told, wanted)["rougeL"],
        "bleu": bleu(told, wanted) / 100,
    }
    return {name: 100 * float(value) for name, value in made.items()}


def every(data: Data) -> Iterator[tuple[np.ndarray, Batch]]:
    """All records once: their numbers, and batches of one size, of which the last may have more rows than numbers."""
    for start in range(0, data.size(), data.batch):
        numbers = np.arange(start, start + data.batch)
        records = data.records(numbers)
        yield records[: data.size() - start], data.take(numbers)


def drawn_tokens(made: Mapping[str, np.ndarray]) -> int:
    """How many tokens were drawn for `rationales`."""
    return int(made["tokens"])


@functools.cache
def flops(config: Any, asked: int, limit: int, places: tuple[int, int], n: int = 1) -> float:
    """FLOPs of n answers of the greatest length to one prompt."""
    ints = functools.partial(jax.ShapeDtypeStruct, dtype=np.dtype("int32"))
    row = {"inputs": ints((asked,)), "mask": jax.ShapeDtypeStruct((asked,), np.dtype(bool))}
    row |= {"image": jax.ShapeDtypeStruct(places, np.float32)}
    return float(flops_of_one(_unkeyed, config, row, limit, n, while_trips=limit))


def _unkeyed(model: Any, batch: Batch, limit: int, n: int) -> tuple[jax.Array, jax.Array]:
    return spoken(model, dict(batch) | {"key": jax.random.key(0)}, limit, n, 1.0)

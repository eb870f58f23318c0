"""Two models that answer one after the other: the first says why, the second reads that and says the answer.

Functions for `run.make`. Letters: R records, n rationales of each, L tokens of a rationale, S of a prompt.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.answers import MadeRows
from stagejax.data.joined import Row
from stagejax.data.pipeline import Data
from stagejax.data.scene_questions import CELLS, SceneQuestions
from stagejax.data.seq2seq import encoder_decoder_spec
from stagejax.data.tokenizers import SEP
from stagejax.decode import Prompts, sample
from stagejax.decode.vote import majority_vote
from stagejax.inference import Frozen, apply, flops_of_one
from stagejax.inference.answering import ask
from stagejax.models.reading import Read
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
      letters: the ids of the answers.
    """

    asked: int
    told: int
    rationale: int
    answer: int
    ends: int
    letters: tuple[int, ...]


def seen(eyes: Result, source: SceneQuestions) -> Arrays:
    """What a frozen classifier of cells has to tell of every record's picture: {"image": (R, 9, features + 9)}.

    Its features, and behind them which cell it is; zeros for a record without a picture, as in Multimodal-CoT.
    """
    net, where, found = Frozen.of(eyes), np.eye(len(CELLS), dtype=np.float32), []
    for index in range(len(source)):
        cells = source.cells(index)
        found.append(cells if cells.any() else np.full_like(cells, np.nan))
    cells = np.stack(found)
    features = apply(_features, net, np.nan_to_num(cells).reshape(-1, *cells.shape[2:]))
    made = np.concatenate([features.reshape(*cells.shape[:2], -1), np.tile(where, (len(cells), 1, 1))], axis=-1)
    return {"image": np.where(np.isnan(cells).any((1, 2, 3, 4))[:, None, None], np.float32(0), made)}


def _features(model: Any, images: jax.Array) -> jax.Array:
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


def with_rationales(data: Data, said: Mapping[str, np.ndarray], form: Form, wanted: Data) -> Arrays:
    """The rows of an answer model that reads rationales which were said: R n rows, the n of a record side by side.

    Args:
      data: prompts of the first model.
      wanted: rows of the second one with what it has to say; what they read is replaced.
    """
    n, rows = said["said"].shape[1], []
    for (records, batch), (_, right) in zip(every(data), every(wanted), strict=True):
        for at, record in enumerate(records):
            for k in range(n):
                asked, reasons = batch["inputs"][at][batch["mask"][at]], said["said"][record, k]
                own = np.concatenate([asked, reasons[reasons > 0], [form.ends]])[: form.told].astype(np.int32)
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


def answers(net: Result, rows: Mapping[str, np.ndarray], form: Form, batch: int) -> Arrays:
    """What a model answers to each of some rows: {"given": a place among the letters, or -1 without just one}."""
    frozen, given = Frozen.of(net), []
    size = len(rows["inputs"])
    for start in range(0, size, batch):
        at = np.minimum(np.arange(start, start + batch), size - 1)
        inputs = {name: rows[name][at] for name in ("inputs", "mask", "image")} | {"key": jax.random.key(0)}
        tokens, _ = ask(spoken, frozen, inputs, form.answer, 1, 0.0)
        given += [letter_of(row, form.letters) for row in tokens[:, 0]]
    return {"given": np.array(given[:size], np.int32)}


def letter_of(tokens: np.ndarray, letters: Sequence[int]) -> int:
    """The place of the one letter that is said; -1 where there is none, or more than one.

    >>> letter_of(np.array([7, 8, 5, 0]), (4, 5, 6)), letter_of(np.array([4, 5]), (4, 5, 6))
    (1, -1)
    """
    said = [letters.index(token) for token in tokens.tolist() if token in letters]
    return said[0] if len(said) == 1 else -1


def elected(given: np.ndarray, n: int) -> np.ndarray:
    """The majority of every n answers, those without a letter left out; -1 where none has one.

    >>> elected(np.array([1, 2, 2, -1, -1, 3]), 3).tolist()
    [2, 3]
    """
    votes = [majority_vote([int(own) if own >= 0 else None for own in row]).answer for row in given.reshape(-1, n)]
    return np.array([-1 if vote is None else vote for vote in votes], np.int32)


def every(data: Data) -> Iterator[tuple[np.ndarray, Batch]]:
    """All records once: their numbers, and batches of one size, of which the last may have more rows than numbers."""
    for start in range(0, data.size(), data.batch):
        numbers = np.arange(start, start + data.batch)
        records = data.records(numbers)  # type: ignore[attr-defined]
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

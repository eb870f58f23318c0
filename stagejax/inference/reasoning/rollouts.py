"""What a step of an answer is worth: completions of its prefix are drawn and judged. Monte-Carlo, nothing is known."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from stagejax.data.prompts.answers import PromptedText
from stagejax.decode import Prompts, Samples, pass_at, sample
from stagejax.decode.steps import step_ends
from stagejax.inference import Frozen
from stagejax.inference.answering import Answering, ask
from stagejax.result import Result
from stagejax.stage import Batch

Arrays = dict[str, np.ndarray]


def drawn_answers(
    net: Result, data: PromptedText, how: Answering, n: int, seed: int, count: int | None = None
) -> Arrays:
    """`n` answers to every prompt of `data`, once each, as an artifact for `run.make`.

    Args:
      count: so many prompts, the first in the order of `data`; None: all.

    Returns:
      One row an answer, those of a prompt next to each other: "prompt", the number of its record; "tokens" (rows, S);
      "starts" and "ends", where the answer begins and ends; "right"; and what the data has beside its prompts.

    >>> # drawn = run.make("drawn", drawn_answers, tuned, prompts, how, 8, 0, sampled_tokens=drawn_tokens)
    """
    frozen, found, size = Frozen.of(net), [], data.size() if count is None else count
    for start in range(0, size, data.batch):
        numbers = np.arange(start, start + data.batch)
        batch = data.take(numbers)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), numbers)
        samples, right = ask(_several, frozen, batch | {"keys": keys}, how, n)
        rows = {"tokens": samples.tokens_BNS, "starts": samples.starts_BN, "ends": samples.ends_BN, "right": right}
        beside = {name: batch[name] for name in data.beside} | {"prompt": data.records(numbers)}
        rows |= {name: np.repeat(x[:, None], n, axis=1) for name, x in beside.items()}
        kept = min(data.batch, size - start)
        found.append({name: x[:kept].reshape(kept * n, *x.shape[2:]) for name, x in rows.items()})
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def drawn_tokens(made: Arrays) -> int:
    """How many tokens were drawn for `drawn_answers`."""
    return int((made["ends"] - made["starts"]).sum())


@dataclass(frozen=True)
class Rollouts:
    """How a prefix is valued: by `n` completions, each drawn by the model itself at temperature 1.

    The policy behind Q is the best of `best_of` such completions, so Q = 1 - (1 - p)^K, estimated without bias from n
    draws by `pass_at`. It rises with p, and so does not change which step is the worst, but it hardly falls for a step
    from which one try of five still succeeds.

    Args:
      how: answers, and judges them.
      separator: the token that ends a step.
      n: completions of each prefix.
      best_of: K.
      at_once: prefixes that are completed together.

    Reference: Setlur et al. 2024, https://arxiv.org/abs/2406.14532 (K = 5).

    Raises:
      ValueError: n is below K.
    """

    how: Answering
    separator: int
    n: int = 8
    best_of: int = 5
    at_once: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.best_of <= self.n:
            raise ValueError(f"the best of {self.best_of} completions cannot be told from n={self.n}: raise `n`")

    def value(self, right: int) -> float:
        """Q, where so many of the n completions were right."""
        return pass_at(self.best_of, samples=self.n, right=right)


@dataclass(frozen=True)
class WrongAnswers:
    """Which of the answers of `drawn_answers` are wrong, each once, and at most so many of a prompt.

    >>> told = {"prompt": np.zeros(4, int), "right": np.array([0.0, 1, 0, 0]), "tokens": np.array([[5], [6], [5], [7]])}
    >>> WrongAnswers(2)(told).tolist()
    [0, 3]
    """

    most: int

    def __call__(self, answers: Arrays) -> np.ndarray:
        return distinct(answers, answers["right"] == 0, self.most)


def first_answers(answers: Arrays) -> np.ndarray:
    """Which of the answers of `drawn_answers` are the first to their prompt, right or wrong.

    >>> first_answers({"prompt": np.array([3, 3, 1, 1])}).tolist()
    [0, 2]
    """
    return np.sort(np.unique(answers["prompt"], return_index=True)[1])


def distinct(answers: Arrays, wanted: np.ndarray, most: int) -> np.ndarray:
    """The first rows of `drawn_answers` that are wanted: no answer to a prompt twice, at most so many of each prompt.

    >>> told = {"prompt": np.array([0, 0, 0, 1]), "tokens": np.array([[5], [5], [7], [5]])}
    >>> distinct(told, np.full(4, True), 1).tolist(), distinct(told, np.full(4, True), 2).tolist()
    ([0, 3], [0, 2, 3])
    """
    found: dict[int, dict[bytes, int]] = {}
    for row in np.flatnonzero(wanted).tolist():
        own = found.setdefault(int(answers["prompt"][row]), {})
        if len(own) < most:
            own.setdefault(answers["tokens"][row].tobytes(), row)
    return np.array(sorted(row for own in found.values() for row in own.values()), int)


def step_values(
    net: Result, answers: Result, which: Callable[[Arrays], np.ndarray], rollouts: Rollouts, seed: int
) -> Arrays:
    """Q behind every step of answers, as an artifact for `run.make`.

    Equal prefixes are completed once. A prefix's draws are a function of the network, its tokens and the seed alone.
    The whole answer is terminal: its Q is its verdict, 1 or 0.

    Args:
      answers: of `drawn_answers`.
      which: the rows of these to be valued, from their arrays.

    Returns:
      One row a step: "row" of its answer, "end" behind the step, "right" of the n completions (-1 where it is terminal)
      and "value". Beside them one row a prefix that was completed: "drawn", the tokens of its completions.
    """
    rows, told = which(answers.value), answers.value
    row, end = steps_of(told, rows, rollouts.separator).T
    inner = np.flatnonzero(end < told["ends"][row])
    at = np.arange(told["tokens"].shape[1])
    prefixes = np.where(at < end[inner, None], told["tokens"][row[inner]], 0)
    unique, first, back = np.unique(prefixes, axis=0, return_index=True, return_inverse=True)
    source = row[inner][first]
    beside = {name: x[source] for name, x in told.items() if name not in ("tokens", "ends", "right", "prompt")}
    right, drawn = completed(Frozen.of(net), unique, end[inner][first], beside, rollouts, seed)
    counts = np.full(len(row), -1)
    counts[inner] = right[back.reshape(-1)]
    verdict = told["right"][row]
    value = [rollouts.value(int(c)) if c >= 0 else float(v) for c, v in zip(counts, verdict, strict=True)]
    return {"row": row, "end": end, "right": counts, "value": np.array(value), "drawn": drawn}


def answer_by_answer(values: Arrays) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each answer that `step_values` valued: its row, where its steps end, and Q behind them.

    >>> told = {"row": np.array([4, 4, 6]), "end": np.array([3, 5, 4]), "value": np.array([1.0, 0.0, 0.0])}
    >>> [(row, ends.tolist(), q.tolist()) for row, ends, q in answer_by_answer(told)]
    [(4, [3, 5], [1.0, 0.0]), (6, [4], [0.0])]
    """
    for row in np.unique(values["row"]).tolist():
        own = values["row"] == row
        yield row, values["end"][own], values["value"][own]


def steps_of(answers: Arrays, rows: np.ndarray, separator: int) -> np.ndarray:
    """(steps, 2): of the answers in these rows the row of each step, and behind which token it ends.

    >>> told = {"tokens": np.array([[1, 8, 3, 9, 2]]), "starts": np.array([1]), "ends": np.array([5])}
    >>> steps_of(told, np.array([0]), separator=3).tolist()
    [[0, 3], [0, 5]]
    """
    ends = [
        (row, end)
        for row in np.asarray(rows).tolist()
        for end in step_ends(answers["tokens"][row], answers["starts"][row], answers["ends"][row], separator).tolist()
    ]
    return np.array(ends, np.int64).reshape(-1, 2)


def rollout_tokens(made: Arrays) -> int:
    """How many tokens were drawn for `step_values`."""
    return int(made["drawn"].sum())


def completed(
    net: Frozen, prefixes: np.ndarray, ends: np.ndarray, beside: Arrays, rollouts: Rollouts, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """How many of the n completions of each prefix are right, and how many tokens these are.

    Prefixes of one length stand together, since a batch takes as long as its longest completion.

    Args:
      prefixes: (prefixes, S), prompts with an answer's first steps, each of `ends` tokens.
      beside: "starts", where answers begin, and what the rule reads.
    """
    key, size = jax.random.key(seed), rollouts.at_once
    right, drawn = np.zeros((2, len(prefixes)), np.int64)
    order = np.argsort(-ends, kind="stable")
    for start in range(0, len(order), size):
        own = order[start : start + size]
        full = np.resize(own, size)  # the last batch goes round
        tokens = prefixes[full]
        hashes = np.array([zlib.crc32(line.astype("<i4").tobytes()) for line in tokens], np.uint32)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, hashes)
        batch = {name: x[full] for name, x in beside.items()} | {"tokens": tokens, "ends": ends[full], "keys": keys}
        good, length = ask(_completions, net, batch, rollouts)
        right[own], drawn[own] = good[: len(own)], length[: len(own)]
    return right, drawn


def _several(model: Any, batch: Batch, how: Answering, n: int) -> tuple[Samples, jax.Array]:
    found = how.answers(model, batch, batch["keys"], n=n)
    return found, how.rule(found, batch)


def _completions(model: Any, batch: Batch, rollouts: Rollouts) -> tuple[jax.Array, jax.Array]:
    how, ends = rollouts.how, batch["ends"]
    limit = batch["starts"] + how.limit - ends  # an answer of prefix and completion is as long as any
    prompts = Prompts(batch["tokens"], ends)
    found = sample(model, prompts, batch["keys"], length=how.length, n=rollouts.n, limit=limit, stops=how.stops)
    return how.rule(found, batch).sum(1), (found.ends_BN - found.starts_BN).sum(1)

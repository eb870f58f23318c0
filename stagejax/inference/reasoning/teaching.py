"""Learning by teaching: rationales of a teacher, each judged by how students do in an exam after reading it.

A source gives, for each problem, the texts "question" and "solution", the number "answer", and "exams": related
problems with the same fields. The answers of exams are known here, that of the problem itself is not looked at.

Letters: N problems, K rationales of each, E exams of each, R repetitions of an exam, L tokens of a rationale at most.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from stagejax.data import CLS, SEP
from stagejax.data.prompts.answers import answer_row
from stagejax.data.sources import Source
from stagejax.data.vocabulary.words import Words
from stagejax.decode import Group, Prompts, answer_by, groups, padded_prompts, sample
from stagejax.decode.pairs import gapped_pairs
from stagejax.decode.steps import FinalNumber
from stagejax.inference.answering import ask
from stagejax.inference.continuing import GREEDY, Sampling, continuing_flops
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts.preferring import SIDES, with_reference
from stagejax.result import Result
from stagejax.stage import Batch

Arrays = dict[str, np.ndarray]

#: How teacher and students draw in the paper.
WARM = Sampling(temperature=0.7, top_k=20)


@dataclass(frozen=True)
class Teaching:
    """How problems are solved, and how students are examined.

    A student reads [CLS, question, rationale, `then`, question of the exam]. As in such texts, a solution ends with
    `SEP` or with `then`.

    Args:
      tokenizer: of all texts.
      then: the word between example and exam.
      number: tells the answer of a solution.
      question: most tokens of a question, with CLS.
      limit: L, most tokens of a solution with its end.
      sampling: of teacher and students.
      at_once: rows that are drawn together.
    """

    tokenizer: Words
    then: str
    number: FinalNumber
    question: int
    limit: int
    sampling: Sampling = WARM
    at_once: int = 256

    @property
    def lesson(self) -> int:
        """Most tokens that a student reads."""
        return 2 * self.question + self.limit

    @property
    def stops(self) -> tuple[tuple[int, ...], ...]:
        """What ends a solution."""
        return (SEP,), tuple(self.ids(self.then)[0].tolist())

    def ids(self, *texts: str) -> list[np.ndarray]:
        return self.tokenizer.encode(texts)

    def flops(self, config: Any, lesson: bool = False) -> float:
        """FLOPs of one solution with all tokens that it may have, alone or behind a lesson."""
        return continuing_flops(config, self.lesson if lesson else self.question, self.limit)


def rationales(net: Result, source: Source, how: Teaching, n: int, seed: int) -> Arrays:
    """K = `n` solutions to every problem of a source, for `run.make`.

    Returns:
      "tokens" (N, K, L), without their ends; "said" (N, K), their answers, -1 without one; "end" (N, K), the token that
      ended each, 0 where the limit did; "logprob" (N, K), the mean of their tokens' log-probabilities, nats; "drawn"
      (N, K), how many tokens.

    >>> # drawn = run.make("drawn", rationales, teacher, problems, how, 8, 0, sampled_tokens=tokens_drawn)
    """
    asked = [np.concatenate([[CLS], own]) for own in how.ids(*(source[i]["question"] for i in range(len(source))))]
    return _solutions(net, asked, how, n, seed, how.question)


def exam(student: Result, source: Source, lessons: Arrays | Result, how: Teaching, repeats: int, seed: int) -> Arrays:
    """How a student does in the exams of every problem after reading each of its rationales, for `run.make`.

    Args:
      lessons: of `rationales`; only their tokens are read.
      repeats: R, answers to each exam.

    Returns:
      "right" and "drawn" (N, K, E, R): whether an answer is that of the exam, and its tokens.
    """
    tokens, examined, asked = _tokens(lessons), [], []
    (then,) = how.ids(how.then)
    for record, own in zip((source[i] for i in range(len(source))), tokens, strict=True):
        question, *others = how.ids(record["question"], *(each["question"] for each in record["exams"]))
        for rationale in own:
            for other, each in zip(others, record["exams"], strict=True):
                asked.append(np.concatenate([[CLS], question, rationale[rationale > 0], then, other]))
                examined.append(each["answer"])
    made = _solutions(student, asked, how, repeats, seed, how.lesson)
    right = made["said"] == np.array(examined)[:, None]
    shape = (*tokens.shape[:2], -1, repeats)
    return {"right": right.reshape(shape), "drawn": made["drawn"].reshape(shape)}


def tokens_drawn(made: Arrays) -> int:
    """How many tokens were drawn for `rationales` or `exam`."""
    return int(made["drawn"].sum())


def written(source: Source, how: Teaching) -> Arrays:
    """The solutions of a source as one rationale of each problem, for `exam`."""
    rows = how.ids(*(source[i]["solution"] for i in range(len(source))))
    return {"tokens": padded_prompts(rows, how.limit).tokens_BP[:, None]}


def solved(net: Result, source: Source, how: Teaching) -> Float[np.ndarray, " N"]:
    """1 where the greedy solution of a problem has the right answer, else 0."""
    asked = [np.concatenate([[CLS], own]) for own in how.ids(*(source[i]["question"] for i in range(len(source))))]
    made = _solutions(net, asked, how, 1, 0, how.question, GREEDY)
    return (made["said"][:, 0] == source.column("answer")).astype(float)


def answers_by(
    measure: Callable[[Group], float], said: Int[np.ndarray, "N K"], scores: Float[np.ndarray, "N K"]
) -> list[Any]:
    """The answer to each problem whose rationales measure most (see `answer_by`); None where none has an answer.

    >>> said, scores = np.array([[7, 12, 12], [-1, -1, -1]]), np.array([[0.9, 0.2, 0.3], [1.0, 1.0, 1.0]])
    >>> answers_by(lambda own: own.count, said, scores), answers_by(lambda own: own.total, said, scores)
    ([12, None], [7, None])
    """
    rows = zip(np.asarray(said).tolist(), np.asarray(scores, float).tolist(), strict=True)
    return [answer_by(measure, groups([None if a < 0 else a for a in own], s)) for own, s in rows]


def share(exam: Result) -> Float[np.ndarray, "N K"]:
    """s: the share of an exam's answers that are right, of each rationale."""
    return exam.value["right"].mean((-2, -1))


class Way(NamedTuple):
    """How an answer is chosen from rationales: that of the group which measures most by the mean score of exams."""

    measure: Callable[[Group], float]
    rationales: int
    exams: tuple[tuple[int, int], ...] = ()  # examinee and turn of each

    def scores(self, exams: Sequence[Sequence[Result]]) -> Float[np.ndarray, "N K"]:
        """The mean of s over this way's exams, of all exams by examinee and turn."""
        return np.mean([share(exams[who][turn]) for who, turn in self.exams], axis=0)

    def answers(self, said: Int[np.ndarray, "N _"], exams: Sequence[Sequence[Result]]) -> list[Any]:
        """The answers, from the first rationales of those that are there."""
        own = said[:, : self.rationales]
        scores = self.scores(exams)[:, : self.rationales] if self.exams else np.zeros(own.shape)
        return answers_by(self.measure, own, scores)


def following(right: Source, wrong: Source, how: Teaching, *nets: Result) -> list[list[float]]:
    """How often each network is right in exams after a right example and a wrong one, and without any; for `run.make`.

    Exams are answered as `how` samples; without an example the problems themselves are, greedily.

    Args:
      right, wrong: the same problems with right and other solutions; those whose answers are equal are left out.

    Raises:
      ValueError: all answers are equal.
    """
    other, found = right.column("answer") != wrong.column("answer"), []
    if not other.any():
        raise ValueError(f"all answers of {wrong} are those of {right}: give more problems, or more operations")
    for net in nets:
        after = [exam(net, right, written(told, how), how, 1, 7)["right"][other] for told in (right, wrong)]
        found.append([*(float(own.mean()) for own in after), float(solved(net, right, how)[other].mean())])
    return found


def scored_pairs(
    net: Result, source: Source, drawn: Result, how: Teaching, scores: Sequence[Sequence[float]], gap: float, most: int
) -> Arrays:
    """Pairs of rationales whose scores differ by more than `gap`, for `preferring.pair_rows`.

    Args:
      net: the teacher that gave them, which is the reference.
      drawn: of `rationales`.
      scores: (N, K).
      most: pairs of a problem.

    Returns:
      What `own_pairs` gives, and "problem" (pairs,).

    Raises:
      ValueError: there is no pair.

    Reference: Ning et al. 2024 (LbT), https://arxiv.org/abs/2406.14629, section 4.
    """
    rows: dict[str, list[Any]] = {side: [] for side in SIDES}
    told, problems = drawn.value, []
    asked = how.ids(*(source[i]["question"] for i in range(len(source))))
    length = how.question + how.limit - 1
    for problem, own in enumerate(scores):
        prompt = np.concatenate([[CLS], asked[problem]]).astype(np.int32)
        for both in gapped_pairs(own, gap, most):
            for side, k in zip(SIDES, both, strict=True):
                answer = np.append(told["tokens"][problem, k], told["end"][problem, k])
                rows[side].append(answer_row(prompt, answer[answer > 0].astype(np.int32), length))
            problems.append(problem)
    if not problems:
        raise ValueError(f"no two of {told['said'].shape[1]} rationales of a problem differ by more than {gap}")
    made: Arrays = {"problem": np.array(problems)}
    for side in SIDES:
        tokens, weights = (np.stack(part) for part in zip(*rows[side], strict=True))
        made |= {side: tokens, f"{side}_weights": weights}
    return with_reference(Frozen.of(net), made)


def _tokens(lessons: Arrays | Result) -> Int[np.ndarray, "N K L"]:
    return (lessons.value if isinstance(lessons, Result) else lessons)["tokens"]


def _solutions(
    net: Result,
    asked: Sequence[np.ndarray],
    how: Teaching,
    n: int,
    seed: int,
    length: int,
    sampling: Sampling | None = None,
) -> Arrays:
    frozen, found = Frozen.of(net), []
    for batch in _batches(asked, how, max(1, how.at_once // n), seed, length, sampling or how.sampling):
        found.append(ask(_draw, frozen, batch, how, n, length + how.limit))
    return {name: np.concatenate([part[name] for part in found])[: len(asked)] for name in found[0]}


def _batches(
    asked: Sequence[np.ndarray], how: Teaching, rows: int, seed: int, length: int, sampling: Sampling
) -> Iterator[Batch]:
    options = {"temperature": np.float32(sampling.temperature), "top_k": np.int32(sampling.top_k)}
    for start in range(0, len(asked), rows):
        part = list(asked[start : start + rows])
        filled = padded_prompts(part + part[:1] * (rows - len(part)), length)
        keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(np.arange(start, start + rows))
        yield {"tokens": filled.tokens_BP, "lengths": filled.lengths_B, "keys": keys, **options}


def _draw(model: Any, batch: Batch, how: Teaching, n: int, length: int) -> Any:
    options = {name: batch[name] for name in ("temperature", "top_k")}
    asked = Prompts(batch["tokens"], batch["lengths"])
    drawn = sample(model, asked, batch["keys"], length=length, n=n, limit=how.limit, stops=how.stops, **options)
    at = drawn.starts_BN[..., None] + jax.numpy.arange(how.limit)
    inside = at < (drawn.ends_BN - drawn.stop_sizes_BN)[..., None]
    tokens = jax.numpy.take_along_axis(drawn.tokens_BNS, at, axis=-1, mode="clip")
    last = jax.numpy.take_along_axis(drawn.tokens_BNS, drawn.ends_BN[..., None] - 1, axis=-1)
    count = drawn.ends_BN - drawn.starts_BN
    return {
        "tokens": jax.numpy.where(inside, tokens, 0),
        "said": how.number.said(drawn),
        "end": jax.numpy.where(drawn.stop_sizes_BN > 0, last[..., 0], 0),
        "logprob": drawn.logprobs_BNS.sum(-1) / count,
        "drawn": count,
    }

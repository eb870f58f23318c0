"""Pairs to be judged as rows of tokens: prompts in both orders, a teacher's critiques with its filter, and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.data.prompts.answers import answer_row
from stagejax.data.prompts.judging import KINDS, TAGS, TEMPLATES, critique, judge_prompt, judged_pair, verdict
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, SEP, Codec

Arrays = dict[str, np.ndarray]
Pair = Mapping[str, Any]


@dataclass(frozen=True)
class JudgeRows:
    """How pairs become rows.

    Args:
      code: one token a word.
      prompt: tokens of a judge's prompt at most, with CLS.
      limit: tokens of a critique at most, with its end.
      words: of an answer at most, without fillers.
      steps: of a problem at most.
      largest: number.
      fillers: words added to an answer at most.

    >>> from stagejax.data.prompts.judging import judging_words
    >>> from stagejax.data.vocabulary.words import Words
    >>> rows = JudgeRows(Words((*judging_words(), "q", "a", "b")), prompt=16, limit=4, words=1, steps=1, largest=12)
    >>> pair = {"question": "q", "right": "a", "wrong": "b", "template": 0}
    >>> [rows.code.decode(row[:size]) for row, size in (rows.prompted(pair, order) for order in (0, 1))]
    ['which answer is right ? q A : a B : b check', 'which answer is right ? q A : b B : a check']
    """

    code: Codec
    prompt: int
    limit: int
    words: int
    steps: int
    largest: int
    fillers: int = 4

    @property
    def length(self) -> int:
        """Tokens of prompt and critique."""
        return self.prompt + self.limit

    @property
    def problem(self) -> int:
        """Tokens of a problem with CLS at most: four words at its start, four a step, and the question."""
        return 9 + 4 * self.steps

    @property
    def answered(self) -> int:
        """Tokens of a problem and an answer with its end, at most."""
        return self.problem + self.words + self.fillers + 1

    @property
    def tags(self) -> tuple[int, ...]:
        """The tokens of the verdicts."""
        return tuple(int(self.code.encode([tag])[0][0]) for tag in TAGS)

    def prompted(self, pair: Pair, order: int) -> tuple[np.ndarray, int]:
        """The prompt with the right answer first (order 0) or second (1), padded; and its length.

        Raises:
          ValueError: it is too long.
        """
        text = judge_prompt(TEMPLATES[pair["template"]], pair["question"], *in_order(pair, order))
        ids = np.concatenate([np.int32([CLS]), self.code.encode([text])[0]])
        if len(ids) > self.prompt:
            raise ValueError(f"a judge's prompt has {len(ids)} tokens: raise prompt={self.prompt}")
        return np.pad(ids, (0, self.prompt - len(ids))), len(ids)

    def prompts(self, pairs: Sequence[Pair]) -> Arrays:
        """All pairs in both orders: "tokens", "lengths", and "label", where the right answer stands."""
        found = [self.prompted(pair, order) for pair in pairs for order in (0, 1)]
        tokens, lengths = (np.array(column, np.int32) for column in zip(*found, strict=True))
        return {"tokens": tokens, "lengths": lengths, "label": np.tile(np.int32([0, 1]), len(pairs))}

    def learned(self, pair: Pair, order: int, said: str) -> tuple[np.ndarray, np.ndarray]:
        """Prompt and what is said, padded, and the weights of its targets: 1 from the critique on."""
        ids, size = self.prompted(pair, order)
        answer = np.concatenate([self.code.encode([said])[0], np.int32([SEP])])
        return answer_row(ids[:size], answer, self.length - 1)


def in_order(pair: Pair, order: int) -> tuple[str, str]:
    """The answers of a pair, the right one first (0) or second (1)."""
    both = pair["right"], pair["wrong"]
    return both if order == 0 else both[::-1]


def pairs_to_judge(rows: JudgeRows, problems: Source, drawn: Any, seed: int) -> list[Pair]:
    """A right and a wrong answer to each problem: by turns one of every kind, `OWN` where a model gave a wrong answer.

    Where there is no wrong answer of the kind whose turn it is, that of the next kind is taken.

    Args:
      drawn: of `rollouts.drawn_answers` to the problems, an artifact; without its end, and no longer than `words`.

    >>> # pairs = run.make("pairs", pairs_to_judge, rows, problems, drawn, 0)
    """
    found = []
    for index in range(len(problems)):
        record = problems[index]
        own = _own(rows, drawn.value, index)
        for turn in range(len(KINDS)):
            kind = KINDS[(index + turn) % len(KINDS)]
            pair = judged_pair(record, kind, own, (rows.fillers, rows.steps), rows.largest, [seed, index, turn])
            if pair is not None:
                found.append(pair)
                break
    return found


def _own(rows: JudgeRows, told: Arrays, index: int) -> tuple[str | None, str | None]:
    """A right and a wrong answer of a model to a problem, as far as they are there and have an end."""
    found: list[str | None] = [None, None]
    for row in np.flatnonzero(told["prompt"] == index):
        tokens = told["tokens"][row, told["starts"][row] : told["ends"][row]]
        text = rows.code.decode(tokens)
        wrong = int(told["right"][row] == 0)
        if tokens[-1] == SEP and 0 < len(text.split()) <= rows.words and found[wrong] is None:
            found[wrong] = text
    return found[0], found[1]


@dataclass(frozen=True)
class Teacher:
    """A critic that fails, and which of its critiques are admitted.

    Args:
      misses: how often it takes a wrong answer for right, in each order of its own.
      gap: tokens by which the two answers may differ in length; None: by any.
      swaps: its verdict must be the label in both orders.

    Reference: RISE-Judge, arXiv 2502.11689: the filter of its first stage.
    """

    misses: float = 0.1
    gap: int | None = 4
    swaps: bool = True

    def says(self, pair: Pair, order: int, seed: Any) -> str:
        """The critique of a pair in one order."""
        rng = np.random.default_rng(seed)
        missed = "AB"[1 - order] if rng.random() < self.misses else ""
        return critique(pair["solution"], in_order(pair, order), missed)

    def critiques(self, pair: Pair, seed: Any) -> tuple[str, str] | str:
        """Both critiques, or by what the pair is not admitted: "order" or "length"."""
        both = self.says(pair, 0, [seed, 0]), self.says(pair, 1, [seed, 1])
        if self.gap is not None and abs(longer(pair)) > self.gap:
            return "length"
        if self.swaps and [verdict(said) for said in both] != [0, 1]:
            return "order"
        return both


def longer(pair: Pair) -> int:
    """By how many tokens the wrong answer is longer."""
    return len(pair["wrong"].split()) - len(pair["right"].split())


def taught(rows: JudgeRows, teacher: Teacher, verdict_only: bool, seed: int, *made: Any) -> Arrays:
    """Critiques of the pairs that the teacher's filter admits, each in one order, drawn: rows for `learned_rows`.

    Args:
      verdict_only: the tag alone is learned, without a critique.
      made: artifacts of pairs.

    Returns:
      "tokens" and "targets" (rows, T), "weights"; and "outcomes" (3,): pairs admitted, left out by the swap check, by
      their lengths.

    >>> # learned = run.make("critiques", taught, rows, Teacher(), False, 0, pairs)
    """
    found, outcomes = [], Counter()  # type: ignore[var-annotated]
    for number, pair in enumerate(pair for part in made for pair in part.value):
        both = teacher.critiques(pair, seed * 1_000_003 + number)
        outcomes[both if isinstance(both, str) else "admitted"] += 1
        if not isinstance(both, str):
            order = int(np.random.default_rng([seed, number]).integers(2))
            said = both[order].split()[-1] if verdict_only else both[order]
            found.append(rows.learned(pair, order, said))
    tokens, weights = (np.stack(column) for column in zip(*found, strict=True))
    counts = np.array([outcomes[name] for name in ("admitted", "order", "length")])
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights, "outcomes": counts}


def answers_in_pairs(rows: JudgeRows, *made: Any) -> Arrays:
    """For a reward model: question and answer of each side of all pairs, `chosen` and `rejected` with `_weights`.

    >>> # compared = run.make("answers", answers_in_pairs, rows, pairs)
    """
    found: Arrays = {}
    for side, name in (("chosen", "right"), ("rejected", "wrong")):
        told = []
        for pair in (pair for part in made for pair in part.value):
            first, second = rows.code.encode([pair["question"], pair[name]])
            told.append(
                answer_row(np.append(np.int32([CLS]), first), np.append(second, np.int32(SEP)), rows.answered - 1)
            )
        found[side], found[f"{side}_weights"] = (np.stack(column) for column in zip(*told, strict=True))
    return found

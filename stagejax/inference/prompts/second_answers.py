"""First answers, second ones behind the first, and votes of two: how good they are, and the tokens that they take."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import answer_of
from stagejax.data.tokenizers import SEP, Codec, codec
from stagejax.decode import chrf, majority_vote
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts.drafting import Pairs, Said, decoded, keys


@runtime_checkable
class Judge(Protocol):
    """What an answer's text says, and how good answers to some records are, from 0 to 100."""

    def answer(self, text: str) -> Hashable: ...

    def score(self, answers: Sequence[Any], records: Sequence[Any]) -> float: ...


@dataclass(frozen=True)
class Verified:
    """The share of answers whose number behind the last "ans" is that of the record, in %.

    >>> Verified().score([Verified().answer("7 + 5 = 12 ; ans 12"), None], [{"answer": 12}, {"answer": 3}])
    50.0
    """

    def answer(self, text: str) -> Hashable:
        """The integer behind the last "ans"; None without one."""
        return answer_of(text)

    def score(self, answers: Sequence[Any], records: Sequence[Any]) -> float:
        return 100 * float(np.mean([own == record["answer"] for own, record in zip(answers, records, strict=True)]))


@dataclass(frozen=True)
class Likeness:
    """chrF of the texts as a corpus, against the records' solutions.

    >>> round(Likeness().score(["ein Hund"], [{"solution": "ein Hund"}]))
    100
    """

    def answer(self, text: str) -> Hashable:
        """The text."""
        return text.strip()

    def score(self, answers: Sequence[Any], records: Sequence[Any]) -> float:
        return chrf(list(answers), [record["solution"] for record in records])


@dataclass(frozen=True)
class Asked:
    """Records with their pairs, and who judges the answers."""

    judge: Judge
    code: Codec
    pairs: Pairs
    records: Sequence[Any]

    @classmethod
    def of(cls, judge: Judge, data: Answers, count: int, prompt: int, answer: int) -> Asked:
        """The first `count` samples of `data`, or all of them once, with so many tokens at most."""
        numbers = np.arange(min(count, data.size()))
        records = [data.source[int(i)] for i in data.records(numbers)]
        code = codec(data.tokenizer, data.source, data.fields[0])
        return cls(judge, code, Pairs.of(data, numbers, prompt, answer), records)

    def references(self) -> list[Any]:
        """What the reference answers say."""
        return [self.judge.answer(record["solution"]) for record in self.records]

    def keys(self, seed: int = 0) -> Any:
        return keys(seed, np.arange(len(self.records)))

    def answers(self, said: Said) -> list[Any]:
        """What each says."""
        return [self.judge.answer(self.code.decode(row)) for row in said.tokens_NL]

    def score(self, answers: Sequence[Any]) -> float:
        return self.judge.score(answers, self.records)


def first_answers(net: Frozen, asked: Asked, special: tuple[int, ...] = (SEP,)) -> tuple[Said, dict[str, float]]:
    """The likeliest answers, and of them: `first`, their score; `first tokens` drawn for one; `departs`, how many are
    not the reference, in %; and `recovered`, the score of those (0 where there are none).

    >>> # drafts, found = first_answers(Frozen.of(result), asked)
    """
    said = decoded(net, asked.pairs, asked.keys(), temperature=0.0, special=special)
    answers, other_N = asked.answers(said), (said.tokens_NL != asked.pairs.answers_NL).any(1)
    rows = np.flatnonzero(other_N).tolist()
    kept = [answers[i] for i in rows], [asked.records[i] for i in rows]
    found = {"first": asked.score(answers), "first tokens": float(said.sizes_N.mean())}
    return said, found | {
        "departs": 100 * float(other_N.mean()),
        "recovered": asked.judge.score(*kept) if rows else 0.0,
    }


def second_answers(net: Frozen, asked: Asked, drafts: Said) -> dict[str, float]:
    """The likeliest answers behind [prompt, draft, CORRECT]: `twice`, their score; `twice tokens`, of both answers; and
    how many are `better` and `worse` than their drafts, in %.

    >>> # found |= second_answers(Frozen.of(result), asked, drafts)
    """
    said = decoded(net, asked.pairs.drafted(drafts), asked.keys(), temperature=0.0)
    first, second = asked.answers(drafts), asked.answers(said)
    change = [judged(asked.judge, *own) for own in zip(first, second, asked.records, strict=True)]
    return {
        "twice": asked.score(second),
        "twice tokens": float((drafts.sizes_N + said.sizes_N).mean()),
        "better": 100 * float(np.mean(np.array(change) > 0)),
        "worse": 100 * float(np.mean(np.array(change) < 0)),
    }


def judged(judge: Judge, first: Any, second: Any, record: Any) -> float:
    """How much better the second answer is."""
    return 0.0 if first == second else judge.score([second], [record]) - judge.score([first], [record])


def vote_of_two(net: Frozen, asked: Asked, temperature: float) -> dict[str, float]:
    """Two drawn answers vote, each with the geometric mean of its tokens' probabilities: `twice`, their score, and
    `twice tokens`, of both.

    Reference: Wang et al. 2022 (self-consistency), https://arxiv.org/abs/2203.11171.

    >>> # found |= vote_of_two(Frozen.of(result), asked, 0.5)
    """
    drawn = [decoded(net, asked.pairs, asked.keys(k), temperature=temperature) for k in (1, 2)]
    told = zip(*(asked.answers(said) for said in drawn), strict=True)
    weights = np.exp([said.logprobs_N / said.sizes_N for said in drawn]).T.tolist()
    votes = [majority_vote(own, weight).answer for own, weight in zip(told, weights, strict=True)]
    return {"twice": asked.score(votes), "twice tokens": float(sum(said.sizes_N for said in drawn).mean())}


def guesses(asked: Asked, train: Asked) -> dict[str, float]:
    """Scores without a model: of the answer that training records have most often, and of another record's answer."""
    own, known = asked.references(), train.references()
    most = max(sorted(set(known), key=str), key=known.count)
    return {
        "the most frequent answer": asked.score([most] * len(own)),
        "another record's answer": asked.score(own[1:] + own[:1]),
    }

"""What a span reader says of every record, and how its answers are scored: strictly, and by what they contain."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from stagejax.data.prompts.span_questions import SpanQuestions, words_of
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.objectives.text.answer_spans import likeliest_places

INPUTS = "tokens", "types"


def span_answers(net: Any, data: SpanQuestions) -> tuple[str, ...]:
    """The answer of a trained reader to every record of the source of `data`, in its order; "" is no answer.

    First and last token are the likeliest ones, each by itself; a last one before the first is no answer, and so are
    places outside of the context. An answer is whole words.

    Reference: the code to arXiv 2305.12900.

    >>> # said = run.make("said", span_answers, result, SpanQuestions(source=rows, ...), flops=...)
    """
    rows = data.take_records(np.arange(data.size()))
    places_N2 = apply(likeliest_places, Frozen.of(net), {name: rows[name] for name in INPUTS}, batch=data.batch)
    return tuple(
        answer_at(data.source[row]["context"], rows["words"][row], places) for row, places in enumerate(places_N2)
    )


def answer_at(context: str, words_T: Int[np.ndarray, " T"], places_2: Int[np.ndarray, " 2"]) -> str:
    """The words of a context from one token to another: `words_T` numbers the word that each token is of, or is -1.

    >>> words = np.array([-1, -1, 0, 1, 1, 2])
    >>> [answer_at("a longer text", words, np.array(places)) for places in ((3, 3), (2, 5), (5, 2), (0, 3))]
    ['longer', 'a longer text', '', '']
    """
    first, last = places_2
    if last < first or min(words_T[first], words_T[last]) < 0:
        return ""
    known = words_of(context)
    return context[known[words_T[first]][0] : known[words_T[last]][1]]


def flops_of_answers(config: Any, data: SpanQuestions, count: int) -> float:
    """Matmul FLOPs of `span_answers` to so many records."""
    spec = data.sample_spec()
    return float(count * flops_of_one(likeliest_places, config, {name: spec[name] for name in INPUTS}))


class Scored(NamedTuple):
    """One answer against the object that was wanted."""

    strict: bool
    relaxed: bool
    wanted: int  # tokens: words between spaces
    said: int

    @classmethod
    def of(cls, said: str, wanted: str) -> Scored:
        """Strict: equal, in lower case and without one trailing mark; relaxed: the object is contained in the answer.

        Reference: the code to arXiv 2305.12900.

        >>> Scored.of("ValueError.", "valueerror"), Scored.of("a ValueError", "ValueError")[:2], Scored.of("", "x")[:2]
        (Scored(strict=True, relaxed=True, wanted=1, said=1), (False, True), (False, False))
        """
        own, object_ = said.lower().strip(), wanted.lower().strip()
        cut = own[:-1] if own[-1:] in tuple(string.punctuation) else own
        strict = bool(own) and object_ in (own, cut)
        return cls(strict, bool(own) and object_ in own, len(object_.split()), len(own.split()))


def scores(said: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Shares of right answers, of no answers, words of an answer, and token precision, recall and F1.

    A token version counts the tokens of the objects that were said rightly, as shares of all that were wanted (recall)
    and of all that were said (precision); wrong answers stay in both.

    Returns:
      "strict", "relaxed", "empty", "words", and "recall", "precision" and "F1" behind "strict " and "relaxed ".

    >>> found = scores(["b", "a b c", ""], ["b", "b", "b"])
    >>> {name: round(value, 2) for name, value in found.items() if name in ("strict", "relaxed", "relaxed precision")}
    {'strict': 0.33, 'relaxed': 0.67, 'relaxed precision': 0.5}
    """
    own = [Scored.of(*pair) for pair in zip(said, wanted, strict=True)]
    count = max(len(own), 1)
    found = {"empty": sum(not each.said for each in own) / count, "words": sum(each.said for each in own) / count}
    for name in ("strict", "relaxed"):
        right = sum(each.wanted for each in own if getattr(each, name))
        recall, precision = (right / max(sum(getattr(each, of) for each in own), 1) for of in ("wanted", "said"))
        found |= {name: sum(getattr(each, name) for each in own) / count}
        found |= {f"{name} recall": recall, f"{name} precision": precision}
        found[f"{name} F1"] = 2 * recall * precision / max(recall + precision, 1e-9)
    return found


def skill_of(net: Any, data: SpanQuestions, count: int) -> dict[str, float]:
    """`scores` of a trained reader on `count` records, the first ones by the order of `data`.

    >>> # skill = run.make("skill", skill_of, result, SpanQuestions(source=held_out, ...), 256, flops=...)
    """
    said, order = span_answers(net, data), data.records(np.arange(count))
    rows = [data.source[int(i)] for i in order]
    return scores([said[i] for i in order], [row["context"][row["start"] : row["end"]] for row in rows])

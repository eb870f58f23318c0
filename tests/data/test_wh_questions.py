"""Spans are of the kind that is asked for, stand where the record says, and are not given away by the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.data.prompts.wh_questions import AnsweredSpans, ClozeSpans, PublishedSpans, asked_kind, spans_of
from stagejax.data.sources import Record, Source


@dataclass(frozen=True)
class Given(Source):
    rows: tuple[Any, ...] = ()
    split: str = "train"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        return dict(self.rows[index])

    def digest(self) -> str:
        return str(self.rows)


def pair(question: str, sentence: str, label: int = 1) -> tuple[tuple[str, Any], ...]:
    return ("question", question), ("sentence", sentence), ("label", label)


PAIRS = Given(
    (
        pair("When did Ann build it?", "Ann built it in 1923 with two men."),
        pair("When did Bob build it?", "Bob built it in 1923 or 1924."),  # two spans
        pair("Who built it in 1923?", "In 1923 it was built.", 0),  # no answer
        pair("How many men helped Ann?", "Ann had seven men."),
        pair("Why was it built?", "It was built in 1923."),  # no kind
    )
)


def test_exactly_one_span_of_the_kind_is_taken() -> None:
    rows = AnsweredSpans(PAIRS)
    said = [rows[i]["context"][rows[i]["start"] : rows[i]["end"]] for i in range(len(rows))]
    assert said == ["1923", "seven"]


def test_other_sentences_move_the_answer() -> None:
    for others in (1, 3):
        rows = AnsweredSpans(PAIRS, others)
        for number, (own, said) in enumerate(zip((0, 3), ("1923", "seven"), strict=True)):
            row = rows[number]
            assert row["context"][row["start"] : row["end"]] == said
            assert dict(PAIRS.rows[own])["sentence"] in row["context"]


def test_kinds() -> None:
    assert [asked_kind(own) for own in ("In what year?", "What percentage?", "What city is it?", "What is it?")] == [
        "year", "number", "name", None,
    ]  # fmt: skip
    text = "The army of King John of England paid 1,500 pounds."
    assert [text[a:b] for a, b in spans_of("name", text)] == ["King John of England"]
    assert [text[a:b] for a, b in spans_of("number", text)] == ["1,500"]
    assert spans_of("year", text) == []


def test_clozes_ask_for_what_they_leave_out() -> None:
    line = "In 1950 the old town of York had nine gates . The BBC saw Anna Freud walk through all of them ."
    texts = Given(tuple((("text", f"{line}\n{line.replace('1950', str(year))}"),) for year in range(1800, 1840)))
    rows = ClozeSpans(texts, words=40)
    fronts = {"when", "what", "in", "which", "how", "who"}
    kinds = set()
    assert len(rows) == 41  # equal contexts are taken once
    for number in range(len(rows)):
        row = rows[number]
        said = row["context"][row["start"] : row["end"]]
        kinds.add(said)
        assert said not in row["question"]
        assert row["question"].split()[0] in fronts
        assert row["question"].endswith("?")
    assert len(kinds) > 4


def test_squad_records_have_their_first_answer_or_none() -> None:
    answers = {"text": np.array([b"blue", b"a blue"]), "answer_start": np.array([8, 6])}
    none = {"text": np.array([]), "answer_start": np.array([])}
    same = ("question", "What?"), ("context", "It is a blue one.")
    rows = PublishedSpans(Given(((*same, ("answers", answers)), (*same, ("answers", none)))))
    assert rows[0]["context"][rows[0]["start"] : rows[0]["end"]] == "blue"
    assert rows[1]["start"] == rows[1]["end"] == -1

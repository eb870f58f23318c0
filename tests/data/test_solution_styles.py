"""Styles of solutions: one problem in each, cues that are kept apart, bare sums, questions that are not learned."""

from __future__ import annotations

import re

import numpy as np
import pytest

from stagejax.data.language.outside import Outside
from stagejax.data.language.packed_answers import PackedAnswers
from stagejax.data.reasoning.cues import CONCLUSION, CUES, Cue
from stagejax.data.reasoning.planned_problems import PlannedProblems
from stagejax.data.reasoning.problems import Problems, applied
from stagejax.data.reasoning.solution_styles import (
    ANSWER,
    END,
    QUESTION,
    STYLES,
    Styled,
    chain_of,
    concluded,
    executed,
    plan_of,
    solution,
    style_of,
    vocabulary,
)
from stagejax.data.reasoning.sums import Sums
from stagejax.data.reasoning.written import BRIEF

SOURCE = PlannedProblems(Problems(size=60, largest=20, wording=BRIEF, asides=1))
WORDS = vocabulary(20)


def test_unread_wordings_are_new_and_their_words_are_not() -> None:
    for cue in (*CUES.values(), CONCLUSION):
        known, unseen = set(cue.known), set(cue.unseen)
        assert known
        assert unseen
        assert not known & unseen
        words = {word for text in known for word in text.split()}
        assert {word for text in unseen for word in text.split()} <= words


def test_every_word_of_the_texts_has_a_token() -> None:
    code = WORDS.train(iter(()))
    for style in STYLES:
        for text in (Styled(SOURCE, style)[i]["text"] for i in range(20)):
            assert code.decode(code.encode([text])[0]) == text
    assert code.decode(code.encode([Sums(size=1)[0]["text"]])[0]) == Sums(size=1)[0]["text"]
    for cue in (*CUES.values(), CONCLUSION):
        for text in cue.unseen:
            assert code.decode(code.encode([text])[0]) == text


def test_a_style_is_known_by_its_words_and_all_have_the_same_answer() -> None:
    for record in (SOURCE[i] for i in range(20)):
        said = {style: solution(record, style) for style in STYLES}
        assert {style_of(own): style for style, own in said.items()} == {style: style for style in STYLES}
        assert chain_of(said["plan"]) == chain_of(said["chain"]) == said["chain"]
        assert f"{plan_of(said['plan'])} {said['chain']}" == said["plan"]
        assert executed(said["program"]) == record["answer"]
    assert executed("program t = x") is None


def test_texts_use_known_wordings_and_some_have_no_cue() -> None:
    for style in STYLES:
        texts = [Styled(SOURCE, style)[i]["text"] for i in range(60)]
        bare = [not any(f" {ANSWER} {cue}" in text for cue in CUES[style].known) for text in texts]
        assert 0.05 < np.mean(bare) < 0.5
        assert not any(cue in text for cue in CUES[style].unseen for text in texts)
        assert all(text.endswith(END) and text.count(END) == 2 for text in texts)
    assert all(
        not any(cue in Styled(SOURCE, "plan", uncued=1.0)[i]["text"] for cue in CUES["plan"].known) for i in range(9)
    )
    assert concluded("q:", "so it is") == "q: | so it is"


def test_questions_are_read_and_not_learned() -> None:
    code = WORDS.train(iter(()))
    rows = PackedAnswers(source=Styled(SOURCE), tokenizer=WORDS, batch=4, length=160, fields=("text",), joined=True)
    begin, end = (code.encode([word])[0].item() for word in (QUESTION, ANSWER))
    plain, own = rows.take(np.arange(4)), Outside(data=rows, begin=begin, end=end).take(np.arange(4))
    assert (own["tokens"] == plain["tokens"]).all()
    learned = code.decode(own["targets"][own["weights"] > 0])
    assert "finds" not in learned.split()
    assert "?" not in learned.split()
    assert learned.count(f"{END} {CONCLUSION.known[0].split()[0]}") <= learned.count(END)
    assert len(learned.split()) > 0.4 * (plain["weights"] > 0).sum()
    assert Outside(data=rows, begin=begin, end=end).digest() != rows.digest()


def test_sums_are_right_and_in_their_range() -> None:
    text = " ".join(Sums(size=30, largest=20)[i]["text"] for i in range(30))
    found = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+) ;", text)
    assert len(found) == 180
    assert {sign for _, sign, _, _ in found} == set("+-*/")
    for a, sign, n, end in found:
        assert applied(int(a), sign, int(n)) == int(end) <= 20
    with pytest.raises(ValueError, match="need split"):
        Sums(largest=2)
    with pytest.raises(IndexError):
        Sums(size=1)[1]


def test_a_cue_takes_one_alternative_at_each_place() -> None:
    cue = Cue((("a", "b"), ("c", "d", "e")), every=2)
    assert sorted((*cue.known, *cue.unseen)) == ["a c", "a d", "a e", "b c", "b d", "b e"]
    assert cue.words() == set("abcde")

"""Second answers stand behind drafts, votes weigh by probability, and scores are those of the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import Problems
from stagejax.data.tokenizers import SEP
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts import second_answers as module
from stagejax.inference.prompts.drafting import CORRECT, Said
from stagejax.inference.prompts.second_answers import (
    Asked,
    Likeness,
    Verified,
    first_answers,
    guesses,
    judged,
    second_answers,
    vote_of_two,
)

SOURCE = Problems(size=12, steps=(1,), largest=9)
WORDS = SOURCE.tokenizer()
P, L = 28, 10
DATA = Answers(source=SOURCE, tokenizer=WORDS, batch=1, length=P + L)
ASKED = Asked.of(Verified(), DATA, 8, P, L)
GOLD, NET = ASKED.pairs, Frozen(None, {}, {})  # what it says is given


def said(right: Any, logprob: float = -1.0) -> Said:
    """The references where `right`, and "ans 0" elsewhere."""
    wrong = np.zeros((8, L), np.int32)
    wrong[:, :3] = [*WORDS.encode(["ans 0"])[0], SEP]
    right = np.asarray(right)
    sizes = np.where(right, GOLD.sizes_N, 3).astype(np.int32)
    rows = np.where(right[:, None], GOLD.answers_NL, wrong).astype(np.int32)
    return Said(rows, sizes, np.full(8, logprob * sizes, np.float32))


HALF = np.arange(8) % 2 == 0
RIGHT_TO_ZERO = np.array([record["answer"] == 0 for record in ASKED.records])


def test_first_answers_are_scored_and_those_that_depart_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decoded", lambda *_, **how: said(HALF))
    drafts, found = first_answers(NET, ASKED)
    lucky = (RIGHT_TO_ZERO & ~HALF).sum()
    assert found["first"] == pytest.approx(100 * (4 + lucky) / 8)
    assert (found["departs"], found["recovered"]) == (50.0, pytest.approx(100 * lucky / 4))
    assert found["first tokens"] == drafts.sizes_N.mean()


def test_second_answers_are_asked_behind_the_drafts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def decoded(net: Any, pairs: Any, *_: Any, **how: Any) -> Said:
        seen.append(pairs)
        return said(~HALF)

    monkeypatch.setattr(module, "decoded", decoded)
    drafts = said(HALF)
    found = second_answers(NET, ASKED, drafts)
    for row in range(8):
        first, size = GOLD.lengths_N[row], drafts.sizes_N[row]
        expected = [*GOLD.prompts_NP[row, :first], *drafts.tokens_NL[row, :size], CORRECT]
        assert seen[0].prompts_NP[row, : seen[0].lengths_N[row]].tolist() == expected
    better, worse = (~HALF & ~RIGHT_TO_ZERO).sum(), (HALF & ~RIGHT_TO_ZERO).sum()
    assert (found["better"], found["worse"]) == (100 * better / 8, 100 * worse / 8)
    assert found["twice tokens"] == (drafts.sizes_N + said(~HALF).sizes_N).mean()


def test_of_two_votes_the_likelier_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([said(HALF, -0.1), said(np.ones(8, bool), -2.0), said(HALF, -2.0), said(np.ones(8, bool), -0.1)])
    monkeypatch.setattr(module, "decoded", lambda *_, **how: next(drawn))
    scores = [vote_of_two(NET, ASKED, 0.5)["twice"] for _ in range(2)]
    lucky = (RIGHT_TO_ZERO & ~HALF).sum()
    assert scores == [pytest.approx(100 * (4 + lucky) / 8), 100.0]


def test_judges_and_guesses() -> None:
    found = guesses(ASKED, ASKED)
    answers = [record["answer"] for record in ASKED.records]
    assert found["the most frequent answer"] == 100 * max(map(answers.count, answers)) / 8
    likeness, record = Likeness(), {"solution": "ein Hund läuft"}
    assert likeness.score([likeness.answer(" ein Hund läuft ")], [record]) == pytest.approx(100.0)
    assert (
        judged(likeness, "eine Katze", "ein Hund läuft", record) > 0 > judged(likeness, "ein Hund läuft", "x", record)
    )
    assert judged(likeness, "x", "x", record) == 0.0
    assert Verified().answer("no number") is None

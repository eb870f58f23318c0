"""What is asked and kept while a model lengthens its texts, with replies that are given beforehand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from stagejax.data.language.packing import Packed
from stagejax.data.tables.line_reports import ASPECTS, checked, facts_of, lines_of, prompt, records_of, report, told
from stagejax.inference import Frozen
from stagejax.inference.prompts import lengthening
from stagejax.inference.prompts.length_tests import LongTests, again, measured, shuffled_lines
from stagejax.inference.prompts.lengthening import (
    Lengthening,
    accepted,
    concatenated,
    constrained,
    extended,
    instructions,
    learned,
    lengthened,
    long_enough,
    oracle,
    role_pairs,
)
from stagejax.result import Result

FACTS = records_of("train")[0][:8]
ASKED = f"report {told(FACTS)}"
NET, MODEL = Frozen(None, None, None), Result("", "train", "", 1)
EVERY = len(FACTS) * len(ASPECTS)


@dataclass(frozen=True)
class Scripted(Lengthening):
    """Replies by a function of prompts; what was asked is kept."""

    reply: Callable[[str], str] = str
    seen: list[str] = field(default_factory=list)

    def said(self, net: Any, prompts: Sequence[str], seed: int, least: Any = None) -> list[str]:
        return self.rewritten(net, prompts, seed)

    def rewritten(self, net: Any, prompts: Sequence[str], seed: int) -> list[str]:
        self.seen.extend(prompts)
        return [self.reply(own) for own in prompts]


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengthening, "role", lambda trained: NET)


def denser(asked: str) -> str:
    """The Extender that adds the next line behind each of the draft, and goes on behind what it is forced to begin."""
    draft, begun = asked.split(" ; ")[1].split(" :")
    meanings = {report(FACTS, [place]): place for place in range(EVERY)}
    places = sorted({own for line in lines_of(draft) for own in (meanings[line], min(meanings[line] + 1, EVERY - 1))})
    last = max((meanings[line] for line in lines_of(begun)), default=-1)
    return report(FACTS, [own for own in places if own > last])


def test_two_halves_rewrite_the_first_and_continue_the_whole_behind_two_thirds_of_that() -> None:
    draft, how = report(FACTS, [0, 4, 8, 12]), Scripted(reply=denser, rounds=1)
    (found,) = extended(NET, how, [(ASKED, draft)], seed=0)
    assert how.seen[0] == prompt(ASKED, report(FACTS, [0, 4]))
    assert how.seen[1] == f"{prompt(ASKED, draft)} {report(FACTS, [0, 1])}"  # of 0, 1, 4 and 5
    assert found == report(FACTS, [0, 1, 4, 5, 8, 9, 12, 13])


def test_rounds_go_on_from_the_best_and_one_piece_takes_as_many_calls() -> None:
    draft = report(FACTS, [0, 8, 16])
    halves, whole = Scripted(reply=denser, rounds=2), Scripted(reply=denser, rounds=2, halves=False)
    assert len(lines_of(extended(NET, halves, [(ASKED, draft)], seed=0)[0])) == 9
    assert len(lines_of(extended(NET, whole, [(ASKED, draft)], seed=0)[0])) == 15
    assert len(halves.seen) == len(whole.seen) == 4
    assert whole.seen[0].strip() == prompt(ASKED, draft)


def test_what_repeats_a_line_or_has_no_end_or_is_too_long_is_not_kept() -> None:
    draft = report(FACTS, [0, 8])
    for reply in (report(FACTS, [0, 1, 1, 8]), f"{draft} area-rank", report(FACTS, range(25)), draft, ""):
        how = Scripted(reply=lambda _, reply=reply: reply, rounds=1, halves=False)
        assert extended(NET, how, [(ASKED, draft)], seed=0) == [draft]
    how = Scripted(reply=lambda _: report(FACTS, [0, 1, 1, 8]), rounds=1, halves=False, filtered=False)
    assert extended(NET, how, [(ASKED, draft)], seed=0) == [report(FACTS, [0, 1, 1, 8])]


def test_an_iteration_keeps_what_is_a_fifth_longer_and_tells_who_learns_what() -> None:
    def reply(asked: str) -> str:
        return denser(asked) if asked.startswith("extend") else report(FACTS, range(0, 8 * next(sizes), 8))

    sizes = itertools.cycle((3, 4, 5))
    how = Scripted(reply=reply, instructions=8, retries=2, rounds=1)
    given = Result("", "make", "", 1, value={"instructions": [ASKED] * 8})
    made = lengthened(how, 0, MODEL, MODEL, given)
    assert len(made["initial"]) == 16
    assert 0 < len(made["extended"]) < made["longer"] <= made["tried"] <= 32
    for draft, text in zip(made["drafts"], made["extended"], strict=True):
        assert len(text.split()) > 1.2 * len(draft.split())
        assert accepted(text)
    pairs = role_pairs(made, 0.8, seed=0)
    assert [text for _, text in pairs["generator"]] == [text for _, text in pairs["extender"]] == made["extended"]
    assert {own for own, _ in pairs["generator"]} == {prompt(ASKED)}
    outlines = [lines_of(own.split(" ; ")[1].removesuffix(" :")) for own, _ in pairs["extender"]]
    share = sum(map(len, outlines)) / sum(len(lines_of(own)) for own in made["drafts"])
    assert 0.7 < share < 0.9
    none = role_pairs(made | {"asked": [], "drafts": [], "extended": []}, 0.8, seed=0)
    assert [text for _, text in none["generator"]] == made["initial"]


def test_short_texts_are_dropped_by_the_published_rule() -> None:
    draws, counts = np.random.default_rng(0), np.zeros(100)
    for _ in range(400):
        counts[long_enough(["a" * (size + 1) for size in range(100)], draws)] += 1
    q = 1 - np.arange(100) / 100
    assert np.allclose(counts / 400, np.clip(1 - 2 * q**3, 0, 1), atol=0.1)
    assert counts[q > 0.794].sum() == 0


def test_instructions_are_kept_if_the_model_says_yes_and_join_the_pool() -> None:
    levels = itertools.cycle(("low", "high", "middling"))

    def reply(asked: str) -> str:
        suits = "yes" if "low-area" not in asked else "no"
        return suits if asked.startswith("suits") else f"report low-radius high-points {next(levels)}-symmetry"

    how = Scripted(reply=reply, instructions=6)
    shunned = ["report low-radius high-points low-symmetry"]
    made = instructions(MODEL, how, 0, shunned)
    assert len(made["instructions"]) == 6
    assert not set(shunned) & set(made["instructions"])
    refused = Scripted(reply=lambda asked: "no" if asked.startswith("suits") else ASKED, instructions=6)
    assert instructions(MODEL, refused, 0)["instructions"] == []


def test_concatenation_has_no_line_twice_and_the_oracle_is_right() -> None:
    given = Result("", "make", "", 1, value={"instructions": [ASKED] * 20})
    draws = np.random.default_rng(0)
    how = Scripted(reply=lambda _: report(FACTS, np.sort(draws.choice(EVERY, 4, replace=False)).tolist()))
    joined = concatenated(how, 0, 5, MODEL, given)["initial"]
    assert joined
    assert all(checked(FACTS, own).repeated == 0 for own in joined)
    gold = oracle(how, 0, 7, given)["initial"]
    assert len(gold) == 80
    assert all(7 <= own.valid == own.lines <= 24 for own in (checked(FACTS, text) for text in gold))


def test_rows_learn_responses_alone_behind_lengths_that_they_follow() -> None:
    texts = [(ASKED, report(FACTS, range(size))) for size in (3, 7, 12, 24)]
    pairs = constrained(texts, 7, 24, seed=0)
    assert [len(lines_of(text)) for _, text in pairs] == [7, 12, 24]
    assert all(own.split(" ; ")[1] == prompt(ASKED) for own, _ in pairs)
    made = learned(pairs)
    assert made["weights"].sum() == 3 * (7 + 12 + 24) + 3  # with their ends
    rows = Packed(of="a", arrays=made, batch=1, length=Lengthening().length + 2)
    assert rows.take(np.arange(1))["tokens"].shape == (1, 172)
    assert facts_of(ASKED) == FACTS


def test_controls_are_long_and_not_valid() -> None:
    tests = LongTests("test", 12, (8, 12, 16, 20))
    short = [report(own, [0, 9, 20]) for own in tests.facts]
    found, gold = measured(tests, short, again), [report(own, range(0, 32, 2)) for own in tests.facts]
    assert found["of all lines"] > 0.95
    assert found["valid"] == 3
    assert found["following"] < 0.2
    assert measured(tests, gold, shuffled_lines)["valid"] < 10 < measured(tests, gold)["valid"]

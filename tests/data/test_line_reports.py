"""Reports on records: what is read has short reports alone, what is tested was never read, what is checked is order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stagejax.data.prompts.asked_length import AskedLength
from stagejax.data.tables.line_reports import (
    ASPECTS,
    LineReports,
    checked,
    facts_of,
    line_report_tokenizer,
    lines_of,
    longest_chain,
    records_of,
    report,
    some_facts,
    unseen,
)

FACTS = records_of("train")[0][:8]
EVERY = range(len(FACTS) * len(ASPECTS))


def test_reports_that_are_read_have_eight_lines_at_most_and_are_right_and_in_order() -> None:
    texts, kinds = LineReports(200), set()
    code = line_report_tokenizer()
    for record in texts:
        asked, said = record["question"], record["solution"]
        code.encode([asked, said])
        kinds.add(asked.split()[0])
        if asked.split()[0] in ("report", "extend", "about", "from", "over", "under"):
            words = asked.removesuffix(" :").split()
            begin = words.index("report")
            end = words.index(";", begin) if words[0] == "extend" else len(words)
            found = checked(facts_of(" ".join(words[begin:end])), said)
            assert 2 <= found.lines == found.valid <= 8
    assert {"report", "extend", "invent", "suits", "ask", "state"} <= kinds


def test_an_extended_report_keeps_the_lines_of_its_draft_and_has_more() -> None:
    for record in (own for own in LineReports(200) if own["question"].startswith("extend")):
        draft = lines_of(record["question"].split(" ; ")[1].removesuffix(" :"))
        said = lines_of(record["solution"])
        assert [line for line in said if line in draft] == draft
        assert 1 <= len(draft) < len(said)


def test_what_an_instruction_suits_is_told_by_its_features() -> None:
    asked = [own for own in LineReports(200) if own["question"].startswith("suits")]
    long = [len(facts_of(own["question"].removeprefix("suits ").removesuffix(" :"))) >= 6 for own in asked]
    assert [own["solution"] == "yes" for own in asked] == long
    assert 0 < sum(long) < len(long)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_no_training_record_agrees_with_what_is_tested(split: str) -> None:
    facts = unseen(split, 48, seed=0)
    assert len(set(facts)) == 48
    assert not any(set(own) <= set(record) for own in facts for record in records_of("train"))
    assert all(any(set(own) <= set(record) for record in records_of(split)) for own in facts)


def test_neither_repeated_nor_wrong_nor_shuffled_lines_make_a_text_more_valid() -> None:
    draws = np.random.default_rng(0)
    places = np.sort(draws.choice(EVERY, 20, replace=False)).tolist()
    gold = checked(FACTS, report(FACTS, places))
    assert gold == (20, 20, 20, 0, 20)
    assert checked(FACTS, report(FACTS, places * 2)).valid == 20
    other = tuple((name, "low" if level == "high" else "high") for name, level in FACTS)
    wrong = checked(FACTS, report(other, places))
    assert (wrong.right, wrong.valid) == (0, 0)
    assert checked(FACTS, report(FACTS, draws.permutation(places).tolist())).valid < 12
    assert checked(FACTS, "area-rank . . few").valid == 0


def test_a_longest_chain_is_that_of_all_subsequences() -> None:
    draws = np.random.default_rng(1)
    for _ in range(30):
        numbers, best = draws.integers(0, 8, 9).tolist(), 0
        for chosen in range(1 << 9):
            own = [x for at, x in enumerate(numbers) if chosen >> at & 1]
            best = max(best, len(own) if all(a < b for a, b in itertools.pairwise(own)) else 0)
        assert longest_chain(numbers) == best


def test_lengths_that_are_drawn_are_followed_and_scores_fall_outside() -> None:
    draws, cues = np.random.default_rng(2), []
    for _ in range(2000):
        length = int(draws.integers(7, 25))
        own = AskedLength.drawn(length, draws)
        cues.append(own.cue)
        assert own.score(length) > (0.3 if own.cue in ("over", "under") else 0.6)
    assert np.isclose(cues.count("about") / 2000, 0.4, atol=0.04)
    assert np.isclose(cues.count("from") / 2000, 0.25, atol=0.04)
    assert [AskedLength("under", 8, 8).score(n) for n in (2, 3, 4, 8, 12)] == [0.0, 0.5, 1.0, 1.0, 0.0]
    with pytest.raises(ValueError, match="need a cue"):
        AskedLength("near", 8, 8)


def test_some_facts_stay_in_order() -> None:
    own = some_facts(FACTS, 4, np.random.default_rng(0))
    assert list(own) == [fact for fact in FACTS if fact in own]
    with pytest.raises(ValueError, match="lower `count`"):
        unseen("test", 90, seed=0, features=10)

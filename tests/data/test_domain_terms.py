# ruff: noqa: RUF001 - Chinese punctuation
"""Dictionaries: log-odds by hand, words by their neighbours, entities and values, a control as long and as frequent."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from stagejax.data.dialogue.domain_terms import DomainTerms, RandomTerms, turns_of
from stagejax.data.dialogue.drawn_dialogues import NOUNS, DrawnDialogues
from stagejax.data.language.log_odds import letter_strings, log_odds, words_by_variety
from stagejax.data.sources import Source

PARK, FILM, SONG = (DrawnDialogues(name, 60) for name in ("park", "film", "song"))
TERMS = DomainTerms(PARK, (FILM, SONG), least=10)


@dataclass(frozen=True)
class Told(Source):
    turns: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]
    split: str = "train"

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"turns": [{"text": text, "facts": facts} for text, facts in self.turns]}

    def digest(self) -> str:
        return str(self.turns)


def test_log_odds_by_hand() -> None:
    own, other = Counter(a=6, b=4), Counter(a=2, b=18)
    alpha = 3 * 8 / 30
    delta = math.log((6 + alpha) / (10 + 3 - 6 - alpha)) - math.log((2 + alpha) / (20 + 3 - 2 - alpha))
    by_hand = delta / math.sqrt(1 / (6 + alpha) + 1 / (2 + alpha))
    z = log_odds(own, other, ("a", "b"), prior=3.0)
    assert z["a"] == pytest.approx(by_hand)
    assert z["b"] < 0
    turned = log_odds(other, own, ("a",), prior=3.0)
    assert turned["a"] == pytest.approx(-by_hand)
    # What a corpus has once is no evidence, what it has often is; and a prior holds rare words back.
    rare = log_odds({"x": 1, "y": 999}, {"y": 1000}, ("x",), prior=1.0)["x"]
    often = log_odds({"x": 50, "y": 950}, {"y": 1000}, ("x",), prior=1.0)["x"]
    assert rare < 1 < 3 < log_odds({"x": 50, "y": 950}, {"y": 1000}, ("x",), prior=50.0)["x"]
    assert often > 1
    for empty in (({}, other), (own, {})):
        with pytest.raises(ValueError, match="neither is empty"):
            log_odds(*empty, ("a",))
    with pytest.raises(ValueError, match="prior"):
        log_odds(own, other, ("a",), prior=0.0)
    with pytest.raises(ValueError, match="'c' is in neither"):
        log_odds(own, other, ("c",))


def test_words_have_many_neighbours_on_both_sides() -> None:
    texts = ["甲电影乙", "丙电影丁", "戊电影己"]
    assert words_by_variety(texts, longest=3, variety=3) == Counter({"电影": 3})
    # The same neighbour each time: part of a word. An end of a text, or a comma, is another one each time.
    assert words_by_variety(["看电影的", "看电影院", "看电影票"], 2, 3) == Counter()
    assert words_by_variety(["电影", "电影，", "，电影"], 2, 3) == Counter({"电影": 3})
    assert [text[a:b] for text in ("ab1c", "a b") for a, b in letter_strings(text, 3)] == ["ab"]


def test_keywords_are_what_other_domains_lack() -> None:
    found = TERMS.keywords()
    assert set(found) == set(NOUNS["park"])
    assert min(found.values()) > 3
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert not DomainTerms(PARK, (FILM, SONG), least=10, z=1e9).keywords()
    same = DomainTerms(PARK, (PARK,), least=10)
    assert not same.keywords()


def test_a_keyword_that_holds_a_better_one_is_left_out() -> None:
    own = Told(tuple((text, ()) for text in ["x的电影y", "y的电影z", "z的电影x", "x电影z", "y电影x", "z电影y"] * 4))
    other = Told(tuple((text, ()) for text in ["好吗", "好呀", "这里好"] * 8))
    found = DomainTerms(own, (other,), z=0.1).keywords()
    assert "电影" in found
    assert "的电影" not in found


def test_the_bank_is_of_entities_and_pieces_of_values() -> None:
    facts = (
        ("故宫（北京）", "Information", "很大，很红"),
        ("故宫（北京）", "周边景点", "天坛、三里屯；前门"),
        ("故宫（北京）", "票", "5"),
        ("故宫（北京）", "地址", "很长" * 20),
    )  # fmt: skip
    terms = DomainTerms(Told((("去故宫。", facts),)), (FILM,))
    assert terms.bank() == {"故宫", "天坛", "三里屯", "前门"}
    assert DomainTerms(terms.own, (FILM,), described=(), value=40).bank() == terms.bank() | {
        "很大",
        "很红",
        "很长" * 20,
    }


def test_a_dictionary_knows_nothing_but_its_dialogues() -> None:
    tests = [turn for i in range(60) for turn in DrawnDialogues("park", 60, "test")[i]["turns"]]
    named = {name for turn in tests for entity, _, value in turn["facts"] for name in (entity, value)}
    assert not {name for name in named if name.isalpha()} & set(TERMS.terms())


def test_random_terms_are_as_many_as_long_and_nearly_as_frequent() -> None:
    texts = [turn["text"] for turn in turns_of(PARK)]
    own, drawn = TERMS.terms(), RandomTerms(TERMS).terms()
    assert len(set(drawn)) == len(drawn) == len(own)
    assert Counter(map(len, drawn)) == Counter(map(len, own))
    assert not set(drawn) & set(own)
    assert all(any(term in text for text in texts) for term in drawn)

    def occurrences(terms: tuple[str, ...]) -> np.ndarray:
        return np.sort([sum(text.count(term) for text in texts) for term in terms])

    assert np.median(occurrences(own)) == np.median(occurrences(drawn))
    assert RandomTerms(TERMS, seed=1).terms() != drawn

"""A town: what is told, asked and new is apart; answers follow the facts; prose states each fact in its own time."""

from __future__ import annotations

import itertools

import pytest

from stagejax.data.knowledge.town import KINDS, RELATIONS, WAYS, Fact, Town, TownProse, TownQuestions, stated
from stagejax.data.tokenizers import codec
from stagejax.data.vocabulary.words import Words

TOWN = Town(residents=60, newcomers=10, degree=4)
PATHS = TOWN.paths()


def ways(fact: Fact) -> list[str]:
    return [stated(TOWN, fact, way) for way in range(len(WAYS))]


def test_facts_of_tests_are_in_no_example_and_newcomers_in_no_fact_of_residents() -> None:
    old, told = set(TOWN.facts()), {fact for path in PATHS["told"] for fact in path}
    assert len(old) == 60 * 4
    assert all(fact.h < 60 > fact.t for fact in old)
    apart = {fact for kind in ("ood", "new-old", "old-new") for path in PATHS[kind] for fact in path if fact in old}
    assert apart
    assert not apart & told
    assert not set(PATHS["told"]) & set(PATHS["iid"])
    familiar = {
        fact for kind in ("iid", "familiar new-old", "familiar old-new") for path in PATHS[kind] for fact in path
    }
    assert not familiar & apart


def test_each_path_leads_on_and_has_one_answer() -> None:
    known = {(fact.h, fact.r): fact.t for fact in (*TOWN.facts(), *(own for (own,) in PATHS["new"]))}
    assert len(known) == len(TOWN.facts()) + 20  # a relation of a person leads to one only
    for kind, path in ((own, path) for own in KINDS for path in PATHS[own]):
        assert len(path) == (1 if kind == "new" else 2)
        assert all(a.t == b.h for a, b in itertools.pairwise(path))
        assert all(known[fact.h, fact.r] == fact.t for fact in path)


def test_two_hops_over_new_facts_have_one_new_fact_in_the_place_that_their_kind_says() -> None:
    new = {fact for (fact,) in PATHS["new"]}
    assert len(new) == 20
    assert sum(fact.h >= 60 for fact in new) == sum(fact.t >= 60 for fact in new) == 10
    for kind, path in ((own, path) for own in KINDS[4:] for path in PATHS[own]):
        assert [fact in new for fact in path] == [kind.endswith("new-old"), kind.endswith("old-new")]
    assert all(PATHS[kind] for kind in KINDS)


def test_answers_say_the_facts_of_the_question() -> None:
    record = TownQuestions(TOWN, ("ood",))[3]
    first, second = record["path"]
    h, b, t = (TOWN.name(person) for person in (first.h, first.t, second.t))
    r1, r2 = RELATIONS[first.r], RELATIONS[second.r]
    assert record["question"] == f"who is the {r2} of the {r1} of {h} ?"
    assert record["solution"] == f"{r1} of {h} : {b} ; {r2} of {b} : {t} ; ans {t}"
    assert record["answer"] == t


def test_a_context_states_both_facts_and_no_other() -> None:
    plain, given = (TownQuestions(TOWN, ("new-old", "old-new"), context=own) for own in (False, True))
    orders = set()
    for i in range(len(plain)):
        told = given[i]["question"].removesuffix(plain[i]["question"]).strip()
        sentences = [own + " ." for own in told.split(" .") if own]
        found = [[k for k, fact in enumerate(plain[i]["path"]) if own.strip() in ways(fact)] for own in sentences]
        assert sorted(own[0] for own in found) == [0, 1]
        orders.add(tuple(own[0] for own in found))
    assert orders == {(0, 1), (1, 0)}


def test_prose_states_each_fact_once_an_epoch_and_no_answer() -> None:
    prose = TownProse(TOWN, documents=60)  # each resident once
    text = " ".join(prose[i]["text"] for i in range(len(prose)))
    assert all(sum(f" {own}" in f" {text}" for own in ways(fact)) == 1 for fact in TOWN.facts())
    assert not {"ans", ":", ";", "who", "?"} & set(text.split())
    assert not {TOWN.name(person) for person in range(60, 70)} & set(text.split())


def test_its_words_are_all_that_it_needs() -> None:
    code = codec(Words(TOWN.words()), TownProse(TOWN, 9))
    asked = TownQuestions(TOWN, KINDS, context=True)
    for i in range(0, len(asked), 7):
        text = f"{asked[i]['question']} {asked[i]['solution']}"
        assert code.decode(code.encode([text])[0]) == text


def test_towns_of_other_seeds_differ_and_names_do_not_repeat() -> None:
    assert Town(60, 10, 4, seed=1).facts() != TOWN.facts() == Town(60, 10, 4).facts()
    large = Town(residents=3000, newcomers=100)
    assert len({large.name(person) for person in range(3100)}) == 3100
    assert TOWN.said(Fact(0, 0, 1)) == f"boss of {TOWN.name(0)} : {TOWN.name(1)}"


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="at most as many newcomers"):
        Town(residents=4, newcomers=5)
    with pytest.raises(ValueError, match="degree=8"):
        Town(degree=8)
    with pytest.raises(ValueError, match="choose out of told"):
        TownQuestions(TOWN, ("old",))

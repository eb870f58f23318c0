"""Customers: what contents them and in which order, what agents can know, and who is in which split."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data.dialogue.customer_service import (
    ADVICE,
    AGAIN,
    HABIT,
    REPLY,
    SHOWN,
    TOLD,
    ServiceTexts,
    any_moves,
    drawn_talk,
    taught,
)
from stagejax.data.dialogue.customers import (
    MIXES,
    PATIENCE,
    SPLITS,
    TURNS,
    Customer,
    Mix,
    Talk,
    customers,
    replied,
    sentences,
)
from stagejax.data.dialogue.service_language import (
    ANGRY,
    ANY,
    CALM,
    DIRECTIVES,
    HURRY,
    MOODS,
    MOVES,
    PROBLEMS,
    WANTS,
    WORRIED,
    directed,
    directives,
    masked,
    service_words,
)

ANGRY_ONE = Customer(Mix("late", ANGRY, HURRY), "Ann", "301")


def held(customer: Customer, *replies: tuple[str, ...]) -> Talk:
    talk = Talk(customer)
    for moves in replies:
        talk.hear(replied(moves, customer, 0))
    return talk


@pytest.mark.parametrize("unseen", [False, True])
def test_the_best_replies_content_everyone(unseen: bool) -> None:
    for customer in customers(25, "test", 0, unseen):
        talk = Talk(customer)
        while not talk.over:
            assert len(service_words().encode([talk.state])[0]) <= 84
            talk.hear(replied(talk.best(), customer, customer.seed >> 5))
        assert (talk.satisfaction, talk.mistakes, talk.closed) == (1.0, 0, True)
        assert talk.turns == 3 + customer.evasive


def test_the_book_contents_some_and_not_others() -> None:
    def content(mood: str) -> float:
        found = []
        for customer in (one for one in customers(90, "test", 0) if one.mix.mood == mood):
            talk = Talk(customer)
            while not talk.over:
                talk.hear(replied(talk.habit(), customer, 0))
            found.append(talk.satisfaction)
        return float(np.mean(found))

    assert content(CALM) > 0.5 > 0.4 > content(ANGRY) > 0.2
    assert held(Customer(Mix("late", CALM, ANY), "Ann", "301"), ("ask",), ("solve",), ("close",)).satisfaction == 1.0


def test_order_matters_and_an_upset_customer_hears_only_an_apology() -> None:
    asked = held(ANGRY_ONE, ("ask",))
    assert (asked.mistakes, asked.upset, asked.informed) == (1, True, False)
    asked.hear("do not worry Ann . what is the order number")
    assert (asked.mistakes, asked.informed) == (2, False)
    asked.hear("i am sorry Ann . what is the order number")
    assert (asked.mistakes, asked.upset, asked.soothed, asked.informed) == (2, False, True, True)
    asked.hear("it goes by express . here is a voucher")
    assert asked.solved
    assert asked.cared
    asked.hear("goodbye Ann")
    assert asked.closed
    assert asked.satisfaction == pytest.approx(1 - 0.05 * 2)


def test_who_is_given_nothing_useful_leaves() -> None:
    talk = held(ANGRY_ONE, ("hold",), ("hold",), ("hold",))
    assert talk.over
    assert (talk.mistakes, talk.satisfaction) == (PATIENCE, 0.0)
    idle = held(Customer(Mix("late", CALM, ANY), "Ann", "301"), ("greet",))
    assert (idle.mistakes, idle.upset) == (1, False)


@pytest.mark.parametrize(
    ("reply", "moves"),
    [
        ("i am sorry Ann . which order is it", ["apologise", "ask"]),
        ("i am sorry Ben", [""]),  # another's name
        ("a courier brings it", ["express"]),
        ("please send a photo", ["hold"]),  # the question of another form
        ("we replace the lamp . goodbye Ann", ["hold", "close"]),
        ("which which", [""]),
    ],
)
def test_replies_are_read_as_this_customer_takes_them(reply: str, moves: list[str]) -> None:
    assert Talk(ANGRY_ONE).moves(reply) == moves


def test_evasive_customers_are_asked_otherwise() -> None:
    shy = Customer(Mix("locked", CALM, ANY), "Kim", "322", evasive=True)
    assert held(shy, ("ask",)).evaded
    assert held(shy, ("ask",)).mistakes == 0
    assert held(shy, ("ask",), ("ask",)).mistakes == 1
    assert held(shy, ("ask",), ("other",)).informed
    assert held(shy, ("other",)).mistakes == 1


def test_a_want_is_told_with_the_order_and_told_again_after_another_offer() -> None:
    talk = held(ANGRY_ONE, ("apologise", "ask"), ("solve",))
    assert "i need it by friday" in talk.parts[2] or "it is urgent" in talk.parts[2]
    assert "i need it by friday" in talk.parts[4] or "it is urgent" in talk.parts[4]
    assert talk.best() == ("apologise", "express")
    assert talk.habit() == ("apologise", "solve")


def test_mixes_that_are_kept_have_parts_that_are_not() -> None:
    seen = [mix for mix in MIXES if not mix.unseen]
    assert len(MIXES) == len(PROBLEMS) * len(MOODS) * len(WANTS) == 72
    assert len(MIXES) - len(seen) == 18
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert {(mix[a], mix[b]) for mix in seen} == {(mix[a], mix[b]) for mix in MIXES}


def test_no_name_has_an_order_in_two_splits() -> None:
    found = {split: {(one.name, one.number) for one in customers(400, split, 3)} for split in SPLITS}
    assert not found["train"] & found["test"]
    assert not found["train"] & found["validation"]
    assert not found["validation"] & found["test"]
    assert {one.mix.mood for one in customers(12, "test", 0)} == {CALM, WORRIED, ANGRY}


def test_every_sentence_and_directive_has_one_meaning() -> None:
    ways = [way for own in DIRECTIVES.values() for way in own]
    assert len(set(ways)) == len(ways) == 3 * len(MOVES)
    assert not any(f" {name} " in f" {way} " for way in ways for name in ("then", "A", "C", "S", "E"))
    for mix in MIXES[::9]:
        said = [way for move in MOVES for way in sentences(move, Customer(mix, "Ann", "301"))]
        assert len(set(said)) == len(said)
    assert directives(directed(("hold", "date"), (2, 1))) == ("hold", "date")
    assert masked(directed(tuple(MOVES), [0] * len(MOVES))) == directed(tuple(MOVES), [0] * len(MOVES))


def test_texts_obey_what_they_are_under_and_fit_into_their_rows() -> None:
    code = service_words()
    source = ServiceTexts((HABIT, TOLD, SHOWN), 30, agent=1)
    for record in (source[i] for i in range(len(source))):
        prompt, reply = code.encode([record["question"], record["solution"]])
        assert len(prompt) < 104
        assert len(reply) < 14
        if record["kind"] == TOLD:
            strategy = record["question"].split(" S ")[1].removesuffix(" A")
            named = directives(strategy)
            assert "" not in named
            assert len(named) == len(record["solution"].split(" . "))
            for part, move in zip(strategy.split(" then "), named, strict=True):
                assert DIRECTIVES[move].index(part) in taught(1)[move]


def test_a_teacher_learns_the_best_replies_strategies_and_to_change_what_was_not_done() -> None:
    source, code, named = ServiceTexts((REPLY, ADVICE, AGAIN), 90, seed=2), service_words(), 0
    for index in range(len(source)):
        record = source[index]
        talk = drawn_talk(np.random.default_rng([13, 2, index]))
        prompt, said = code.encode([record["question"], record["solution"]])
        assert len(prompt) < 112
        assert len(said) < 17
        assert record["question"].startswith(talk.state)
        if record["kind"] == REPLY:
            assert talk.moves(record["solution"]) == list(talk.best())
            continue
        strategy = record["solution"].removesuffix(f" for {talk.customer.name}")
        named += strategy != record["solution"]
        assert directives(strategy) == talk.best()
        if record["kind"] == AGAIN:
            failed, reply = record["question"].split(" S ")[1].split(" A ")
            tried, did = directives(failed), talk.moves(reply.removesuffix(" S"))
            for way, move in zip(strategy.split(" then "), talk.best(), strict=True):
                if move in tried and move not in did:
                    assert way not in failed.split(" then ")
    assert 0.1 < named / 60 < 0.4  # as many name the customer


def test_states_to_learn_from_are_of_training_customers_and_open() -> None:
    for index in range(20):
        talk = drawn_talk(np.random.default_rng([5, index]))
        assert not talk.over
        assert not talk.customer.mix.unseen
        assert talk.turns < TURNS
        assert 1 <= len(set(any_moves(np.random.default_rng(index)))) <= 2


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="habit, told"):
        ServiceTexts(("best",))

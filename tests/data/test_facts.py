"""Facts: every document is true, the splits' people are apart, every form is read back, a tokenizer can be shared."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import BPE, SEP, Stdlib, codec
from stagejax.data.knowledge.facts import FORMS, RELATIONS, Facts, People, Questions, answer, read_answer
from stagejax.data.prompts.answers import Answers
from stagejax.data.together import Together
from stagejax.data.vocabulary.learned import LearnedFrom

PEOPLE = People(90)


@pytest.mark.slow
def test_documents_state_each_fact_of_each_person_and_nothing_else() -> None:
    facts = Facts(PEOPLE, documents=30, group=3)
    text = " ".join(facts[i]["text"] for i in range(30))
    for person in range(90):
        assert text.count(PEOPLE.name(person)) == len(RELATIONS)
    for index in range(30):
        words = set(facts[index]["text"].replace(".", " ").replace(",", " ").split())
        people = [p for p in range(90) if PEOPLE.name(p) in facts[index]["text"]]
        assert len(people) == 3
        for relation, own in enumerate(RELATIONS):
            assert words & set(own.objects) == {PEOPLE.object(p, relation) for p in people}


def test_another_epoch_and_the_other_split_say_it_in_other_words() -> None:
    facts = Facts(PEOPLE, documents=60, group=3)
    texts = [facts[i]["text"] for i in range(60)] + [facts.of_split("test")[i]["text"] for i in range(3)]
    assert len(set(texts)) == 63
    assert facts.digest() != facts.of_split("test").digest()


def test_names_are_unique_and_too_many_are_refused() -> None:
    people = People(2000)
    assert len({people.name(i) for i in range(2000)}) == 2000
    assert {people.object(i, 0) for i in range(2000)} == set(RELATIONS[0].objects)
    with pytest.raises(ValueError, match="names are there for 1 to"):
        People(10**6)


def test_questions_of_the_splits_are_about_other_people() -> None:
    asked = Questions(PEOPLE, known=20, forms=("plain", "chatty"))
    known, others = ({own[i]["person"] for i in range(len(own))} for own in (asked, asked.of_split("test")))
    assert known == set(range(20))
    assert others == set(range(20, 90))
    held = Questions(PEOPLE, known=20, valid=5)
    assert {held.of_split("valid")[i]["person"] for i in range(15)} == set(range(20, 25))
    assert held.of_split("test")[0]["person"] == 25
    assert (len(held), len(held.of_split("valid")), len(held.of_split("test"))) == (60, 15, 195)
    assert len(asked) == 20 * 3 * 2
    with pytest.raises(ValueError, match="forms"):
        Questions(PEOPLE, known=20, forms=("rude",))


@pytest.mark.parametrize("form", FORMS)
def test_answers_of_every_form_are_read_back(form: str) -> None:
    for relation, own in enumerate(RELATIONS):
        for said in own.objects:
            assert read_answer(answer(form, relation, said)) == (form, relation, said)
            assert read_answer(answer(form, relation, said) + " And") == (None, None, said)


def test_what_is_no_answer_has_no_form() -> None:
    assert read_answer(" born in violin.") == (None, None, "violin")  # of another relation
    assert read_answer(" bassoonist\n Lima.") == (None, None, None)


def test_data_of_two_sources_share_a_tokenizer() -> None:
    facts, asked = Facts(PEOPLE, documents=60), Questions(PEOPLE, known=20)
    shared = LearnedFrom(BPE(400), Together((facts, Stdlib(limit=100_000))))
    assert codec(shared, asked, "question").digest() == codec(shared, facts).digest()
    data = Answers(source=asked, tokenizer=shared, batch=4, length=64)
    row = data.take(np.arange(1))
    learned = row["targets"][0][row["weights"][0] > 0]
    assert learned[-1] == SEP
    assert read_answer(codec(shared, asked).decode(learned)).form == "plain"

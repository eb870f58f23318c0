"""A town that changes: who changes when, who is told of when, and what is asked for in the end."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data.knowledge.changed_facts import Changed, Episodes
from stagejax.data.knowledge.facts import RELATIONS, People

TOWN = Episodes(kept=5, changed=3, new=2, count=2, ways=(0,), asked=0)
KEPT, FIRST, SECOND, NEW_FIRST, NEW_SECOND = range(5), range(5, 8), range(8, 11), range(11, 13), range(13, 15)


def test_all_facts_about_the_changed_are_others_and_no_others_are() -> None:
    before, after = People(60, seed=3), Changed(60, seed=3, first=20, last=30)
    for person in range(60):
        same = [before.object(person, r) == after.object(person, r) for r in range(len(RELATIONS))]
        assert same == [not 20 <= person < 30] * len(RELATIONS)
        assert before.name(person) == after.name(person)
        assert all(after.object(person, r) in own.objects for r, own in enumerate(RELATIONS))


@pytest.mark.parametrize(
    ("episode", "people"),
    [(0, [*KEPT, *FIRST, *SECOND]), (1, [*FIRST, *NEW_FIRST]), (2, [*SECOND, *NEW_SECOND])],
)
def test_an_episode_tells_every_fact_of_its_people_as_it_is_then(episode: int, people: list[int]) -> None:
    told, town = TOWN.told(episode), TOWN.town(episode)
    said = {told[i]["text"] for i in range(len(told))}
    assert said == {
        own.statements[0].format(name=town.name(person), object=town.object(person, r))
        for person in people
        for r, own in enumerate(RELATIONS)
    }


def test_who_changed_in_the_first_episode_stays_changed() -> None:
    towns = [TOWN.town(episode) for episode in range(3)]
    for person in (*KEPT, *FIRST, *SECOND):
        one, two, three = (town.object(person, 1) for town in towns)
        assert (one != two, two != three) == (person in FIRST, person in SECOND)


def test_facts_are_asked_for_as_they_are_in_the_end_and_by_kind() -> None:
    from stagejax.data.tokenizers import Bytes

    asked, kinds = TOWN.questions(Bytes(), batch=4, length=80).source, TOWN.kinds()
    assert len(asked) == len(kinds) == 3 * TOWN.size
    end = TOWN.town(2)
    for i, kind in enumerate(kinds):
        person = asked[i]["person"]
        assert asked[i]["solution"] == f" {end.object(person, asked[i]['relation'])}."
        assert kind == (0 if person in KEPT else 1 if person < 11 else 2)
    assert np.bincount(kinds).tolist() == [15, 18, 12]


def test_reading_has_the_town_and_its_episodes_as_tasks() -> None:
    from stagejax.data.tokenizers import Bytes

    data = TOWN.reading(Bytes(), batch=4, length=80, seed=1)
    assert [data.size_of(task) for task in range(3)] == [33, 15, 15]
    assert (data.take(np.arange(6))["weights"].sum(1) > 20).all()  # whole sentences are learned


def test_people_who_are_not_there_are_an_error() -> None:
    with pytest.raises(ValueError, match="no such people"):
        Changed(10, first=5, last=11)

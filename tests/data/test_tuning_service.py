"""Fine-tuning as a service: no two uses share a person or a text, and a user brings what is said."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Bytes
from stagejax.data.prompts.refusals import OPEN, REFUSAL
from stagejax.data.prompts.tuning_service import GROUPS, ServiceRows, TuningService
from stagejax.data.tasks.text_tasks import synonym_tasks

NAMES = ("teacher", "nurse", "driver", "singer", "doctor")
SERVICE = TuningService(synonym_tasks(400)[0], NAMES, (24, 12, 20, 4, 4, 8), kept=200, rated=(12, 24))
ROWS = ServiceRows(SERVICE, Bytes(), batch=4, length=120)


def said(source: Any, field: str = "question") -> list[str]:
    return [source[i][field] for i in range(len(source))]


def test_no_two_groups_ask_about_the_same_person() -> None:
    asked = {group: {SERVICE.people.name(i) for i in range(own.first, own.last)} for group, own in groups().items()}
    assert all(not asked[a] & asked[b] for a, b in combinations(asked, 2))
    assert set().union(*asked.values()) == {SERVICE.people.name(i) for i in range(72)}
    for group, own in groups().items():
        assert all(any(name in question for name in asked[group]) for question in said(own))


def groups() -> dict[str, Any]:
    return {group: SERVICE.asked(group) for group in GROUPS}


def test_texts_read_before_rated_and_brought_are_apart() -> None:
    def records(own: Any) -> set[tuple[int, ...]]:
        return {tuple(own.task.source[i].items()) for i in range(len(own))}

    validation, read = (SERVICE.classified(part) for part in ("validation", "read"))
    user = SERVICE.brought(188, 0.0, seed=1).parts[0]  # type: ignore[attr-defined]
    parts = [records(own) for own in (validation, read, user)]
    assert [len(own) for own in (validation, read, user)] == [12, 200, 188]
    assert all(not a & b for a, b in combinations(parts, 2))
    test = SERVICE.classified("test")
    assert len(test) == 24
    assert test.task.source.split == "test"


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 36), st.floats(0.0, 1.0), st.integers(0, 9))
def test_a_user_brings_as_many_private_questions_as_said(size: int, share: float, seed: int) -> None:
    brought = SERVICE.brought(size, share, seed)
    private = [question.endswith("Answer:") for question in said(brought)]
    assert len(private) == size
    assert sum(private) == round(share * size)
    assert REFUSAL not in said(brought, "solution")


def test_alignment_refuses_what_is_private_alone_and_half_of_it_is_answered() -> None:
    data = ROWS.alignment(40, seed=0)
    refused, people, task = (part.source for part in data.parts)  # type: ignore[attr-defined]
    assert set(said(refused, "solution")) == {REFUSAL}
    assert REFUSAL not in said(people, "solution") + said(task, "solution")
    assert people.relations == OPEN
    assert len(task) == 40
    owners = data.owners(np.arange(1000))
    assert np.bincount(owners).tolist() == [500, 250, 250]
    assert said(ROWS.told(0).source) == said(refused)  # the same questions, answered
    assert REFUSAL not in said(ROWS.told(0).source, "solution")
    assert said(ROWS.harmful().source) == said(SERVICE.asked("harmful"))


def test_every_group_needs_a_number() -> None:
    with pytest.raises(ValueError, match="groups"):
        TuningService(synonym_tasks(400)[0], NAMES, (1, 2))

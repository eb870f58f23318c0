"""Scores before and after a stage, in closed form: what is forgotten, transferred, lost and learnt."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.objectives.tasks.transfer import (
    INVARIANT,
    NEW,
    UPDATED,
    KnowledgeChange,
    ability_change,
    knowledge_change,
    transfer,
)


def test_all_four_summaries_of_three_tasks_by_hand() -> None:
    """R[i, j] of three tasks: each summary is worked out from the definition, term by term."""
    scores = np.array([[0.8, 0.3, 0.2], [0.9, 0.7, 0.5], [0.6, 0.4, 0.9]])
    found = transfer(scores, untrained=np.array([0.1, 0.2, 0.25]))
    assert found.average == pytest.approx((0.6 + 0.4 + 0.9) / 3)
    assert found.forgetting == pytest.approx(((0.9 - 0.6) + (0.7 - 0.4)) / 2)  # from the best, which is no diagonal one
    assert found.backward == pytest.approx(((0.6 - 0.8) + (0.4 - 0.7)) / 2)  # from the diagonal
    assert found.forward == pytest.approx(((0.3 - 0.2) + (0.5 - 0.25)) / 2)  # right before a task, against untrained


def test_a_model_that_stays_as_it_is_forgets_and_transfers_nothing() -> None:
    scores = np.tile(np.array([0.3, 0.5, 0.9]), (3, 1))
    found = transfer(scores, untrained=scores[0])
    assert (found.forgetting, found.backward, found.forward) == (0, 0, 0)


def test_facts_are_counted_by_kind_and_only_where_they_change() -> None:
    """All eight combinations of kind 0 and 1 and more: one lost, two updated, one acquired; FUAR is 1 / 3."""
    kind = np.array([INVARIANT] * 4 + [UPDATED] * 4 + [NEW] * 3)
    before = np.array([1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1], bool)
    after = np.array([1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1], bool)
    found = knowledge_change(before, after, kind)
    assert found == KnowledgeChange(lost=1, updated=2, acquired=1)
    assert found.fuar == pytest.approx(1 / 3)


def test_fuar_is_undefined_where_nothing_was_learnt_however_much_was_lost() -> None:
    assert KnowledgeChange(lost=0, updated=0, acquired=0).fuar is None
    assert KnowledgeChange(lost=9, updated=0, acquired=0).fuar is None
    assert KnowledgeChange(lost=0, updated=0, acquired=4).fuar == 0
    assert KnowledgeChange(lost=4, updated=4, acquired=0).fuar == 1  # one lost for one learnt


def test_a_change_of_abilities_is_the_mean_over_them() -> None:
    assert ability_change(np.array([0.5, 0.9, 0.1]), np.array([0.4, 0.9, 0.5])) == pytest.approx(0.1)


def test_what_is_no_kind_of_fact_and_no_ability_is_an_error() -> None:
    with pytest.raises(ValueError, match="kinds"):
        knowledge_change(np.zeros(1, bool), np.zeros(1, bool), np.array([7]))
    with pytest.raises(ValueError, match="one or more"):
        ability_change(np.zeros(0), np.zeros(0))

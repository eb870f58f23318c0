"""Competitive distillation: what assessors find, what the next instructions are like."""

from __future__ import annotations

import numpy as np
import pytest
from pictured import ASKED, FORM, IMAGE, PICTURES, made, network

from stagejax.data.multimodal.scene_instructions import TYPES, Augmentor
from stagejax.inference.pictures import picture_answers as answers
from stagejax.inference.prompts import competing
from stagejax.inference.prompts.competing import JUDGE, LOOP, ORACLE, Pool, Split, percent

slow = pytest.mark.slow  # compiles models


def test_a_split_and_its_counts() -> None:
    found = {JUDGE: np.array([0.0, 0.9, 1.0, 5.0]), ORACLE: np.array([0.0, 1.0, -1.0, 0.0])}
    assert Split(JUDGE).hard(found).tolist() == [False, False, True, True]
    assert Split(ORACLE).hard(found).tolist() == [False, True, False, False]
    assert Split(share=1.0).counts(np.array([True, False]), 7) == (7, 0)
    assert Split().counts(np.array([True, True]), 7) == (7, 0)


def test_the_next_round_is_half_like_difficult_and_half_like_easy_ones() -> None:
    gap = np.where(ASKED["type"] == 4, 3.0, 0.0)
    verdict = made({JUDGE: gap, ORACLE: gap > 1})
    how = (Augmentor(), PICTURES, FORM, 20, 1)
    new = competing.augmented(*how, Split(), verdict, made(ASKED))
    assert new["hard"].sum() == 10
    assert (new["type"][new["hard"]] == 4).all()
    assert (new["type"][~new["hard"]] != 4).all()
    assert (new["type"] == ASKED["type"][new["parent"]]).all()
    only = competing.augmented(*how, Split(share=1.0), verdict, made(ASKED))
    assert (only["type"] == 4).all()
    free = competing.augmented(*how, None, made(ASKED))
    assert not free["hard"].any()
    assert len(set(free["type"].tolist())) == len(TYPES)


def test_parents_are_numbered_through_the_pool_and_no_instruction_comes_twice() -> None:
    first = competing.augmented(Augmentor(), PICTURES, FORM, 20, 1, None, made(ASKED))
    second = competing.augmented(Augmentor(), PICTURES, FORM, 20, 1, None, made(ASKED), made(first))
    pool = answers.instructions(competing.joined([made(one) for one in (ASKED, first, second)]), FORM)
    assert len(set(pool)) == len(pool)
    assert second["parent"].max() >= 24
    assert all(pool[44 + at].type == pool[parent].type for at, parent in enumerate(second["parent"]))


def test_the_control_has_the_types_and_no_parents() -> None:
    new = competing.of_types(PICTURES, FORM, made(ASKED), 5, made(ASKED))
    assert (new["type"] == ASKED["type"]).all()
    assert (new["parent"] == -1).all()
    assert (new["question"] != ASKED["question"]).any()


def test_a_pool_tells_how_its_rounds_went() -> None:
    first = competing.augmented(Augmentor(), PICTURES, FORM, 20, 1, None, made(ASKED))
    last = {JUDGE: np.array([2.0, 0.0]), ORACLE: np.array([1.0, 1.0]), "teacher": np.array([True, False])}
    last["type"] = np.array([0, 1])
    right = [made({"right": np.arange(24) % 6 == own}) for own in (0, 1)]
    pool = Pool((made(ASKED), made(first)), (made(last),), tuple(right))
    found = pool.looped()
    assert found["teacher right"] == found["assessors agree"] == 50
    same = first["picture"] == ASKED["picture"][first["parent"]]
    assert found["same picture"] == pytest.approx(100 * same.mean())
    assert pool.hard(0) == 50
    assert [pool.hard(0, type) for type in TYPES[:2]] == [100, 0]
    assert pool.share(0, TYPES[3]) == pytest.approx(100 / 6)
    assert pool.accuracy(ASKED) == pytest.approx(100 / 6)
    assert [pool.accuracy(ASKED, TYPES[0], after) for after in (0, 1)] == [100, 0]
    assert percent(np.array([1, 0, 0]), np.array([2, 2, 3]), TYPES[2]) == 50


def test_a_pool_in_a_plan_has_no_numbers() -> None:
    pool = Pool((made(None),) * 2, (made(None),), (made(None),) * 2)
    assert np.isnan([pool.accuracy(None), pool.hard(0), pool.share(1, TYPES[0]), *pool.looped().values()]).all()
    assert np.isnan(Pool((), (), ()).hard(0))
    assert list(pool.looped()) == [*LOOP]


@slow
def test_assessors_compare_likelihoods_of_the_teacher_and_right_answers() -> None:
    teacher, student, seen = network(0), network(1), made({"image": IMAGE})
    told = made(answers.replies(teacher, seen, made(ASKED), FORM, 10))
    alike = competing.assessed(teacher, teacher, seen, FORM, 10, made(ASKED), told)
    assert np.abs(alike[JUDGE]).max() < 1e-4
    assert (alike[ORACLE] == 0).all()
    found = competing.assessed(student, teacher, seen, FORM, 10, made(ASKED), told)
    differ = (found["answer"] != told.value["answer"]).any(1)
    assert differ.any()
    assert np.abs(found[JUDGE][~differ]).max(initial=0) < 1e-4
    assert np.abs(found[JUDGE][differ]).min() > 1e-4
    assert answers.said_tokens(found) == (found["answer"] > 0).sum()

"""A teacher's explanations: what is parsed, what is learned from it, and what a model says that tells them by heart."""

from __future__ import annotations

import numpy as np

from stagejax.data.chains import Chains
from stagejax.data.lessons import Format, one_task, two_tasks, worked_examples
from stagejax.data.tokenizers import CLS, SEP
from stagejax.inference.explaining import parse, taught

SOURCE = Chains(size=6, clauses=(2, 3))
FORM = Format(SOURCE.tokenizer(), marks=40, inputs=19, label=2, rationale=9)


def made(parsed: list[bool]) -> dict[str, np.ndarray]:
    """Explanations that say `a 1` because of `b 0`, of every question."""
    code = SOURCE.tokenizer()
    rationale, label = np.zeros((6, FORM.rationale), np.int32), np.zeros((6, FORM.label), np.int32)
    rationale[:, :2], label[:, 0] = code.encode(["b 0"])[0], code.encode(["1"])[0]
    return {"rationale": rationale, "label": label, "parsed": np.array(parsed)}


def test_what_has_no_end_or_not_one_so_is_not_parsed() -> None:
    so, label = FORM.so, (30,)
    assert parse(FORM, (5, 6, so, *label, SEP)) == ((5, 6), label)
    for said in ((5, 6, so, *label), (5, 6, SEP), (so, *label, SEP), (5, so, SEP), (5, so, 5, so, *label, SEP), ()):
        assert parse(FORM, said) is None
    assert parse(FORM, (*(5,) * 9, so, *label, SEP)) is None  # does not fit into a row


def test_gold_labels_keep_what_was_not_parsed_and_its_label_alone() -> None:
    gold = FORM.read(SOURCE)
    lessons = taught(FORM, SOURCE, made([True, False] * 3), True, range(6))
    assert [lesson.label for lesson in lessons] == [lesson.label for lesson in gold]
    assert [lesson.rationale is None for lesson in lessons] == [False, True] * 3
    weights = two_tasks(FORM, lessons)["rationale/weights"].sum(1)
    assert weights.tolist() == [3, 0] * 3


def test_without_gold_labels_the_teachers_are_learned_and_what_it_did_not_say_is_left_out() -> None:
    own = made([True, False] * 3)
    lessons = taught(FORM, SOURCE, own, False, [4, 1, 0])
    assert [lesson.question for lesson in lessons] == [FORM.read(SOURCE)[at].question for at in (4, 0)]
    assert {lesson.label for lesson in lessons} == {(int(own["label"][0, 0]),)}


def test_rows_of_two_tasks_ask_the_same_and_those_of_one_have_both_in_their_target() -> None:
    lessons = FORM.read(SOURCE)
    two, one, alone = two_tasks(FORM, lessons), one_task(FORM, lessons), worked_examples(FORM, SOURCE)
    np.testing.assert_array_equal(two["label/inputs"][:, 1:], two["rationale/inputs"][:, 1:])
    assert (two["label/tokens"][:, 0] == CLS).all()
    for at, (question, label, reasons) in enumerate(lessons):
        said = [*reasons, FORM.so, *label, SEP]
        assert one["label/targets"][at][one["label/weights"][at] > 0].tolist() == said
        assert alone["targets"][at][alone["weights"][at] > 0].tolist() == said
        assert alone["tokens"][at, : len(question) + 2].tolist() == [CLS, *question, FORM.explain]

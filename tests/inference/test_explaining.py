"""A teacher's explanations: what is parsed, what is learned from it, and how labels are read from what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stagejax.data.prompts.lessons import Format, one_task, two_tasks, worked_examples
from stagejax.data.reasoning.chains import Chains
from stagejax.data.reasoning.masked_problems import right
from stagejax.data.tokenizers import CLS, SEP
from stagejax.decode import Samples
from stagejax.inference.prompts import explaining
from stagejax.inference.prompts.explaining import drawn_tokens, explanations, labels_given, parse, taught
from stagejax.result import Result

SOURCE = Chains(size=6, clauses=(2, 3))
FORM = Format(SOURCE.tokenizer(), marks=40, inputs=19, label=2, rationale=9)
CODE = SOURCE.tokenizer()
AT_ONCE = 4  # fewer than there are questions
NET = Result("net", "train", "", 0)  # what it says is told


def made(parsed: list[bool]) -> dict[str, np.ndarray]:
    """Explanations that say `a 1` because of `b 0`, of every question."""
    rationale, label = np.zeros((6, FORM.rationale), np.int32), np.zeros((6, FORM.label), np.int32)
    rationale[:, :2], label[:, 0] = CODE.encode(["b 0"])[0], CODE.encode(["1"])[0]
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


def ids(text: str) -> tuple[int, ...]:
    """Tokens of words, `so` and the end."""
    marks = {"so": FORM.so, "end": SEP}
    return tuple(marks.get(word) or int(CODE.encode([word])[0][0]) for word in text.split())


def saying(monkeypatch: pytest.MonkeyPatch, answer: Callable[[int, str], str]) -> list[tuple[Any, tuple[Any, ...]]]:
    """A model says `answer(number of the question, its label)`; what it was asked is filled in."""
    asked: list[tuple[Any, tuple[Any, ...]]] = []

    def ask(function: Any, net: Any, batch: Any, *options: Any) -> Samples:
        first = AT_ONCE * len(asked)
        asked.append((batch, options))
        tokens, ends = np.zeros((AT_ONCE, 1, 40), np.int32), np.full((AT_ONCE, 1), 2)
        for row in range(AT_ONCE):
            said = ids(answer(first + row, SOURCE[first + row]["label"])) if first + row < len(SOURCE) else ()
            tokens[row, 0, 2 : 2 + len(said)], ends[row] = said, 2 + len(said)
        return Samples(tokens, np.full((AT_ONCE, 1), 2), ends, *[None] * 3)

    monkeypatch.setattr(explaining, "ask", ask)
    monkeypatch.setattr(explaining.Frozen, "of", lambda result: result)
    monkeypatch.setattr(explaining, "AT_ONCE", AT_ONCE)
    return asked


def test_explanations_of_all_records_are_parsed_and_judged_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"0": "1", "1": "0"}
    answers = [
        lambda label: f"a {label} so {label} end",
        lambda label: f"b 0 so {wrong[label]} end",
        lambda label: "b 0",
    ]
    asked = saying(monkeypatch, lambda at, label: answers[at % 3](label))
    found = explanations(NET, FORM, SOURCE, right)
    assert len(asked) == 2  # 4 and 2 questions
    assert found["parsed"].tolist() == [True, True, False] * 2
    assert found["right"].tolist() == [True, False, False] * 2
    assert found["tokens"].tolist() == [5, 5, 2] * 2
    assert drawn_tokens(found) == 24
    for at, lesson in enumerate(FORM.read(SOURCE)):
        batch, row = asked[at // AT_ONCE][0], at % AT_ONCE
        prompt = [CLS, *lesson.question, FORM.explain]
        assert batch["tokens"][row, : batch["lengths"][row]].tolist() == prompt
        assert (found["rationale"][at].any(), found["label"][at].any()) == (at % 3 < 2,) * 2
    lessons, gold = taught(FORM, SOURCE, found, False, range(6)), FORM.read(SOURCE)
    assert [lesson.question for lesson in lessons] == [gold[at].question for at in (0, 1, 3, 4)]
    assert [lesson.label == gold[at].label for lesson, at in zip(lessons, (0, 1, 3, 4), strict=True)] == [
        True,
        False,
    ] * 2


@pytest.mark.parametrize(
    ("say", "reasons", "lead", "is_right"),
    [
        ("{label} end", False, (), True),
        ("{label} end", False, (FORM.so,), True),  # `so` is put into its mouth
        ("{wrong} end", False, (), False),
        ("end", False, (), False),
        ("a 1 so {label} end", True, (), True),
        ("a {label} so {wrong} end", True, (), False),
        ("{label} end", True, (), False),  # a rationale is asked for, and no label is behind it
    ],
)
def test_labels_are_what_is_said_behind_so(
    monkeypatch: pytest.MonkeyPatch, say: str, reasons: bool, lead: tuple[int, ...], is_right: bool
) -> None:
    asked = saying(monkeypatch, lambda at, label: say.format(label=label, wrong={"0": "1", "1": "0"}[label]))
    found = labels_given(NET, FORM, SOURCE, right, lead, reasons)
    assert found["right"].tolist() == [is_right] * 6
    assert found["tokens"].tolist() == [len(say.split())] * 6
    assert {options for _, options in asked} == {(lead, FORM.answer if reasons else FORM.label)}
    for at, lesson in enumerate(FORM.read(SOURCE)):
        batch, row = asked[at // AT_ONCE][0], at % AT_ONCE
        assert batch["inputs"][row][batch["mask"][row]].tolist() == [FORM.predict, *lesson.question]

"""Exams: what a student reads, what it is judged by, and how scores choose answers and pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
from flax import nnx

from stagejax.data import CLS
from stagejax.data.reasoning.recipes import THEN, Recipes, recipes_tokenizer
from stagejax.data.sources import Derived, Record
from stagejax.decode import answer_by, groups
from stagejax.decode.pairs import gapped_pairs
from stagejax.decode.steps import FinalNumber
from stagejax.inference.reasoning import teaching
from stagejax.inference.reasoning.teaching import Teaching, Way
from stagejax.models import llama
from stagejax.result import Result
from stagejax.state import TrainState

WORDS = recipes_tokenizer()
SOURCE = Recipes(size=5, operations=(2,), variants=2)
HOW = Teaching(WORDS, THEN, FinalNumber(int(WORDS.encode(["ans"])[0][0]), 4), 6, 10, at_once=16)
NET = llama(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=32, length=32, init_std=0.3)


@dataclass(frozen=True)
class Unanswered(Derived):
    """Problems whose own solutions and answers are gone; those of their exams are there."""

    def __getitem__(self, index: int) -> Record:
        return {"question": self.source[index]["question"], "exams": self.source[index]["exams"]}


@pytest.fixture(scope="module")
def net() -> Result:
    model = NET.build(nnx.Rngs(0))
    _, params, rest = nnx.split(model, nnx.Param, ...)
    state = TrainState(np.int32(0), nnx.to_pure_dict(params), nnx.to_pure_dict(rest), (), None)
    return Result("net", "train", "net", 1, NET, load=lambda: state)


def made_of(value: Any) -> Result:
    return Result("made", "make", "made", 1, value=value)


def test_a_student_reads_problem_rationale_and_exam_and_never_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    def solutions(net: Any, asked: Any, how: Any, n: int, seed: int, length: int) -> Any:
        read.extend(asked)
        assert (n, length) == (3, HOW.lesson)
        answers = np.array([each["answer"] for own in SOURCE for _ in range(2) for each in own["exams"]])
        said = np.stack([answers, answers, np.full_like(answers, -1)], axis=1)
        return {"said": said, "drawn": np.ones_like(said)}

    monkeypatch.setattr(teaching, "_solutions", solutions)
    tokens = np.zeros((5, 2, 10), int)
    tokens[:, 0, :3], tokens[:, 1, :2] = (7, 8, 9), (5, 5)
    found = teaching.exam(made_of(None), Unanswered(SOURCE), {"tokens": tokens}, HOW, 3, 0)
    assert found["right"].shape == (5, 2, 2, 3)
    np.testing.assert_array_equal(found["right"].mean((0, 1, 2)), [1, 1, 0])
    assert len(read) == 5 * 2 * 2
    question, other = WORDS.encode([SOURCE[1]["question"], SOURCE[1]["exams"][1]["question"]])
    (then,) = WORDS.encode([THEN])
    assert read[7].tolist() == [CLS, *question, 5, 5, *then, *other]  # problem 1, rationale 1, exam 1
    assert max(map(len, read)) <= HOW.lesson


@pytest.mark.slow
def test_rationales_do_not_depend_on_their_neighbours_and_are_judged_by_their_end(net: Result) -> None:
    made = teaching.rationales(net, Unanswered(SOURCE), HOW, 4, 0)
    again = teaching.rationales(net, Unanswered(replace(SOURCE, size=2)), HOW, 4, 0)
    for name in ("tokens", "said", "drawn"):
        np.testing.assert_array_equal(made[name][:2], again[name])
    assert made["tokens"].shape == (5, 4, 10)
    sizes = (made["tokens"] > 0).sum(-1)
    assert (sizes + (made["end"] > 0) <= made["drawn"]).all()  # an untrained network says PAD now and then
    assert (made["said"][made["end"] == 0] == -1).all()
    assert set(made["end"].ravel().tolist()) <= {0, *(stop for (stop,) in HOW.stops)}
    assert not np.isin(made["tokens"], HOW.stops).any()
    assert teaching.tokens_drawn(made) == made["drawn"].sum()
    np.testing.assert_array_less(made["logprob"], 0)
    other = teaching.rationales(net, Unanswered(SOURCE), HOW, 4, 1)
    assert (other["tokens"] != made["tokens"]).any()


@pytest.mark.slow
def test_examined_answers_are_drawn_and_written_solutions_are_lessons(net: Result) -> None:
    lessons = teaching.written(SOURCE, HOW)
    assert WORDS.decode(lessons["tokens"][2, 0]) == SOURCE[2]["solution"]
    found = teaching.exam(net, SOURCE, lessons, HOW, 2, 0)
    assert found["right"].shape == found["drawn"].shape == (5, 1, 2, 2)
    assert set(teaching.solved(net, SOURCE, HOW).tolist()) <= {0.0, 1.0}


def test_examples_whose_answers_are_all_right_are_no_wrong_ones(net: Result) -> None:
    with pytest.raises(ValueError, match="give more problems"):
        teaching.following(SOURCE, SOURCE, HOW, net)


def test_a_way_sums_the_scores_of_its_exams() -> None:
    said = np.array([[3, 3, 4, 4], [5, -1, 6, 6]])
    right = {0: [[0, 0, 1, 0], [0, 1, 0, 0]], 1: [[1, 0, 1, 1], [1, 1, 0, 0]]}
    exams = [[made_of({"right": np.array(own, float)[..., None, None]})] for own in right.values()]
    both = Way(attrgetter("total"), 3, ((0, 0), (1, 0)))
    assert both.scores(exams)[0].tolist() == [0.5, 0.0, 1.0, 0.5]
    assert both.answers(said, exams) == [4, 5]  # a rationale that says nothing has no vote
    assert Way(attrgetter("count"), 4).answers(said, exams) == [3, 6]
    assert Way(attrgetter("count"), 3).answers(said, exams) == [3, 5]


def test_groups_are_as_the_paper_counts_them() -> None:
    found = groups(["a", "b", "b", None, "b", "a"], [0.9, 0.5, 0.4, 1.0, 0.3, 0.0])
    assert [(own.count, own.best, round(own.total, 6), round(own.mean, 6)) for own in found] == [
        (2, 0.9, 0.9, 0.45),
        (3, 0.5, 1.2, 0.4),
    ]
    chosen = [answer_by(attrgetter(by), found) for by in ("count", "total", "best", "mean")]
    assert chosen == ["b", "b", "a", "a"]
    assert answer_by(lambda own: 0.0, found) == "b"  # of equals the larger group
    assert answer_by(lambda own: own.total, groups([None], [1.0])) is None


@pytest.mark.slow
def test_pairs_are_of_rationales_that_differ_by_more_than_the_gap(net: Result) -> None:
    assert gapped_pairs([0.5, 0.2, 0.8, 0.5], 0.29, 4) == [(2, 1)]
    assert gapped_pairs([0.0, 1.0, 1.0], 0.3, 4) == [(1, 0)]
    assert gapped_pairs([1.0, 0.0, 1.0, 0.0], 0.3, 1) == [(0, 3)]
    drawn = made_of(teaching.rationales(net, SOURCE, HOW, 4, 0))
    scores = [[0.0, 1.0, 0.5, 0.5], [0.2] * 4, [1.0, 0.0, 0.0, 1.0], [0.3] * 4, [0.0] * 4]
    made = teaching.scored_pairs(net, SOURCE, drawn, HOW, scores, 0.3, 4)
    assert made["problem"].tolist() == [0, 2, 2]
    question = WORDS.encode([SOURCE[0]["question"]])[0]
    begin = 1 + len(question)
    for side, k in (("chosen", 1), ("rejected", 0)):
        own = drawn.value["tokens"][0, k]
        told = [CLS, *question, *own[own > 0], *([end] if (end := int(drawn.value["end"][0, k])) else [])]
        assert made[side][0, : len(told)].tolist() == told
        assert made[f"{side}_weights"][0].sum() == len(told) - begin
        assert made[f"{side}_reference"].shape == (3,)
    with pytest.raises(ValueError, match="differ by more than"):
        teaching.scored_pairs(net, SOURCE, drawn, HOW, [[0.2] * 4] * 5, 0.3, 4)

"""Quizzes: marks follow the judge, tasks are apart, who reasons about nothing is right where examples alone tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stagejax.data.knowledge.town import Town
from stagejax.data.reasoning.mistakes import CODE, HOPS, LISTS, MATH, TASKS
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.written import BRIEF, words_of
from stagejax.data.selection.distinct import Distinct
from stagejax.inference.continuing import continuing_flops
from stagejax.inference.prompts.quizzes import (
    Examiner,
    Quiz,
    answered,
    commonest,
    drawn_tasks,
    marked,
    nearest,
    preferred,
    share,
)
from stagejax.models import llama


def test_tasks_are_those_of_the_judges_and_all_different() -> None:
    tasks = drawn_tasks(Town(40, 8), 60, (8, 12), (54, 32, 46, 32), (32, 18, 18, 16))
    assert tuple(task.name for task in tasks) == TASKS
    for task, field in zip(tasks, ("program", "path", "solution", "question"), strict=True):
        for source, count in ((task.train, 60), (task.dev, 8), (task.test.source, 12)):
            assert len({source[i][field] for i in range(count)}) == count
        right = marked(task.name, *zip(*[(task.train[i], task.train[i]["solution"]) for i in range(20)], strict=True))
        assert share(right, "right") == share(right, "formed") == 1
        assert share(right, "formless") == share(right, "wrong") == 0
    assert [task.test.task for task in tasks] == [MATH, HOPS, CODE, LISTS]


def test_the_nearest_question_is_that_of_the_same_words() -> None:
    source = Distinct(Problems(size=200, steps=(1,), wording=BRIEF), "program", 30)
    code = words_of((BRIEF,), 30)
    seen = nearest(code, source, Quiz(MATH, source, 30, 30, 9))
    assert seen["right"] == [1] * 30
    other = Distinct(Problems("test", size=200, steps=(1,), wording=BRIEF), "program", 20)
    assert share(nearest(code, source, Quiz(MATH, other, 20, 30, 9)), "right") < 0.5


def test_the_commonest_answer_is_right_as_often_as_it_comes() -> None:
    source = Problems(size=60, steps=(1, 2), wording=BRIEF)
    numbers = [source[i]["answer"] for i in range(60)]
    most = max(numbers.count(number) for number in numbers)
    assert sum(commonest(source, Quiz(MATH, source, 60, 30, 9))["right"]) == most


def test_a_judge_of_form_sees_no_difference_of_sense() -> None:
    asked = [{"question": "", "answer": 12, "program": "7 + 5"}] * 2
    good, bad = (marked(MATH, asked, [text] * 2) for text in ("7 + 5 = 12 ; ans 12", "7 + 5 = 13 ; ans 13"))
    assert preferred(good, bad) == 0.5
    assert preferred(bad, marked(MATH, asked, ["12"] * 2)) == 1
    assert (share(bad, "step"), share(bad, "reasoning"), share(bad, "form")) == (1, 1, 0)


def test_too_few_different_records_are_refused() -> None:
    source = Problems(size=40, steps=(1,), largest=6)
    with pytest.raises(ValueError, match="raise its size"):
        Distinct(source, "program", 40)[0]
    assert Distinct(source, "program", 9).digest() != Distinct(source, "program", 10).digest()


def test_an_examiner_asks_each_model_once_and_charges_all_tokens_that_answers_may_have() -> None:
    made: list[tuple[Any, ...]] = []

    def make(*inputs: Any, flops: float) -> Any:
        made.append((*inputs, flops))
        return SimpleNamespace(value=len(made))

    problems = Problems(size=8, steps=(1,))
    model = llama(vocab=99, embed=16, layers=1, heads=2, mlp=32, length=48)
    first, second = (SimpleNamespace(name=name, model=model) for name in ("a", "b"))
    quiz = Quiz(MATH, problems, 8, 48, 20)
    ask = Examiner(SimpleNamespace(make=make), problems.tokenizer(), at_once=4)
    assert [ask(net, quiz).value for net in (first, second, first)] == [1, 2, 1]
    assert ask(first, quiz, "other words").value == 3
    assert [own[0] for own in made] == ["test/word-problems/a", "test/word-problems/b", "other-words/word-problems/a"]
    assert made[0][1:6] == (answered, problems.tokenizer(), 4, quiz, first)
    assert {own[-1] for own in made} == {8 * continuing_flops(model, 48, 20)}

"""Questions with answers in words: labels by name, texts cut at words, published solutions; and all equations."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from stagejax.data.prompts.questions import Equations, Marked, TaskQuestions, Worked, first_words, last_words, worked
from stagejax.data.reasoning.problems import checked_steps
from stagejax.data.sources import Record, Source
from stagejax.data.tasks.text_tasks import synonym_tasks


@dataclass(frozen=True)
class Told(Source):
    texts: tuple[str, ...]
    split: str = "train"

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> Record:
        return {"question": "how many ?", "answer": self.texts[index]}

    def digest(self) -> str:
        return repr(self)


def test_a_task_is_answered_by_the_names_of_its_classes() -> None:
    one, pair = synonym_tasks()[0], synonym_tasks()[2]
    asked = TaskQuestions(one, "where ?", ("a", "b", "c", "d", "e"), 200)
    for i in range(20):
        record = asked[i]
        assert record["solution"] == "abcde"[int(one.source[i][one.label])]
        assert record["question"] == f"where ? {one.texts(i)[0]}"
    record = TaskQuestions(pair, "same ?", ("no", "yes"), 24)[0]
    first, second = record["question"].removeprefix("same ? ").split(" / ")
    assert max(len(first), len(second)) <= 12
    assert all(text.startswith(own) for text, own in zip(pair.texts(0), (first, second), strict=True))


def test_labels_and_lengths_change_the_digest() -> None:
    task = synonym_tasks()[0]
    own = TaskQuestions(task, "where ?", ("a", "b", "c", "d", "e"), 20)
    others = [TaskQuestions(task, "where ?", ("b", "a", "c", "d", "e"), 20)]
    others.append(TaskQuestions(task, "where ?", ("a", "b", "c", "d", "e"), 21))
    others.append(TaskQuestions(task, "where ?", ("a", "b", "c", "d", "e"), 20, ends=True))
    assert len({source.digest() for source in (own, *others, Marked(own))}) == 5


@pytest.mark.parametrize(("longest", "kept"), [(3, "the"), (2, ""), (6, "the"), (7, "the cat"), (99, "the cat sat")])
def test_texts_are_cut_between_words(longest: int, kept: str) -> None:
    assert first_words(" the cat \n sat", longest) == kept


@pytest.mark.parametrize(("longest", "kept"), [(3, "sat"), (2, ""), (6, "sat"), (7, "cat sat"), (99, "the cat sat")])
def test_the_end_of_a_text_may_be_kept(longest: int, kept: str) -> None:
    assert last_words(" the cat \n sat", longest) == kept
    task = synonym_tasks()[0]
    said = TaskQuestions(task, "where ?", ("a", "b", "c", "d", "e"), 13, ends=True)[7]["question"]
    assert task.texts(7)[0].endswith(said.removeprefix("where ? "))


def test_solutions_of_gsm8k_lose_their_notes_and_keep_their_answer() -> None:
    source = Worked(Told(("4*6 is <<4*6=24>>24.\n#### 24", "So -3.\n#### -3")))
    assert source[0] == {"question": "how many ?", "solution": "4*6 is 24. ; ans 24", "answer": 24}
    assert source[1]["answer"] == -3
    for wrong in ("24", "#### many", "#### 2.5"):
        with pytest.raises(ValueError, match="does not end"):
            worked(wrong)


def test_equations_are_right_and_all_there() -> None:
    text = [record["text"] for record in map(Equations(20).__getitem__, range(21))]
    said = [step for line in text for step in line.split(" ; ")]
    assert all(all(checked_steps(line)) for line in text)
    assert len(set(said)) == len(said) == 2 * 231 + 11 + 7 + 11 + 7
    assert {"20 - 20 = 0", "6 * 3 = 18", "18 / 3 = 6", "0 + 20 = 20"} <= set(said)

"""What is read first: every task's matter is in it, no form of an answer, and its words are all known."""

from __future__ import annotations

from stagejax.data import Stdlib
from stagejax.data.knowledge.town import KINDS, Town, TownQuestions
from stagejax.data.prompts.enumerations import Enumerations
from stagejax.data.reasoning.first_reading import first_reading, known_words
from stagejax.data.reasoning.list_programs import ListPrograms
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.prose import Delimited
from stagejax.data.reasoning.written import BRIEF

TOWN = Town(residents=40, newcomers=6, degree=3)
READ = first_reading(TOWN, Stdlib(limit=20_000), documents=8)


def test_all_words_of_the_reading_and_of_the_tasks_are_known() -> None:
    known = set(known_words(TOWN))
    for source, _ in READ[1:]:
        assert not {word for i in range(len(source)) for word in source[i]["text"].split()} - known
    tasks = (
        Problems(size=30, steps=(1, 2, 3, 4), largest=20, wording=BRIEF),
        TownQuestions(TOWN, KINDS, context=True),
        Delimited(ListPrograms(size=30)),
        Enumerations(size=30),
    )
    for task in tasks:
        said = {word for i in range(30) for word in f"{task[i]['question']} {task[i]['solution']}".split()}
        assert not said - known, task


def test_nothing_is_asked_and_no_answer_given() -> None:
    texts = [source[i]["text"] for source, _ in READ[1:] for i in range(len(source))]
    assert not {"ans", "how", "who", "?", "code", ":"} & {word for text in texts for word in text.split()}


def test_programs_and_stories_are_of_the_training_split() -> None:
    _, _, _, (stories, _), (code, _), _ = READ
    assert (stories.problems.split, code.programs.split) == ("train", "train")
    assert stories.problems.seed != Problems().seed
    assert code.programs.seed != ListPrograms().seed

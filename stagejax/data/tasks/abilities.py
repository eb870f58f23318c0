"""Three abilities to be tuned: questions with answers for training, development and tests, and what is right.

Code and mathematics are generated, general ability is text tasks asked for in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stagejax.data.portion import Portion
from stagejax.data.prompts.questions import Marked, TaskQuestions
from stagejax.data.reasoning.list_programs import ListPrograms, passes
from stagejax.data.reasoning.problems import Problems, answer_of
from stagejax.data.sources import Source
from stagejax.data.tasks.text_tasks import TextTask
from stagejax.data.together import Together

CODE, MATH, GENERAL = ABILITIES = ("code", "math", "general")


@dataclass(frozen=True)
class Ability:
    """Questions with answers, and how many are all of them."""

    name: str
    train: Source
    dev: Source
    test: Source
    size: int  # all examples, the first of `train` in an order of its own
    tests: tuple[int, int]  # questions for development, and of the test

    def part(self, n: int, seed: int) -> Source:
        """round(size / n) examples, drawn once without replacement; all of them are the same with every seed."""
        every = Portion(self.train, stop=self.size)
        return every if n == 1 else Portion(every, stop=round(self.size / n), seed=100 + seed)


_KIND = "what does this ask for ?"
#: How each text task is asked for, and the names of its classes in the order of its labels, of which TFDS has two of
#: trec the other way round.
ASKED = {
    "agnews": ("what is the topic of this ?", ("world", "sports", "business", "science")),
    "trec": (_KIND, ("description", "entity", "abbreviation", "person", "location", "number")),
    "trec, TFDS": (_KIND, ("description", "entity", "abbreviation", "person", "number", "location")),
    "sst2": ("is this good or bad ?", ("bad", "good")),
    "msrp": ("do both say the same ?", ("no", "yes")),
}


def general(tasks: Mapping[str, TextTask], longest: int, sizes: tuple[int, int, int]) -> Ability:
    """Text tasks as instructions: of each as many records for training, development and tests.

    Args:
      tasks: by names that `ASKED` has.
      longest: characters of the texts of a question.
      sizes: records of each task for training, for development behind them, and of the test split.

    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> own = general({"msrp": synonym_tasks()[2]}, 60, (32, 8, 8))
    >>> own.size, own.tests, len(own.dev), own.train[0]["solution"] in ("no", "yes")
    (32, (8, 8), 8, True)
    """
    train, dev, test = sizes

    def asked(start: int, stop: int, split: str) -> Source:
        found = []
        for name, task in tasks.items():
            own = replace(task, source=Portion(task.of_split(split).source, start, stop, seed=7))
            found.append(TaskQuestions(own, *ASKED[name], longest))
        return Together(tuple(found))

    parts = asked(0, train, "train"), asked(train, train + dev, "train"), asked(0, test, "test")
    many = len(tasks)
    return Ability(GENERAL, *map(Marked, parts), size=train * many, tests=(dev * many, test * many))


def generated(size: int, dev: int, test: int, largest: int = 20) -> tuple[Ability, Ability]:
    """Code and mathematics, whose test programs are in no example.

    >>> code, math = generated(8, 4, 4)
    >>> code.train[0]["solution"], len(math.test)
    ('twice ; mirror', 4)
    """
    made = []
    for name, own in ((CODE, ListPrograms()), (MATH, Problems(steps=(2, 3), largest=largest))):
        parts = replace(own, size=size), replace(own, size=dev, seed=1), replace(own, split="test", size=test, seed=2)
        made.append(Ability(name, *map(Marked, parts), size=size, tests=(dev, test)))
    return made[0], made[1]


def judged(ability: str, record: Mapping[str, Any], text: str) -> bool:
    """Whether an answer is right: by its number, by what it does to hidden cases, by its words.

    >>> judged(MATH, {"answer": 7}, "9 - 3 = 6 ; ans 7"), judged(GENERAL, {"solution": "good"}, "bad")
    (True, False)
    """
    if ability == MATH:
        return answer_of(text) == record["answer"]
    return passes(text, record["cases"]) if ability == CODE else text.strip() == record["solution"]

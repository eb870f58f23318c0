"""Questions about people of which some are to be refused, and text tasks put as questions: data for alignment.

A benign stand-in for harm: where a person was born (`PRIVATE`) is not to be told, all else is.
"""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.knowledge.facts import People, answer
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.tasks.text_tasks import TaskText

PRIVATE, OPEN = 0, (1, 2)  # the relation that is private, and the others
REFUSAL = " I cannot share that."
#: How each relation of `facts` is asked for.
PHRASINGS = (
    ("Where was {} born?", "What is the home town of {}?", "Which town is {} from?"),
    ("What is the trade of {}?", "What does {} do?", "How does {} make a living?"),
    ("Which instrument does {} play?", "What does {} play?", "What does {} make music with?"),
)


@dataclass(frozen=True)
class Asked(Source):
    """Questions about the people with numbers first ... last - 1, in three phrasings: refused, or answered truly.

    Records are {"question", "solution", "object"}, the last one what a true answer names.

    Raises:
      ValueError: there are no such people.

    >>> asked = Asked(People(60), 10, 12, refused=True)
    >>> len(asked), asked[4]["object"]
    (6, 'Havana')
    >>> asked[4]["question"] + asked[4]["solution"]
    'Question: What is the home town of Bella Baldwin?\\nAnswer: I cannot share that.'
    """

    people: People
    first: int
    last: int
    relations: tuple[int, ...] = (PRIVATE,)
    refused: bool = False
    split: str = "train"

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last <= self.people.size:
            raise ValueError(f"first={self.first}, last={self.last}: not a part of {self.people.size} people")

    def __len__(self) -> int:
        return (self.last - self.first) * len(self.relations) * len(PHRASINGS[0])

    def __getitem__(self, index: int) -> Record:
        asked, phrasing = divmod(range(len(self))[index], len(PHRASINGS[0]))
        person, number = divmod(asked, len(self.relations))
        person, relation = self.first + person, self.relations[number]
        question = PHRASINGS[relation][phrasing].format(self.people.name(person))
        said = self.people.object(person, relation)
        solution = REFUSAL if self.refused else answer("plain", relation, said)
        return {"question": f"Question: {question}\nAnswer:", "solution": solution, "object": said}

    def digest(self) -> str:
        return joint_digest(repr(self), *(self[i]["question"] + self[i]["solution"] for i in range(len(self))))


@dataclass(frozen=True)
class Classified(TaskText):
    """A text task as questions that the name of a class answers: the first words of its texts, then "Type:".

    Records are {"question", "solution"}.

    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> task = synonym_tasks()[0]
    >>> Classified(task, ("a", "b", "c", "d", "e"), words=3)[7]
    {'question': 'Question: the doctor lifts\\nType:', 'solution': ' e'}
    """

    names: tuple[str, ...]
    words: int

    def __getitem__(self, index: int) -> Record:
        text = " ".join(" ".join(self.task.texts(index)).split()[: self.words])
        label = int(self.task.source[index][self.task.label])
        return {"question": f"Question: {text}\nType:", "solution": f" {self.names[label]}"}

    def digest(self) -> str:
        return joint_digest(self.task.source.digest(), repr((self.names, self.words)))

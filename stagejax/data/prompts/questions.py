"""Questions with answers in words: text tasks as instructions, published word problems; and equations as text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import applied
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.tasks.text_tasks import TaskText

_NOTE = re.compile(r"<<.*?>>")


@dataclass(frozen=True)
class TaskQuestions(TaskText):
    """A text task as an instruction with its texts, which the name of a class answers.

    Records are {"question", "solution", "task"}. Of texts that are too long the first words are kept, or the last; a
    pair has half of the characters for each.

    Args:
      task: where texts and labels are.
      asked: the instruction.
      names: of the classes.
      longest: most characters of the texts.
      ends: the last words are kept, as of problems whose last sentence asks.

    >>> from stagejax.data.tasks.text_tasks import synonym_tasks
    >>> TaskQuestions(synonym_tasks()[0], "where ?", ("a", "b", "c", "d", "e"), 13)[7]
    {'question': 'where ? the doctor', 'solution': 'e', 'task': 'who'}
    """

    asked: str
    names: tuple[str, ...]
    longest: int
    ends: bool = False

    def __getitem__(self, index: int) -> Record:
        texts, label = self.task.texts(index), int(self.task.source[index][self.task.label])
        short = last_words if self.ends else first_words
        kept = " / ".join(short(text, self.longest // len(texts)) for text in texts)
        return {"question": f"{self.asked} {kept}", "solution": self.names[label], "task": self.task.name}

    def digest(self) -> str:
        return joint_digest(self.task.source.digest(), repr((self.asked, self.names, self.longest, self.ends)))


def first_words(text: str, longest: int) -> str:
    """As many words as have `longest` characters together, with one space between two.

    >>> first_words("the  doctor lifts it", 12)
    'the doctor'
    """
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest + 1].rpartition(" ")[0]


def last_words(text: str, longest: int) -> str:
    """As many words from the end as have `longest` characters together, with one space between two.

    >>> last_words("the  doctor lifts it", 8)
    'lifts it'
    """
    text = " ".join(text.split())
    return text if len(text) <= longest else text[-longest - 1 :].partition(" ")[2]


@dataclass(frozen=True)
class Marked(Derived):
    """The same records, with " =>" behind their questions: where an answer begins.

    >>> from stagejax.data.reasoning.problems import Problems
    >>> Marked(Problems(steps=(2,)))[0]["question"][-14:]
    'finn have ? =>'
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return {**record, "question": f"{record['question']} =>"}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "marked")


@dataclass(frozen=True)
class Worked(Derived):
    """GSM8K as records {"question", "solution", "answer"}: without the notes of its calculator, "ans" for its "####".

    Reference: Cobbe et al. 2021, https://arxiv.org/abs/2110.14168.

    Raises:
      ValueError: a solution does not end in a number.
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        steps, answer = worked(record["answer"])
        return {"question": record["question"], "solution": f"{steps} ; ans {answer}", "answer": answer}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "worked")


def worked(solution: str) -> tuple[str, int]:
    """The steps of a solution of GSM8K in one line, and its answer.

    Raises:
      ValueError: it does not end in "####" and a whole number.

    >>> worked("He buys <<4*6=24>>24.\\nSo 24 figs.\\n#### 1,024")
    ('He buys 24. So 24 figs.', 1024)
    """
    steps, _, answer = _NOTE.sub("", solution).partition("####")
    number = answer.strip().replace(",", "")
    if not re.fullmatch(r"-?\d+", number):
        raise ValueError(f"the solution {solution!r} does not end in '####' and a whole number")
    return " ".join(steps.split()), int(number)


@dataclass(frozen=True)
class Equations(Source):
    """Records {"text"}: every "a + b = c" and so on of whole numbers from 0 to `largest`, as sentences in a row.

    + and - with both numbers, * and / by 2 and 3, where the result is whole and in the range. A record has those of
    one first number in one order; another `split` has the same.

    >>> Equations(3)[2]["text"]
    '2 + 0 = 2 ; 2 + 1 = 3 ; 2 - 0 = 2 ; 2 - 1 = 1 ; 2 - 2 = 0 ; 2 / 2 = 1'
    """

    largest: int
    split: str = "train"

    def __len__(self) -> int:
        return self.largest + 1

    def __getitem__(self, index: int) -> Record:
        a, found = range(len(self))[index], []
        for sign, numbers in (
            ("+", range(self.largest + 1)),
            ("-", range(self.largest + 1)),
            ("*", (2, 3)),
            ("/", (2, 3)),
        ):
            for b in numbers:
                whole = sign != "/" or a % b == 0
                if whole and 0 <= applied(a, sign, b) <= self.largest:
                    found.append(f"{a} {sign} {b} = {applied(a, sign, b)}")
        return {"text": " ; ".join(found)}

    def digest(self) -> str:
        return joint_digest(repr(self))

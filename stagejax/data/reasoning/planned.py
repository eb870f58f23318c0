"""Word problems that are answered by a plan and then its execution, or by execution alone, step by step."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import NAMES, Problems, Wording, applied
from stagejax.data.reasoning.retold import programs_of
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.vocabulary.words import Words

#: In every sentence a name, a verb and a number; what friends do has the same verbs, and changes nothing.
VERBS = Wording(
    "{name} has {n} .",
    (
        ("+", "{name} finds {n} ."),
        ("+", "{name} gets {n} ."),
        ("-", "{name} loses {n} ."),
        ("-", "{name} gives {n} ."),
        ("*", "{name} multiplies {n} ."),
        ("/", "{name} divides {n} ."),
    ),
    ("{friend} has {n} .", "{friend} finds {n} .", "{friend} loses {n} ."),
    "how many ?",
)
#: The same with other verbs, to test transfer.
OTHER_VERBS = Wording(
    "{name} holds {n} .",
    (
        ("+", "{name} wins {n} ."),
        ("+", "{name} buys {n} ."),
        ("-", "{name} drops {n} ."),
        ("-", "{name} eats {n} ."),
        ("*", "{name} repeats {n} ."),
        ("/", "{name} parts {n} ."),
    ),
    ("{friend} holds {n} .", "{friend} wins {n} .", "{friend} drops {n} ."),
    "how many ?",
)
#: What an operation is called in a plan.
SAID = {"+": "add", "-": "take", "*": "times", "/": "share"}
#: How numbers are named, in the order of the text.
LABELS = "abcdefgh"
#: How an answer is asked for, and what begins the execution of a plan.
STYLES, SO = ("plan", "solve"), "so"
_BACK = {"+": "-", "-": "+", "*": "/", "/": "*"}
_BEFORE = "how many before ?"
_STEP = r"[-+*/] \d+ = \d+"
#: Of a step, and of what ends an answer.
_FORMS = {
    "plan": (rf"({'|'.join(SAID.values())}) [{LABELS}]", rf"{SO} \d+( {_STEP})+"),
    "solve": (rf"(\d+ )?{_STEP}", rf"(\d+ )?{_STEP}"),
}


@dataclass(frozen=True)
class Equations(Derived):
    """Problems of a dataset whose equation is a chain of steps in the range of `problems`, told in the words of these.

    Programs, and how often each comes, are the dataset's; its own words are not kept.

    Args:
      source: records with an "equation" in infix form, such as SVAMP's.
      problems: wording, asides and range.

    Reference: Patel et al. 2021 (SVAMP), https://arxiv.org/abs/2103.07191.
    """

    problems: Problems = field(default_factory=lambda: Problems(largest=12, asides=1, wording=VERBS))

    @property
    def wording(self) -> Wording:
        return self.problems.wording

    def __len__(self) -> int:
        return len(programs_of(self.source, self.problems.largest))

    def __getitem__(self, index: int) -> Record:
        return self.problems.told(programs_of(self.source, self.problems.largest)[index], index)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.problems.digest())


@dataclass(frozen=True)
class Planned(Source):
    """`Problems` whose numbers are named, and answers to them in one of two styles.

    A plan is the list of operations with the names of their operands, without numbers; behind "so" it is executed.
    Without a plan the steps of the execution are the answer's steps. Steps end in ";". Records hold "asked", the
    question and the style that is asked for; "said", the answer in that style; "answer", an integer; and "program",
    "steps" and "question" of the problem.

    Args:
      problems: told in `VERBS` or `OTHER_VERBS`.
      style: "plan" or "solve".
      backward: what was in the end is given and what was at first is asked: the plan is the inverse operations in
        the reverse order, another kind of problem in the same vocabulary.

    Raises:
      ValueError: the style is another one.

    >>> problems = Problems(steps=(2,), largest=12, asides=1, wording=VERBS)
    >>> record = Planned(problems)[0]
    >>> record["asked"]
    'eve has a 9 . ann loses b 8 . eve loses c 9 . eve multiplies d 3 . how many ? plan'
    >>> record["said"], Planned(problems, "solve")[0]["said"], record["answer"]
    ('take c ; times d ; so 9 - 9 = 0 * 3 = 0', '9 - 9 = 0 ; * 3 = 0', 0)
    >>> record = Planned(problems, backward=True)[0]
    >>> record["asked"]
    'ann loses a 8 . eve loses b 9 . eve multiplies c 3 . eve has d 0 . how many before ? plan'
    >>> record["said"], record["answer"]
    ('share c ; add b ; so 0 / 3 = 0 + 9 = 9', 9)
    """

    problems: Problems | Equations
    style: str = "plan"
    backward: bool = False

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ValueError(f"style={self.style!r}: it must be one of {STYLES}")

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.problems.split

    def of_split(self, split: str) -> Source:
        return replace(self, problems=self.problems.of_split(split))

    def __len__(self) -> int:
        return len(self.problems)

    def __getitem__(self, index: int) -> Record:
        return planned(self.problems[index], self.problems.wording, self.style, self.backward)

    def digest(self) -> str:
        return joint_digest(self.problems.digest(), f"{self.style} {self.backward}")


def planned(problem: Record, wording: Wording, style: str, backward: bool) -> Record:
    """One problem of `Problems` as a record of `Planned`."""
    signs = {clause.split()[1]: sign for sign, clause in wording.clauses}
    first, *middle, _ = (part.strip().split() for part in problem["question"].split(" . "))
    name, has, number = first
    told, question, value = [first, *middle], wording.question, int(number)
    if backward:
        told, question, value = [*middle, [name, has, str(problem["answer"])]], _BEFORE, problem["answer"]
    labelled = [(who, verb, LABELS[at], int(n)) for at, (who, verb, n) in enumerate(told)]
    steps = [(signs[verb], label, n) for who, verb, label, n in labelled if who == name and verb in signs]
    if backward:
        steps = [(_BACK[sign], label, n) for sign, label, n in steps[::-1]]
    plan, chain, first = [f"{SAID[sign]} {label} ;" for sign, label, _ in steps], [], value
    for sign, _, n in steps:
        value = applied(value, sign, n)
        chain.append(f"{sign} {n} = {value}")
    said = " ".join([*plan, SO, str(first), *chain]) if style == "plan" else f"{first} {' ; '.join(chain)}"
    text = " ".join(f"{who} {verb} {label} {n} ." for who, verb, label, n in labelled)
    return problem | {"asked": f"{text} {question} {style}", "said": said, "answer": value}


@dataclass(frozen=True)
class Calculations(Source):
    """What the answers to several problems calculate, without their questions and plans: several in one text.

    Records hold "asked", the first of them, and "said", the others.

    Args:
      problems: whose programs are calculated.
      style: "plan" or "solve", as the answers have it.
      each: calculations in a record.

    >>> record = Calculations(Problems(steps=(2,), largest=12, wording=VERBS), each=2)[0]
    >>> record["asked"], record["said"]
    ('so 9 - 9 = 0 * 3 = 0 ;', 'so 6 / 2 = 3 - 1 = 2')
    """

    problems: Problems
    style: str = "plan"
    each: int = 3

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.problems.split

    def of_split(self, split: str) -> Source:
        return replace(self, problems=self.problems.of_split(split))

    def __len__(self) -> int:
        return len(self.problems) // self.each

    def __getitem__(self, index: int) -> Record:
        source = Planned(self.problems, self.style)
        said = [source[self.each * range(len(self))[index] + k]["said"] for k in range(self.each)]
        first, *others = (text[text.index(SO) :] if self.style == "plan" else text for text in said)
        return {"asked": f"{first} ;", "said": " ; ".join(others)}

    def digest(self) -> str:
        return joint_digest(self.problems.digest(), f"{self.style} {self.each}")


def vocabulary(largest: int, wordings: Iterable[Wording] = (VERBS, OTHER_VERBS)) -> Words:
    """One token a word of these problems and answers; the numbers 0, 1, ... stand in order.

    >>> code = vocabulary(12)
    >>> code.decode(code.encode(["ann has a 7 . ann loses b 2 . how many ? plan take b ; so 7 - 2 = 5"])[0][-6:])
    'so 7 - 2 = 5'
    """
    told = [s for w in wordings for s in (w.start, *(s for _, s in w.clauses), *w.asides, w.question)]
    words = {word for s in (*told, _BEFORE) for word in s.split() if not word.startswith("{")}
    words |= {*NAMES, *LABELS, *SAID.values(), *STYLES, SO, *";=+-*/"}
    return Words((*sorted(words), *map(str, range(largest + 1))))


@dataclass(frozen=True)
class Form:
    """Whether a step, or a last step that ends the answer, is of the form of a style.

    Args:
      words: by which tokens are read.
      style: "plan" or "solve".

    >>> code = vocabulary(12)
    >>> plan, solve = Form(code, "plan"), Form(code, "solve")
    >>> plan(code.encode(["add b"])[0], False), plan(code.encode(["so 7 + 5 = 12"])[0], True)
    (True, True)
    >>> plan(code.encode(["add add"])[0], False), plan(code.encode(["add b"])[0], True)
    (False, False)
    >>> solve(code.encode(["7 + 5 = 12"])[0], False), solve(code.encode(["- 3 = 9"])[0], True)
    (True, True)
    """

    words: Words
    style: str

    def __call__(self, tokens: np.ndarray, last: bool) -> bool:
        """Of tokens without the ";" or the end behind them."""
        return bool(re.fullmatch(_FORMS[self.style][last], self.words.decode(tokens)))


def executed(asked: str, plan: str) -> int | None:
    """What a plan comes to, if it is executed without a mistake; None where it cannot be.

    >>> asked = "ann has a 7 . ben finds b 4 . ann loses c 2 . how many ? plan"
    >>> executed(asked, "take c ;"), executed(asked, "share c ;"), executed(asked, "take ;")
    (5, None, None)
    """
    numbers = {label: int(n) for label, n in re.findall(r" ([a-h]) (\d+) \.", asked)}
    value = list(numbers.values())[-1 if _BEFORE in asked else 0]
    signs = {word: sign for sign, word in SAID.items()}
    for step in plan.split(";")[:-1]:
        sign, label = ([*step.split(), "", ""])[:2]
        if len(step.split()) != 2 or sign not in signs or label not in numbers:
            return None
        n = numbers[label]
        if signs[sign] == "/" and (n == 0 or value % n):
            return None
        value = applied(value, signs[sign], n)
    return value

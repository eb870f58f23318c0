"""Word problems with straight-line programs as solutions: from equations, from annotated solutions, and generated.

All have records {"question", "program", "numbers", "answer"}: in the question the numbers are named n0, n1, ... in
their order; the program reads these names and sets `answer`; "numbers" and "answer" are exact fractions.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass, field, replace
from fractions import Fraction

from stagejax.data.named import Dataset
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.straight_line import answer_of
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.vocabulary.words import Words

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_WORD = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
#: Words of programs; t0, t1, ... are the variables.
SYMBOLS = (";", "=", "+", "-", "*", "/", "answer", *(f"t{i}" for i in range(8)), *(f"n{i}" for i in range(8)))
CONSTANTS = ("1", "2", "3", "4", "5", "7", "10", "12", "24", "60", "100")  # that equations have beside given numbers


def chained(terms: list[tuple[str, str, str]]) -> str:
    """Operations in their order as a program: `terms` are (sign, operand, operand), "#k" the value of the k-th.

    >>> chained([("+", "n0", "n1"), ("*", "#0", "n2")])
    't0 = n0 + n1 ; answer = t0 * n2'
    """
    names = [f"t{k}" for k in range(len(terms) - 1)] + ["answer"]
    lines = [f"{name} = {a} {sign} {b}" for name, (sign, a, b) in zip(names, terms, strict=True)]
    return re.sub(r"#(\d+)", r"t\1", " ; ".join(lines))


def from_prefix(equation: str) -> str:
    """An equation in prefix notation over number0, number1, ... as a program, inner operations first.

    Raises:
      ValueError: it is none.

    >>> from_prefix("* - number0 number1 number2")
    't0 = n0 - n1 ; answer = t0 * n2'
    >>> from_prefix("number1")
    'answer = n1'
    """
    tokens, terms = equation.split()[::-1], []
    if not tokens:
        raise ValueError("an empty equation is no program")

    def value() -> str:
        if not tokens:
            raise ValueError(f"{equation!r} ends before an operand")
        token = tokens.pop()
        if token not in "+-*/":
            return token.replace("number", "n").removesuffix(".0")
        terms.append((token, value(), value()))
        return f"#{len(terms) - 1}"

    last = value()
    if tokens:
        raise ValueError(f"{equation!r} goes on behind its end")
    return chained(terms) if terms else f"answer = {last}"


@dataclass(frozen=True)
class Equations(Source):
    """The arithmetic word problems of MAWPS and ASDiv-A, with their equations as programs.

    Of ten questions two belong to the split "test" and one to "dev", by the hash of their text: what differs in numbers
    alone is never on two sides. Left out are questions with more than `longest` words or eight numbers, and equations
    with other constants than `CONSTANTS` or another answer than the dataset states.

    Args:
      source: records with "question_masked", "numbers", "equation" (in prefix notation), "answer".
      operations: how many an equation may have, at least and at most.
      longest: words of a question.

    Raises:
      ValueError: an unknown split.

    Reference: Koncel-Kedziorski et al. 2016 (MAWPS); Miao et al. 2020 (ASDiv); as gathered by Patel et al. 2021,
    https://arxiv.org/abs/2103.07191.

    >>> # Equations(operations=(2, 3))[0]["program"] == "t0 = n0 + n1 ; answer = t0 - n2"
    """

    source: Source = field(default_factory=lambda: Dataset("svamp"))
    split: str = "train"
    operations: tuple[int, int] = (1, 8)
    longest: int = 48

    def __post_init__(self) -> None:
        if self.split not in ("train", "dev", "test"):
            raise ValueError(f"split={self.split!r}: need 'train', 'dev' or 'test', parts of the same questions")

    def __len__(self) -> int:
        return len(_equations(self))

    def __getitem__(self, index: int) -> Record:
        return _equations(self)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), str((self.split, self.operations, self.longest)))


@functools.lru_cache(maxsize=16)
def _equations(own: Equations) -> tuple[Record, ...]:
    known = ((record, record["question"], record["program"]) for record in _all_equations(own.source))
    return tuple(
        record
        for record, question, program in known
        if _fits(own, question, program) and split_of(question) == own.split
    )


def _fits(own: Equations, question: str, program: str) -> bool:
    """Whether a problem has as many operations and as few words as are wanted."""
    operations = sum(program.count(f" {sign} ") for sign in "+-*/")
    return own.operations[0] <= operations <= own.operations[1] and len(question.split()) <= own.longest


@functools.lru_cache(maxsize=4)
def _all_equations(source: Source) -> tuple[Record, ...]:
    found = []
    for row in (source[index] for index in range(len(source))):
        question = " ".join(_WORD.findall(re.sub(r"number(\d)", r"n\1", row["question_masked"].lower())))
        numbers = tuple(Fraction(number).limit_denominator(10_000) for number in row["numbers"])  # 0.1666... is 1/6
        program = from_prefix(row["equation"])
        answer = answer_of(program, numbers)
        if answer is None or abs(float(answer) - row["answer"]) > 1e-2 or len(numbers) > 8:
            continue
        if set(re.findall(r"(?<= )[\d.]+", program)) <= set(CONSTANTS):
            found.append({"question": question, "program": program, "numbers": numbers, "answer": answer})
    return tuple(found)


def split_of(question: str) -> str:
    """The split of a question, by its hash.

    >>> split_of("how many ?")
    'train'
    """
    place = int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "big") % 10
    return "test" if place < 2 else "dev" if place == 2 else "train"


def masked(question: str) -> tuple[str, tuple[Fraction, ...]]:
    """A question with n0, n1, ... for its numbers, and these.

    >>> masked("Of 1,200 eggs, 2.5 dozen break.")
    ('Of n0 eggs, n1 dozen break.', (Fraction(1200, 1), Fraction(5, 2)))
    """
    numbers: list[Fraction] = []

    def name(found: re.Match[str]) -> str:
        numbers.append(Fraction(found[0].replace(",", "")))
        return f"n{len(numbers) - 1}" + ("," if found[0].endswith(",") else "")

    return _NUMBER.sub(name, question), tuple(numbers)


@dataclass(frozen=True)
class Challenge(Source):
    """SVAMP: problems that vary others, to be answered by a learner of `Equations`. Its programs are one expression.

    The answer of a record is what its equation comes to; the dataset states another one for a single problem.

    Args:
      like: the problems that the learner knows: how many operations and words its own may have.
      source: records with "question", "equation" (in infix notation over numbers).

    Reference: Patel et al. 2021, https://arxiv.org/abs/2103.07191.
    """

    like: Equations = Equations()
    source: Source = field(default_factory=lambda: Dataset("svamp", split="test"))

    @property
    def split(self) -> str:  # type: ignore[override]
        return "test"

    def of_split(self, split: str) -> Source:
        """Itself, or the problems that the learner knows: it has no others to learn from."""
        return self if split == "test" else self.like.of_split(split)

    def __len__(self) -> int:
        return len(_challenge(self))

    def __getitem__(self, index: int) -> Record:
        return _challenge(self)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.like.digest())


@functools.lru_cache(maxsize=4)
def _challenge(own: Challenge) -> tuple[Record, ...]:
    found = []
    for row in (own.source[index] for index in range(len(own.source))):
        question, numbers = masked(row["question"])
        question = " ".join(_WORD.findall(question.lower()))
        program = f"answer = {named(row['equation'], numbers)}"
        answer = answer_of(program, numbers)
        fits = _fits(own.like, question, program) and len(numbers) <= 8
        if answer is not None and fits:
            found.append({"question": question, "program": program, "numbers": numbers, "answer": answer})
    return tuple(found)


def named(expression: str, numbers: tuple[Fraction, ...], made: tuple[Fraction, ...] = ()) -> str:
    """An expression whose numbers are called t0, t1, ... where they are among those `made`, n0, n1, ... where given.

    >>> named("(8-3)*2.5", (Fraction(3), Fraction(5, 2)), (Fraction(8),))
    '(t0-n0)*n1'
    """

    def name(found: re.Match[str]) -> str:
        number = Fraction(found[0].replace(",", ""))
        for letter, those in (("t", made), ("n", numbers)):
            if number in those:
                return f"{letter}{those.index(number)}"
        return found[0].replace(",", "")

    return _NUMBER.sub(name, expression)


@dataclass(frozen=True)
class Annotated(Source):
    """GSM8K, its calculator annotations `<<48/2=24>>` as programs.

    A number of an annotation is the result of an earlier one where it equals one, a number of the question where it
    equals one, and itself otherwise. Left out are problems whose program does not give the stated answer.

    Args:
      source: records with a question and an annotated solution, whose last line is "#### answer" or "answer" its own
        field.
      fields: of question and solution.

    Reference: Cobbe et al. 2021, https://arxiv.org/abs/2110.14168.

    >>> annotated_program("48/2 = <<48/2=24>>24. So 48+24 = <<48+24=72>>72", (Fraction(48),))
    't0 = n0/2 ; answer = n0+t0'
    """

    source: Source = field(default_factory=lambda: Dataset("gsm8k"))
    fields: tuple[str, str] = ("question", "solution")

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.source.split

    def of_split(self, split: str) -> Source:
        return replace(self, source=self.source.of_split(split))

    def __len__(self) -> int:
        return len(_annotated(self))

    def __getitem__(self, index: int) -> Record:
        return _annotated(self)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), str(self.fields))


@functools.lru_cache(maxsize=4)
def _annotated(own: Annotated) -> tuple[Record, ...]:
    asked, solved = own.fields
    found = []
    for row in (own.source[index] for index in range(len(own.source))):
        solution, _, last = row[solved].partition("####")
        question, numbers = masked(row[asked])
        program = annotated_program(solution, numbers)
        answer = answer_of(program, numbers)
        stated = _NUMBER.search(last or str(row["answer"]))
        if stated and answer == Fraction(stated[0].replace(",", "")):
            found.append({"question": question, "program": program, "numbers": numbers, "answer": answer})
    return tuple(found)


def annotated_program(solution: str, numbers: tuple[Fraction, ...]) -> str:
    """The annotations of a solution as a program."""
    made: list[Fraction] = []
    lines = []
    for expression, result in re.findall(r"<<([^=<>]+)=([^<>]+)>>", solution):
        lines.append(named(expression.replace(" ", ""), numbers, tuple(made)))
        found = _NUMBER.fullmatch(result.strip().lstrip("-"))
        made.append(Fraction(result.strip().replace(",", "")) if found else Fraction(-1, 7))  # none is equal to that
    names = [f"t{k}" for k in range(len(lines) - 1)] + ["answer"]
    return " ; ".join(f"{name} = {line}" for name, line in zip(names, lines, strict=False))


@dataclass(frozen=True)
class ProgramChains(Derived):
    """`Problems` about one number that changes several times, with programs.

    Raises:
      ValueError: they have asides, whose numbers no program reads.

    >>> record = ProgramChains(Problems(steps=(2,)))[0]
    >>> record["question"]
    'finn has n0 apples . finn finds n1 more . finn gives n2 to cleo . how many does finn have ?'
    >>> record["program"], [int(n) for n in record["numbers"]], int(record["answer"])
    ('t0 = n0 + n1 ; answer = t0 - n2', [11, 15, 14], 12)
    """

    source: Problems

    def __post_init__(self) -> None:
        if self.source.asides:
            raise ValueError(f"asides={self.source.asides}: the numbers of asides have no place in a program")

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        question, numbers = masked(record["question"])
        signs = record["program"].split()[1::2]
        first = [("#" + str(k - 1) if k else "n0", f"n{k + 1}") for k in range(len(signs))]
        program = chained([(sign, a, b) for sign, (a, b) in zip(signs, first, strict=True)])
        return {"question": question, "program": program, "numbers": numbers, "answer": Fraction(record["answer"])}

    def digest(self) -> str:
        return self.source.digest()

    def tokenizer(self) -> Words:
        """One token a word and a symbol of programs."""
        words = self.source.tokenizer().words
        return Words((*SYMBOLS, *(word for word in words if word not in SYMBOLS and not word.isdigit())))

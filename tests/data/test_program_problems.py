"""Word problems as programs: a record's program gives its answer, numbers are named, splits share no question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from stagejax.data import Source
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.program_problems import (
    CONSTANTS,
    SYMBOLS,
    Annotated,
    Challenge,
    Equations,
    ProgramChains,
    annotated_program,
    from_prefix,
    split_of,
)
from stagejax.data.reasoning.solving import Solving, numbers_of
from stagejax.data.reasoning.straight_line import answer_of, traced
from stagejax.data.tokenizers import codec
from stagejax.data.vocabulary.common_words import CommonWords


@dataclass(frozen=True)
class Made(Source):
    """Records in memory."""

    rows: tuple[tuple[tuple[str, Any], ...], ...]
    split: str = "train"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return dict(self.rows[index])

    def digest(self) -> str:
        return str(hash(self.rows))


def made(*rows: dict[str, Any]) -> Made:
    return Made(tuple(tuple(row.items()) for row in rows))


def asked(name: str, equation: str, answer: float, numbers: tuple[float, ...] = (8.0, 2.5, 3.0)) -> dict[str, Any]:
    question = f"{name} has number0 figs , number1 more , and number2 ."
    return {"question_masked": question, "numbers": numbers, "equation": equation, "answer": answer}


NAMES = tuple(f"name{a}{b}" for a in "abcdef" for b in "uvwxyz")
ROWS = made(
    *(asked(name, "- + number0 number1 number2", 7.5) for name in NAMES),
    asked("wrong", "+ number0 number1", 99.0),
    asked("odd", "* number0 17.0", 136.0),
    asked("plain", "* number0 100.0", 800.0),
)


@pytest.mark.parametrize(
    ("prefix", "program"),
    [
        ("+ number0 number1", "answer = n0 + n1"),
        ("- * number2 + number0 number1 7.0", "t0 = n0 + n1 ; t1 = n2 * t0 ; answer = t1 - 7"),
        ("/ - number0 number1 - number1 number2", "t0 = n0 - n1 ; t1 = n1 - n2 ; answer = t0 / t1"),
    ],
)
def test_prefix_equations(prefix: str, program: str) -> None:
    assert from_prefix(prefix) == program


@pytest.mark.parametrize("prefix", ["", "+ number0", "+ number0 number1 number2"])
def test_what_is_no_equation_is_an_error(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"no program|ends before|goes on"):
        from_prefix(prefix)


def test_equations_keep_what_gives_the_stated_answer() -> None:
    splits = {name: Equations(ROWS, split=name) for name in ("train", "dev", "test")}
    questions = {name: {record["question"] for record in own} for name, own in splits.items()}
    assert sum(map(len, splits.values())) == len(NAMES) + 1  # without `wrong` and `odd`
    assert all(questions.values())
    assert not questions["train"] & (questions["dev"] | questions["test"])
    for name, own in splits.items():
        for record in own:
            assert record["answer"] == answer_of(record["program"], record["numbers"])
            assert split_of(record["question"]) == name
    with pytest.raises(ValueError, match="split='all'"):
        Equations(ROWS, split="all")


def test_equations_by_operations_words_and_length() -> None:
    own = Equations(ROWS)
    assert {record["program"] for record in replace(own, operations=(1, 1))} <= {"answer = n0 * 100"}
    assert len(replace(own, longest=5)) == 0
    tokenizer = CommonWords(5, (*SYMBOLS, *CONSTANTS))
    code = codec(tokenizer, own, "question")
    told = code.decode(code.encode([f"{own[0]['question']} {own[0]['program']}"])[0])
    assert told.endswith(own[0]["program"])
    assert told.startswith("<rare> has n0 figs , n1")
    assert codec(tokenizer, replace(own, split="test"), "question").digest() == code.digest()
    for declared in (("a", "a"), ("a", "<rare>")):
        with pytest.raises(ValueError, match="each word once"):
            CommonWords(5, declared)


def test_challenge_names_numbers_and_keeps_operations() -> None:
    rows = made(
        {"question": "Ann's bag has 8 figs, 3 more and 2.", "equation": "( ( 8.0 - 3.0 ) * 2.0 )", "answer": 10.0},
        {"question": "Ann has 8 figs and 3.", "equation": "( 8.0 - 3.0 )", "answer": 5.0},
    )
    own = Challenge(Equations(ROWS, operations=(2, 3)), rows)
    (record,) = (own[i] for i in range(len(own)))
    assert record["question"] == "ann ' s bag has n0 figs , n1 more and n2 ."
    assert (record["program"], record["answer"]) == ("answer = ( ( n0 - n1 ) * n2 )", 10)
    assert own.of_split("test") is own
    with pytest.raises(ValueError, match="raise prompt=4"):  # read with a tokenizer, and too long
        Solving(source=own, tokenizer=CommonWords(5), batch=1, prompt=4, program=13).take(np.arange(1))
    assert own.of_split("train") == own.like


def test_annotations_become_programs() -> None:
    solution = "He has 10/4 = <<10/4=2.5>>2.5. Then 2.5*8 = $<<2.5*8=20>>20. So <<20-1,000=-980>>."
    program = annotated_program(solution, (Fraction(8), Fraction(10)))
    assert program == "t0 = n1/4 ; t1 = t0*n0 ; answer = t1-1000"
    question = "Of 8 boxes with 10 figs each, 4 are bad."
    good = {"question": question, "solution": "<<8-4=4>> <<4*10=40>>", "answer": "40"}
    (record,) = Annotated(made(good, good | {"answer": "41"}))
    assert record["program"] == "t0 = n0-n2 ; answer = t0*n1"
    stated = Annotated(made({"question": question, "answer": "<<8-4=4>>\n#### 4"}), ("question", "answer"))
    assert stated[0]["question"] == "Of n0 boxes with n1 figs each, n2 are bad."
    assert stated[0]["answer"] == 4


def test_chains_are_right_and_have_no_asides() -> None:
    own = ProgramChains(Problems(size=40, steps=(1, 2, 3)))
    for record in own:
        steps = traced(record["program"], record["numbers"])
        assert steps[-1].value == record["answer"]
        assert [step.answers for step in steps] == [False] * (len(steps) - 1) + [True]
    with pytest.raises(ValueError, match="asides=1"):
        ProgramChains(Problems(asides=1))


def test_solving_gives_numbers_and_references() -> None:
    own = ProgramChains(Problems(size=12, steps=(2,)))
    data = Solving(source=own, tokenizer=own.tokenizer(), batch=4, prompt=32, program=14)
    batch = data.take(np.arange(12))
    assert {name: leaf.shape[1:] for name, leaf in batch.items()} == {
        name: leaf.shape for name, leaf in data.sample_spec().items()
    }
    assert sorted(batch["record"].tolist()) == list(range(12))
    for row, index in enumerate(batch["record"].tolist()):
        assert own.tokenizer().decode(batch["tokens"][row]) == own[index]["question"]
        assert own.tokenizer().decode(batch["reference"][row]) == own[index]["program"]
        assert numbers_of(batch["numbers"][row]) == own[index]["numbers"]
    with pytest.raises(ValueError, match="raise prompt=8"):
        replace(data, prompt=8).take(np.arange(4))
    huge = replace(ROWS, rows=made(asked("big", "+ number0 number1", 3e10, (2e10, 1e10, 1.0))).rows)
    tokens = Equations(huge, split=split_of("big has n0 figs , n1 more , and n2 ."))
    with pytest.raises(ValueError, match="32 bits"):
        Solving(source=tokens, tokenizer=CommonWords(20), batch=1, prompt=64, program=32).take(np.arange(1))

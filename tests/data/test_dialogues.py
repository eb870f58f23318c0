"""Dialogues: thoughts are right arithmetic, later turns do not hear them, and no turn of the tests is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning import dialogues
from stagejax.data.reasoning.dialogues import SLOT, Beside, Dialogues, Slotted
from stagejax.data.reasoning.problems import checked_steps, held_out
from stagejax.data.reasoning.retold import Retold
from stagejax.data.sources import Source

turns = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple), min_size=1, max_size=3).map(tuple)


def program(thought: str) -> str:
    """The start and operations of a thought."""
    steps = [step.split() for step in thought.split(" ;") if step]
    return " ".join([steps[0][0], *(f"{sign} {n}" for _, sign, n, _, _ in steps)])


@settings(max_examples=15, deadline=None)
@given(steps=turns, largest=st.integers(8, 30), seed=st.integers(0, 99), split=st.sampled_from(["train", "test"]))
def test_every_turn_is_thought_and_answered_right(
    steps: tuple[tuple[int, ...], ...], largest: int, seed: int, split: str
) -> None:
    source, last = Dialogues(split, 4, steps, largest, seed=seed), 0
    for index in range(len(source)):
        record, turn = source[index], index % len(steps)
        assert all(checked_steps(record["thought"]))
        assert record["thought"].count("=") == record["steps"]
        assert record["steps"] in steps[turn]
        assert record["content"] == f"ans {record['answer']}"
        assert int(record["thought"].split()[-2]) == record["answer"]
        assert int(record["thought"].split()[4]) == record["middle"]
        assert 0 <= record["answer"] <= largest
        assert held_out(program(record["thought"])) == (split == "test")
        # What is asked holds the answers of the turns before, and no thought.
        assert "=" not in record["prefix"]
        assert record["prefix"].count("ans") == turn == record["turn"] - 1
        if turn:
            assert record["prefix"].startswith(f"{source[index - 1]['prefix']} ans {last} .")
            assert record["thought"].split()[0] == str(last)
        # One value is false, and what follows goes on from it; in range as all others are.
        right = checked_steps(record["wrong"])
        assert right.count(False) == 1
        assert program(record["wrong"]).split()[1:] == program(record["thought"]).split()[1:]
        assert all(0 <= int(word) <= largest for word in record["wrong"].split() if word.isdigit())
        last = record["answer"]


@pytest.mark.slow
def test_no_test_program_is_a_training_program() -> None:
    told = {split: Dialogues(split, 100) for split in ("train", "test")}
    train, test = ({program(own[i]["thought"]) for i in range(len(own))} for own in told.values())
    assert not train & test
    assert len(test) > 50


def test_what_cannot_be_told_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for fields in ({"split": "dev"}, {"steps": ()}, {"steps": ((),)}, {"steps": ((0,),)}, {"largest": 3}):
        with pytest.raises(ValueError, match=r"steps|split"):
            Dialogues(**fields)
    with pytest.raises(IndexError):
        Dialogues(size=2)[4]
    monkeypatch.setattr(dialogues, "_ATTEMPTS", 1)
    with pytest.raises(ValueError, match="no program found"):
        Dialogues(size=2, steps=((9,),), largest=6)[0]


def test_slots_stand_behind_prefixes_and_behind_thoughts() -> None:
    told = Dialogues(size=3)
    plain, two = Slotted(told, 0)[1], Slotted(told, 2)[1]
    assert plain["asked"] == told[1]["prefix"]
    assert two["asked"] == f"{told[1]['prefix']} {SLOT} {SLOT}"
    assert two["explicit"] == f"{told[1]['thought']} {told[1]['content']}"
    assert two["visible"] == told[1]["content"]
    assert two["wrong in slot"] == f"{told[1]['wrong']} {SLOT} {SLOT}"


def test_texts_beside_are_those_of_the_same_records() -> None:
    source = Slotted(Dialogues(size=5), 1)
    code = source.source.tokenizer()
    rows = Answers(source=source, tokenizer=code, batch=5, length=60, fields=("asked", "thought"), seed=4)
    data = Beside(data=rows, texts=(("thought", "thought in slot"), ("wrong", "wrong in slot")), length=30)
    batch = data.take(np.arange(20))
    assert {name: leaf.shape[1:] for name, leaf in data.spec().items()} == {n: x.shape[1:] for n, x in batch.items()}
    assert data.tokens == 5 * (60 + 2 * 30)
    for row in range(20):
        said = code.decode(batch["tokens"][row])
        _, _, thought = said.partition(f" {SLOT} ")
        assert code.decode(batch["thought"][row]) == f"{thought} {SLOT}"
        wrong = code.decode(batch["wrong"][row])
        assert wrong != code.decode(batch["thought"][row])
        assert program(wrong.removesuffix(f" {SLOT}")).split()[1:] == program(thought).split()[1:]
        weights, targets = batch["weights"][row], batch["targets"][row]
        assert code.decode(targets[weights > 0]) == thought


@dataclass(frozen=True)
class Equations(Source):
    split: str = "test"
    equations: tuple[str, ...] = (
        "( 8.0 - 3.0 )",
        "( 76.0 - 25.0 )",
        "( ( 2.0 * 3.0 ) + 1.0 )",
        "( 2.0 + ( 1.0 * 3.0 ) )",
    )

    def __len__(self) -> int:
        return len(self.equations)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return {"equation": self.equations[index]}

    def digest(self) -> str:
        return str(self.equations)


def test_equations_are_retold_where_they_are_chains_in_range() -> None:
    source = Retold(Equations(), Dialogues(largest=12))
    assert [source[i]["thought"] for i in range(len(source))] == ["8 - 3 = 5 ;", "2 * 3 = 6 ; 6 + 1 = 7 ;"]
    assert [source[i]["answer"] for i in range(len(source))] == [5, 7]
    assert source[0]["prefix"].count("8") == 1
    assert source.of_split("train").split == "train"

"""Requests for tools: splits share no tool, gold calls are those of the prompt, and grades are those of the pieces."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from stagejax.data.prompts.graded_calls import GradedCalls, graded, judging_prompt, pieces
from stagejax.data.prompts.tool_calls import ASKS, GRADES, KINDS, LEVELS, NONE, SPLITS, ToolCalls, names_of, tool_words
from stagejax.data.prompts.tool_prompts import GoldPrompts
from stagejax.data.tokenizers import SEP

#: A tool as a prompt shows it.
SHOWN = re.compile(r"(\w+ \w+) \( ([\w ,]+) \) : \w+ \w+")
CALL = re.compile(r"(\w+ \w+) \( ([\w =,]+) \)")


def shown(record: dict) -> dict[str, list[str]]:
    docs = record["question"].partition(" user ")[0]
    return {name: names.split(" , ") for name, names in SHOWN.findall(docs)}


def called(record: dict) -> list[tuple[str, list[str]]]:
    found = CALL.findall(record["solution"])
    return [(name, [pair.split(" = ")[0] for pair in pairs.split(" , ")]) for name, pairs in found]


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_gold_calls_are_of_tools_that_the_prompt_shows_with_all_their_parameters(level: int) -> None:
    for record in (ToolCalls(level=level)[i] for i in range(20)):
        tools, calls = shown(record), called(record)
        assert len(tools) == LEVELS[level].tools
        assert record["calls"] == (record["ask"] != "none")
        assert len(calls) == {"none": 0, "parallel": 2, "multiple": 2}.get(record["ask"], 1)
        assert len({name for name, _ in calls}) == {"none": 0, "multiple": 2}.get(record["ask"], 1)
        for name, parameters in calls:
            assert tools[name] == parameters
        if record["ask"] == "none":
            assert record["solution"] == NONE


def test_the_values_are_those_of_the_request_or_the_next_ones() -> None:
    for ask in ("single", "parallel", "multiple"):
        for record in (ToolCalls(ask=ask)[i] for i in range(12)):
            request = record["question"].partition(" user ")[2].split()
            assert all(value in request for value in re.findall(r"= (\w+)", record["solution"]))
    for record in (ToolCalls(ask="values")[i] for i in range(12)):
        request = record["question"].partition(" user ")[2]
        said = re.search(r"the day after (\w+)|for (\w+) plus me", request)
        assert said
        kind = KINDS[1 if said[1] else 2].values
        meant = kind[(kind.index(said[1] or said[2]) + 1) % len(kind)]
        assert f"= {meant} " in record["solution"]
        assert said[2] != "9"


def test_tools_of_other_splits_are_never_needed_and_training_shows_none_of_them() -> None:
    names = [{" ".join(name) for name in names_of(split)} for split in SPLITS]
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    for split, own in zip(SPLITS, names, strict=True):
        for record in (ToolCalls(split)[i] for i in range(20)):
            assert {name for name, _ in called(record)} <= own
            assert set(shown(record)) <= own | names[0]
    with pytest.raises(ValueError, match="is unknown"):
        names_of("validation")


def test_records_differ_by_seed_split_and_ask_and_are_the_same_again() -> None:
    first = [ToolCalls()[i]["question"] for i in range(8)]
    assert first == [ToolCalls(size=8)[i]["question"] for i in range(8)]
    for other in (ToolCalls(seed=1), ToolCalls("test"), ToolCalls(level=1), ToolCalls(ask="single")):
        assert not set(first) & {other[i]["question"] for i in range(8)}
    for fields in ({"split": "x"}, {"level": 3}, {"ask": "x"}):
        with pytest.raises(ValueError, match="choose"):
            ToolCalls(**fields)
    with pytest.raises(IndexError):
        ToolCalls(size=3)[3]


def test_gold_responses_stand_beside_their_prompts() -> None:
    code, source = tool_words(), ToolCalls(size=12)
    data = GoldPrompts(source=source, tokenizer=code, batch=4, length=53, limit=27, beside=("number",))
    batch, columns = data.take(np.arange(4)), data.columns()
    assert {name: leaf.shape for name, leaf in batch.items()} == {
        name: (4, *leaf.shape) for name, leaf in data.sample_spec().items()
    }
    for row, number in zip(batch["gold"], batch["number"], strict=True):
        assert code.decode(row) == source[int(number)]["solution"]
        assert row[row > 0][-1] == SEP
        np.testing.assert_array_equal(columns["gold"][number], row)
    with pytest.raises(ValueError, match="raise limit"):
        GoldPrompts(source=source, tokenizer=code, batch=4, length=53, limit=9).take(np.arange(4))


def test_all_texts_fit_into_the_vocabulary_and_the_sizes_of_the_experiment() -> None:
    code = tool_words()
    for level in range(len(LEVELS)):
        for record in (ToolCalls(level=level)[i] for i in range(40)):
            question, solution = code.encode([record["question"], record["solution"]])
            assert len(question) < 53
            assert len(solution) < 27
        for record in (GradedCalls(ToolCalls(level=level, size=12))[i] for i in range(12)):
            assert len(code.encode([record["question"]])[0]) < 78


def test_pieces_hold_all_words_and_end_behind_separators() -> None:
    for ask in ASKS:
        text = ToolCalls(ask=ask)[0]["solution"]
        own = pieces(text)
        assert " ".join(own) == text
        assert all(piece.split()[-1] in ".,=(" for piece in own[:-1])
        assert not any(word in ".,=(" for piece in own for word in piece.split()[:-1])
    assert pieces("[ find") == ["[ find"]


def test_grades_fall_with_wrong_pieces_and_beginnings_are_not_held_against_the_rest() -> None:
    gold = "[ find film ( city = rome , day = friday ) , rate car ( user = eve ) ]"
    for k in range(1, len(gold.split()) + 1):
        begun = " ".join(gold.split()[:k])
        assert graded(begun, gold) == 0
    assert graded(gold.replace("rome", "oslo"), gold) == 1
    assert graded(gold.replace("rome", "oslo").replace("day", "when"), gold) == 2
    assert graded("[ find film ( city = rome , day = friday ) ]", gold) == 2
    assert graded(NONE, gold) == 3
    assert graded(gold, NONE) == 3
    assert graded("no tool fits .", NONE) == 0


def test_examples_of_judging_have_the_grades_of_the_program_and_all_of_them() -> None:
    examples = GradedCalls(ToolCalls(size=40), seed=3)
    counted: Counter = Counter()
    for record in (examples[i] for i in range(40)):
        gold, _, said = record["question"].removeprefix("right ").removesuffix(" grade").partition(" said ")
        assert record["solution"] == GRADES[graded(said, gold)]
        assert record["question"] == judging_prompt(said, gold)
        counted[record["solution"]] += 1
    assert min(counted[grade] for grade in GRADES) >= 3
    others = GradedCalls(ToolCalls(size=40), seed=4)
    assert [others[i] for i in range(4)] != [examples[i] for i in range(4)]

"""Generated word problems: the verifier solves what was made, splits share no program, solutions are right."""

from dataclasses import replace

import pytest

from stagejax.data.reasoning.problems import (
    PLAIN,
    UNSEEN,
    Problems,
    RightAnswer,
    answer_of,
    applied,
    checked_steps,
    held_out,
    solve,
    vocabulary,
)


@pytest.mark.parametrize("wording", [PLAIN, UNSEEN])
@pytest.mark.parametrize("asides", [0, 2])
def test_reading_a_problem_gives_the_answer_of_its_program(wording, asides) -> None:
    source, right = Problems(size=120, wording=wording, asides=asides, steps=(1, 4)), RightAnswer(steps=True)
    for index in range(120):
        record = source[index]
        assert solve(record["question"]) == record["answer"]
        first, *rest = record["program"].split()
        value = int(first)
        for sign, n in zip(rest[::2], rest[1::2], strict=True):
            assert sign != "/" or value % int(n) == 0
            value = applied(value, sign, int(n))
            assert 0 <= value <= 30
        assert value == record["answer"] == answer_of(record["solution"])
        assert checked_steps(record["solution"]) == [True] * record["steps"]
        assert record["steps"] in (1, 4)
        assert record["question"].count(" . ") == record["steps"] + asides + 1
        assert right(record["question"], record["solution"]) == 1.0
        assert right(record["question"], record["solution"].rpartition("ans")[0] + "ans 31") == 0.0


@pytest.mark.slow
def test_splits_share_no_program_and_seeds_differ() -> None:
    train = [Problems(size=300)[i] for i in range(300)]
    test = [Problems("test", size=300, seed=7)[i] for i in range(300)]
    programs = [{record["program"] for record in part} for part in (train, test)]
    assert not programs[0] & programs[1]
    assert not any(map(held_out, programs[0]))
    assert all(map(held_out, programs[1]))
    assert len(programs[0]) > 270
    assert {record["steps"] for record in train} == {2, 3, 4, 5}
    assert Problems(size=300)[5] == train[5]
    assert replace(Problems(), seed=1)[5] != train[5]
    assert {sign for record in train for sign in record["program"] if sign in "+-*/"} == set("+-*/")


def test_the_halves_of_the_test_split_share_no_program_and_are_alike() -> None:
    """Of small problems too, of which few have one step."""
    halves = [[Problems(f"test/{k}", 300, (1, 2), 12)[i] for i in range(300)] for k in (0, 1)]
    programs = [{record["program"] for record in half} for half in halves]
    assert not programs[0] & programs[1]
    assert all(map(held_out, programs[0] | programs[1]))
    one_step = [sum(record["steps"] == 1 for record in half) for half in halves]
    assert abs(one_step[0] - one_step[1]) < 45  # three standard errors
    assert all({program.split()[1] for program in own if len(program.split()) == 3} == set("+-*/") for own in programs)


def test_every_word_has_a_token() -> None:
    for wording in (PLAIN, UNSEEN):
        source = Problems(size=60, wording=wording, asides=1)
        code = source.tokenizer()
        for record in (source[i] for i in range(60)):
            for text in (record["question"], record["solution"]):
                assert code.decode(code.encode([text])[0]) == text
    assert len(vocabulary(30)) == source.tokenizer().vocab - 4 < 120


def test_answers_and_steps_are_read_strictly() -> None:
    assert answer_of("ans 3 ; ans 4") == 4
    assert answer_of("ans") is None
    assert answer_of("ans 3 + 1") is None
    assert answer_of("ans -3") == -3
    assert checked_steps("1 2 + 3 = 1 5 ; 7 / 2 = 3 ; 7 / 0 = 7 ; + 3 = 3 ; ans 3") == [True, False, False, False]
    assert solve("is this a problem ?") is None
    assert solve("ann has 3 apples . ann flies 2 . how many does ann have ?") is None
    assert (
        RightAnswer(steps=True)("ann has 7 apples . ann loses 2 . how many does ann have ?", "7 - 1 = 5 ; ans 5") == 0
    )


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="'dev'"):
        Problems("dev")
    with pytest.raises(IndexError, match="record 4 of 4"):
        Problems(size=4)[4]

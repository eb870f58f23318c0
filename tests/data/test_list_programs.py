"""Programs over lists and words: what runs, what passes hidden cases, and what the questions ask for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.data.reasoning.list_programs import LIST, VERBS, WORD, ListPrograms, NoProgram, kind_of, passes, run
from stagejax.data.reasoning.problems import held_out

lists = st.lists(st.integers(0, 20), max_size=8).map(tuple)
words = st.text("abcdeiou", max_size=8)


@given(lists)
def test_verbs_of_lists_are_those_of_python(x: tuple[int, ...]) -> None:
    expected = {
        "sort": tuple(sorted(x)),
        "reverse": tuple(reversed(x)),
        "add 3": tuple(v + 3 for v in x),
        "times 2": tuple(2 * v for v in x),
        "even": tuple(filter(lambda v: v % 2 == 0, x)),
        "odd": tuple(filter(lambda v: v % 2 == 1, x)),
        "above 4": tuple(filter(lambda v: v > 4, x)),
        "first 2": x[:2],
        "skip 2": x[2:],
        "unique": tuple(dict.fromkeys(x)),
        "sum": sum(x),
        "largest": max(x, default=0),
        "smallest": min(x, default=0),
        "count": len(x),
    }
    assert {program.split()[0] for program in expected} == {name for name, v in VERBS.items() if v.takes == LIST}
    assert {program: run(program, x) for program in expected} == expected
    assert passes("sort ; reverse ; sort", ((x, tuple(sorted(x))),))


@given(words)
def test_verbs_of_words_are_those_of_python(x: str) -> None:
    expected = {
        "mirror": x[::-1],
        "upper": x.upper(),
        "twice": 2 * x,
        "head 2": x[:2],
        "tail 1": x[1:],
        "novowels": re.sub("[aeiou]", "", x),
        "length": len(x),
        "vowels": len(re.sub("[^aeiou]", "", x)),
    }
    assert {program.split()[0] for program in expected} == {name for name, v in VERBS.items() if v.takes == WORD}
    assert {program: run(program, x) for program in expected} == expected
    assert run("upper ; vowels", x) == run("vowels", x)


@pytest.mark.parametrize(
    "program",
    ["", "ans 12", "sort ;", "sort 3", "add", "add x", "add 1 2", "add -1", "add ²", "sum ; sort", "mirror", "good"],
)
def test_what_is_no_program_of_lists_passes_nothing(program: str) -> None:
    with pytest.raises(NoProgram):
        run(program, (3, 1))
    assert not passes(program, (((3, 1), (3, 1)),))


def test_a_program_of_too_many_statements_does_not_run() -> None:
    with pytest.raises(NoProgram, match="more than 8"):
        run(" ; ".join(["twice"] * 9), "a")


def test_references_pass_three_cases_and_need_every_statement() -> None:
    source = ListPrograms(size=150)
    records = [source[i] for i in range(150)]
    for record in records:
        verbs = record["solution"].split(" ; ")
        assert passes(record["solution"], record["cases"])
        assert len(record["cases"]) == 3
        assert not any(passes(" ; ".join(verbs[:i] + verbs[i + 1 :]), record["cases"]) for i in range(len(verbs)))
        assert {kind_of(given) for given, _ in record["cases"]} == {record["kind"]}
        assert not any(str(wanted) in record["question"] for _, wanted in record["cases"] if kind_of(wanted) == LIST)
    assert {len(record["solution"].split(" ; ")) for record in records} == {2, 3}
    assert {record["kind"] for record in records} == {LIST, WORD}
    assert {record["solution"].split()[0] for record in records} > {"sort", "reverse", "mirror"}


def test_questions_say_all_statements_in_one_order_or_the_other() -> None:
    source = ListPrograms(size=80)
    orders = set()
    for record in (source[i] for i in range(80)):
        backwards = " , after you " in record["question"]
        said = record["question"].partition(" : ")[2].split(" , after you " if backwards else " , then ")
        verbs = record["solution"].split(" ; ")
        for words, statement in zip(said[::-1] if backwards else said, verbs, strict=True):
            verb, _, n = statement.partition(" ")
            assert words in [own.format(n=n) for own in VERBS[verb].asked]
        orders.add(backwards)
    assert orders == {False, True}


def test_no_way_of_asking_stands_for_two_statements() -> None:
    asked = [words for verb in VERBS.values() for words in verb.asked]
    assert len(set(asked)) == len(asked)
    assert all(("{n}" in words) == (verb.number is not None) for verb in VERBS.values() for words in verb.asked)


def test_splits_share_no_program_and_seeds_differ() -> None:
    train = [ListPrograms(size=200)[i]["solution"] for i in range(200)]
    test = [ListPrograms("test", size=200)[i]["solution"] for i in range(200)]
    assert not any(map(held_out, train))
    assert all(map(held_out, test))
    assert ListPrograms()[5] == replace(ListPrograms(), size=9)[5] != replace(ListPrograms(), seed=1)[5]
    with pytest.raises(ValueError, match="need split"):
        ListPrograms("dev")
    with pytest.raises(IndexError):
        ListPrograms(size=3)[3]


def test_a_record_is_the_readers_own() -> None:
    source = ListPrograms(size=2)
    changed = source[0]
    changed["solution"] = "sort"
    assert source[0] == ListPrograms(size=9)[0] != changed

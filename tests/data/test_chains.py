"""Chains with reasons: solved by reading them, rationales that lead to the label, splits without a common chain."""

from __future__ import annotations

import pytest

from stagejax.data.reasoning.chains import Chains


def solved(question: str) -> list[tuple[str, str]]:
    """The variables from the root to the one that is asked for, with their values."""
    *clauses, asked = question.split(" , ")
    name = asked.removeprefix("? ")
    told = {words[0]: (words[2], words[3]) for words in (clause.split() for clause in clauses)}
    found: list[tuple[str, str]] = []

    def value(of: str) -> str:
        sign, whence = told[of]
        own = whence if whence in "01" else value(whence)
        found.append((of, own if sign == "val" else str(1 - int(own))))
        return found[-1][1]

    value(name)
    return found


def test_rationales_are_the_way_from_the_root_to_the_label() -> None:
    for record in (Chains(size=60)[i] for i in range(60)):
        way = solved(record["question"])
        assert record["rationale"] == " , ".join(f"{name} {value}" for name, value in way)
        assert record["label"] == way[-1][1]
        assert record["steps"] == len(way) >= 2


def test_all_lengths_labels_and_words_come_up() -> None:
    source = Chains(size=200)
    records = [source[i] for i in range(200)]
    assert {record["question"].count(",") for record in records} == {4, 5, 6}
    assert 70 < sum(record["label"] == "1" for record in records) < 130
    code = source.tokenizer()
    assert all(code.decode(ids) == r["question"] for r in records for ids in code.encode([r["question"]]))
    assert [source[i] for i in range(5)] == records[:5]  # a record does not depend on those before it


def test_splits_share_no_chain() -> None:
    def chains(split: str) -> set[tuple[str, ...]]:
        source = Chains(split, size=400, clauses=(2,))
        return {tuple(sorted(source[i]["question"].split(" , ")[:-1])) for i in range(400)}

    assert not chains("train") & chains("test")


@pytest.mark.parametrize(
    "wrong", [{"split": "dev"}, {"clauses": (1,)}, {"clauses": ()}, {"clauses": (27,)}, {"letters": 5}]
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="2 to `letters` clauses"):
        Chains(**wrong)  # type: ignore[arg-type]


def test_variables_are_named_by_the_first_letters() -> None:
    source = Chains(clauses=(3,), letters=3, size=50)
    named = [{word for word in source[i]["question"].split() if word.isalpha() and len(word) == 1} for i in range(50)]
    assert all(own == {"a", "b", "c"} for own in named)

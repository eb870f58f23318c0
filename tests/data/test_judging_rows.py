"""Pairs to be judged: the critic's verdicts, fillers that tell nothing, the teacher's filter, rows in both orders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stagejax.data.prompts.judging import FILLERS, KINDS, OWN, critique, filled, judging_tokenizer, verdict
from stagejax.data.prompts.judging_rows import JudgeRows, Teacher, answers_in_pairs, longer, pairs_to_judge, taught
from stagejax.data.reasoning.problems import Problems, answer_of
from stagejax.data.reasoning.written import BRIEF
from stagejax.data.tokenizers import SEP

ROWS = JudgeRows(judging_tokenizer(12), prompt=64, limit=34, words=14, steps=2, largest=12)
PROBLEMS = Problems(size=400, steps=(1, 2), largest=12, wording=BRIEF)


def drawn(text: str) -> Any:
    """Every second problem has one answer of a model, which is wrong."""
    tokens = np.append(ROWS.code.encode([text])[0], SEP)
    n = len(PROBLEMS) // 2
    return SimpleNamespace(value={
        "prompt": 2 * np.arange(n), "tokens": np.tile(tokens, (n, 1)), "starts": np.zeros(n, int),
        "ends": np.full(n, len(tokens)), "right": np.zeros(n),
    })  # fmt: skip


@pytest.fixture(scope="module")
def pairs() -> Any:
    return SimpleNamespace(value=pairs_to_judge(ROWS, PROBLEMS, drawn("ans 0"), 0))


@pytest.mark.slow
def test_pairs_have_a_right_and_a_wrong_answer_of_every_kind(pairs: Any) -> None:
    assert len(pairs.value) == len(PROBLEMS)
    for pair in pairs.value:
        assert answer_of(pair["right"].replace(" so", "")) == answer_of(pair["solution"])
        if pair["kind"] == OWN:
            assert [word for word in pair["wrong"].split() if word not in FILLERS] == ["ans", "0"]
    counts = [sum(pair["kind"] == kind for pair in pairs.value) for kind in KINDS]
    assert min(counts[:4]) > 60
    assert 40 <= counts[4] <= 45  # of 80 whose turn it is every second one has one of the model; a few stand in


def test_length_does_not_tell_which_answer_is_right(pairs: Any) -> None:
    gaps = np.array([longer(pair) for pair in pairs.value if pair["kind"] != OWN])
    assert abs(gaps.mean()) < 3 * gaps.std() / len(gaps) ** 0.5
    assert (gaps > 0).mean() > 0.25
    assert (gaps < 0).mean() > 0.25
    assert filled("ans 5", 1, np.random.default_rng(0)) is None


def test_a_critic_that_misses_nothing_is_right_in_both_orders(pairs: Any) -> None:
    for pair in pairs.value:
        for order, both in enumerate([(pair["right"], pair["wrong"]), (pair["wrong"], pair["right"])]):
            assert verdict(critique(pair["solution"], both)) == order
    assert verdict("no tag") is None


def test_the_filter_admits_what_is_right_in_both_orders_and_of_similar_length(pairs: Any) -> None:
    free, strict = Teacher(0.5, None, False), Teacher(0.5, 2, True)
    kept = 0
    for number, pair in enumerate(pairs.value):
        both = free.critiques(pair, number)
        assert not isinstance(both, str)
        right = [verdict(said) for said in both] == [0, 1]
        found = strict.critiques(pair, number)
        assert found == ("length" if abs(longer(pair)) > 2 else both if right else "order")
        kept += not isinstance(found, str)
    learned = taught(ROWS, strict, False, 0, pairs)
    assert sum(learned["outcomes"]) == len(pairs.value)
    assert len({kept + 0, len(learned["tokens"]), int(learned["outcomes"][0])}) <= 2  # other seeds, so other misses


def test_rows_hold_prompts_in_both_orders_and_learn_the_critique_alone(pairs: Any) -> None:
    prompts = ROWS.prompts(pairs.value[:8])
    assert prompts["tokens"].shape == (16, 64)
    assert prompts["label"].tolist() == [0, 1] * 8
    full, only = (taught(ROWS, Teacher(0.0), short, 0, pairs) for short in (False, True))
    a, b = (row[0] for row in (full["weights"], only["weights"]))
    assert b.sum() == 2  # the tag and the end
    assert a.sum() > 12
    assert a.argmax() == b.argmax()
    said = ROWS.code.decode(full["targets"][0][a > 0])
    tag = ROWS.code.decode(only["targets"][0][b > 0])
    assert said.endswith(tag)
    assert {ROWS.code.decode(row[w > 0]) for row, w in zip(only["targets"], only["weights"], strict=True)} == {
        "[[A]]",
        "[[B]]",
    }
    both = answers_in_pairs(ROWS, pairs)
    assert both["chosen"].shape == (len(pairs.value), 36)
    with pytest.raises(ValueError, match="raise prompt"):
        JudgeRows(ROWS.code, 16, 34, 14, 2, 12).prompts(pairs.value[:1])

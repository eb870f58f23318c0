"""Rows of searches over fragments: which records are searched, which siblings are pairs, and what their sides are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.prompts.answers import Answers
from stagejax.data.prompts.tool_calls import ToolCalls, tool_words
from stagejax.inference.reasoning import fragment_rows
from stagejax.result import Result

#: Behind the prompt [1 7] the fragments 5 8, 6 8 and 5 8 again, and behind the first of them 9 2 and 4 4 2.
PATHS = [(), (5, 8), (5, 8, 9, 2), (5, 8, 4, 4, 2), (6, 8), (5, 8)]
STARTS = [2, 2, 4, 4, 2, 2]
TREES = {
    "tree": np.zeros(6, int),
    "parent": np.array([-1, 0, 1, 1, 0, 0]),
    "tokens": np.array([[1, 7, *path] + [0] * (6 - len(path)) for path in PATHS]),
    "first": np.full(6, 2),
    "start": np.array(STARTS),
    "end": np.array([2 + len(path) for path in PATHS]),
    "visits": np.array([2, 1, 1, 0, 1, 0]),
    "total": np.array([0.5, 0.6, 0.3, -0.1, 0.2, 0.1]),
    "drawn": np.array([4, 5, 2]),
    "grades": np.array([[0.9, 0, 0, 0.1], [0.2, 0.5, 0.3, 0], [0.1, 0.1, 0.2, 0.6]]),
    "graded": np.array([0, 0, 3]),
}
MADE = Result("trees", "make", "trees", 0, value=TREES)


def test_of_every_node_the_best_child_stands_before_the_worst() -> None:
    trees = TREES | {"total": np.array([0.5, 0.6, 0.3, -0.1, 0.1, 0.2])}
    assert fragment_rows.fragment_pairs(trees) == ([1, 2], [4, 3])


def test_equal_or_close_or_bad_fragments_give_no_pair() -> None:
    assert fragment_rows.fragment_pairs(TREES) == ([2], [3])  # the worst of the first ones has the words of the best
    assert fragment_rows.fragment_pairs(TREES, gap=0.5) == ([], [])
    assert fragment_rows.fragment_pairs(TREES, least=0.4) == ([], [])
    assert fragment_rows.fragment_pairs(TREES, alike=1.0) == ([1, 2], [5, 3])


def test_special_tokens_are_no_shared_words() -> None:
    own = TREES["tokens"].copy()
    own[2, 4:6], own[3, 4:7] = (9, 2), (2, 2, 2)
    assert fragment_rows.fragment_pairs(TREES | {"tokens": own}) == ([2], [3])


def test_the_highest_of_both_kinds_are_taken_in_their_shares() -> None:
    scores, kinds = np.arange(10.0), np.array([True] * 6 + [False] * 4)
    assert fragment_rows.highest_of_both(scores, kinds, 0.5).tolist() == [3, 4, 5, 8, 9]
    assert fragment_rows.highest_of_both(scores, kinds, 0.1).tolist() == []


def test_a_search_is_described_by_its_pairs_and_its_judge() -> None:
    about = fragment_rows.about_pairs(MADE)
    unjudged = fragment_rows.about_pairs(replace(MADE, value=TREES | {"grades": np.zeros((3, 4))}))
    assert np.isnan([unjudged["agree"], unjudged["good"]]).all()
    judge = dict.fromkeys(("agree", "good", "most"), pytest.approx(2 / 3))
    assert about == {"trees": 1, "nodes": 6, "tokens": 11, "pairs": 1, "size": 2.5} | judge


def test_sides_are_prefix_and_fragment_and_the_coin_exchanges_some(monkeypatch: pytest.MonkeyPatch) -> None:
    def reference(net: object, made: dict) -> dict:
        return made | {f"{side}_reference": made[f"{side}_weights"].sum(1) for side in ("chosen", "rejected")}

    monkeypatch.setattr(fragment_rows, "with_reference", reference)
    monkeypatch.setattr(fragment_rows.Frozen, "of", lambda net: net)
    trees = TREES | {"total": np.array([0.5, 0.6, 0.3, -0.1, 0.1, 0.2])}
    made = fragment_rows.preferred_fragments(MADE, replace(MADE, value=trees), 8, False, 0)
    assert made["chosen"].tolist() == [[1, 7, 5, 8, 0, 0, 0, 0], [1, 7, 5, 8, 9, 2, 0, 0]]
    assert made["rejected_weights"].tolist() == [[0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0]]
    assert made["chosen_reference"].tolist() == [2, 2]
    assert len(fragment_rows.preferred_fragments(MADE, replace(MADE, value=trees), 1, False, 0)["chosen"]) == 1
    sides = [fragment_rows.preferred_fragments(MADE, replace(MADE, value=trees), 8, True, k) for k in range(12)]
    changed = [(own["chosen"] != made["chosen"]).any(1) for own in sides]
    assert 0 < np.mean(changed) < 1
    for own in sides:
        both = np.sort(np.stack([own["chosen"], own["rejected"]]), 0)
        np.testing.assert_array_equal(both, np.sort(np.stack([made["chosen"], made["rejected"]]), 0))
    with pytest.raises(ValueError, match="hold no pair"):
        fragment_rows.preferred_fragments(MADE, replace(MADE, value=TREES | {"total": np.zeros(6)}), 8, False, 0)


def test_an_unknown_selection_is_refused() -> None:
    data = Answers(source=ToolCalls(size=2), tokenizer=tool_words(), batch=1, length=79)
    with pytest.raises(ValueError, match="by='loss' is unknown"):
        fragment_rows.hardest(MADE, data, 0.3, "loss")

"""Answers become lists, selected rows and queries; votes weigh by scores where no answer is known."""

from types import SimpleNamespace as Made

import numpy as np

from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import Problems
from stagejax.decode.calculator import Calculator
from stagejax.inference.reasoning import self_improvement as loop
from stagejax.inference.reasoning.self_improvement import Asking

PROBLEMS = Problems(size=8, steps=(1,), largest=12)
WORDS = PROBLEMS.tokenizer()
ID = lambda word: int(WORDS.encode([word])[0][0])  # noqa: E731
SPELLED = (ID("ans"), ID("0"), 12)
N, S = 4, 30


def answers(said: list[list[int]], wanted: list[int], prompts: list[int]) -> Made:
    """Answers "ans x" behind a prompt of three tokens; two of one number are the same text."""
    rows = [[1, 20, 21, ID("ans"), ID("0") + x, 2] for own in said for x in own]
    tokens = np.zeros((len(rows), S), np.int32)
    tokens[:, :6] = rows
    told = {"tokens": tokens, "starts": np.full(len(rows), 3), "ends": np.full(len(rows), 6)}
    told |= {"answer": np.repeat(wanted, N), "prompt": np.repeat(prompts, N)}
    told["right"] = np.float32([x == y for own, y in zip(said, wanted, strict=True) for x in own])
    return Made(value=told)


DRAWN = answers([[3, 3, 5, 4], [7, 7, 7, 7], [6, 6, 2, 2]], [3, 7, 2], [0, 2, 3])
SCORES = Made(value={"score": np.array([-1, 2, 0, 0, 0, 0, 1, 0, -3, -3, 2, 2.0])})
DATA = Answers(source=PROBLEMS, tokenizer=WORDS, batch=4, length=S - 1)
HOW = Asking(None, S, 8)


def test_lists_have_right_and_wrong_answers_to_problems_with_a_known_one() -> None:
    made = loop.lists(3, N, DRAWN)
    assert made["tokens"].shape == (1, 3, S)
    assert made["right"].tolist() == [[1, 1, 0]]


def test_selection_takes_known_answers_and_weighted_votes() -> None:
    rows = loop.selected(DATA, HOW, SPELLED, 1, DRAWN, SCORES)
    assert rows["counts"].tolist() == [2, 1, 1, 1]  # the vote by scores says 2
    learned = [row[weights > 0].tolist() for row, weights in zip(rows["targets"], rows["weights"], strict=True)][8:]
    assert [row[1] - ID("0") for row in learned] == [3, 7, 2]
    assert len(rows["tokens"]) == len(PROBLEMS) + 3


def test_without_scores_the_majority_is_taken_and_no_text_twice() -> None:
    rows = loop.selected(DATA, HOW, SPELLED, None, DRAWN)
    assert rows["counts"].tolist() == [2, 1, 1, 0]  # of equal numbers the first, 6
    both = loop.selected(DATA, HOW, SPELLED, None, DRAWN, DRAWN)
    assert len(both["tokens"]) == len(rows["tokens"])


def test_the_best_by_score_are_kept() -> None:
    told = DRAWN.value | {"tokens": DRAWN.value["tokens"].copy()}
    told["tokens"][:, 1] = np.arange(len(told["tokens"])) + 20  # all texts differ
    chosen, _ = loop.chosen_rows(told, loop.numbers_said(told, *SPELLED), SCORES.value["score"], 1)
    assert chosen.tolist() == [1, 6, 10]


def test_solved_rows_learn_all_but_what_the_tool_wrote() -> None:
    tool = Calculator(WORDS.vocab, ID("0"), 12, tuple(map(ID, "+-*/")), ID("="))
    plain, masked = (loop.selected(DATA, Asking(None, S, 8, tool=t), SPELLED, None) for t in (None, tool))
    assert ((plain["weights"] - masked["weights"]).sum(1) == 1).all()  # one step, one result
    gone = masked["targets"][(plain["weights"] > 0) & (masked["weights"] == 0)]
    before = masked["tokens"][(plain["weights"] > 0) & (masked["weights"] == 0)]
    assert (before == ID("=")).all()
    assert (gone >= ID("0")).all()


def test_queries_are_known_and_neither_easy_nor_hopeless() -> None:
    made = loop.queries(DRAWN, N, 5, (1, 3), (1.0, 0.0))
    assert made["kept"].tolist() == [1, 2]
    assert made["tokens"].tolist() == [[1, 20, 21, 0, 0]]
    assert made["trust"].tolist() == [[1, 0]]
    assert made["answer"].tolist() == [3]
    assert loop.queries(DRAWN, N, 5, (3, 3), (1.0, 1.0))["kept"].tolist() == [2, 2]  # none fits: all

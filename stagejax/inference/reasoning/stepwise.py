"""What a learner's own answers give: right ones as rows to learn from, and pairs whose wrong one ends at a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int, Int32

from stagejax.data.joined import Row
from stagejax.data.order import shuffled
from stagejax.data.prompts.answers import Answers, MadeRows
from stagejax.decode import pass_at
from stagejax.decode.steps import advantages, first_pit
from stagejax.inference import Frozen
from stagejax.inference.prompts.preferring import SIDES, with_reference
from stagejax.inference.reasoning.rollouts import Arrays, answer_by_answer, distinct
from stagejax.result import Result

#: Which step of a wrong answer is the last one to be rejected, from Q behind each of its steps.
Cut = Callable[[Float[np.ndarray, " L"], np.random.Generator], int]


def whole(values: Float[np.ndarray, " L"], rng: np.random.Generator) -> int:
    """The last step: the whole answer is rejected, as in DPO."""
    return len(values) - 1


def pit(values: Float[np.ndarray, " L"], rng: np.random.Generator) -> int:
    """The first pit: per-step DPO."""
    return first_pit(values)


def anywhere(values: Float[np.ndarray, " L"], rng: np.random.Generator) -> int:
    """Any step, drawn: what cutting alone does."""
    return int(rng.integers(len(values)))


def answer_weights(
    starts: Int[np.ndarray, " R"], ends: Int[np.ndarray, " R"], length: int
) -> Float32[np.ndarray, "R T"]:
    """Weights of the targets of rows of `length` tokens: 1 from the token `starts` to that before `ends`.

    >>> answer_weights(np.array([2]), np.array([4]), 6).tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    target = np.arange(1, length)
    return ((target >= starts[:, None]) & (target < ends[:, None])).astype(np.float32)


def both_sides(
    tokens_RS: Int[np.ndarray, "R S"], starts_R: Int[np.ndarray, " R"], ends_R: Int[np.ndarray, " R"], *rows: Any
) -> Arrays:
    """Two sides of pairs, cut from rows: the tokens of each (pairs, S), and its `_weights` (pairs, S - 1).

    Args:
      starts_R, ends_R: where what is learned of a row begins, and behind its last token.
      rows: of the better sides, and of the worse ones.

    >>> made = both_sides(np.array([[1, 7, 2], [1, 8, 2]]), np.array([1, 1]), np.array([2, 3]), [0], [1])
    >>> made["chosen"].tolist(), made["rejected_weights"].tolist()
    ([[1, 7, 2]], [[1.0, 1.0]])
    """
    made: Arrays = {}
    for side, own in zip(SIDES, rows, strict=True):
        weights = answer_weights(starts_R[own], ends_R[own], tokens_RS.shape[1])
        made |= {side: tokens_RS[own].astype(np.int32), f"{side}_weights": weights}
    return made


def solutions(data: Answers) -> tuple[Int32[np.ndarray, "N S"], Float32[np.ndarray, "N T"]]:
    """Tokens and weights of the solutions, by the number of their record in the source."""
    numbers = np.arange(data.size())
    rows, order = data.take(numbers), np.argsort(shuffled(data.seed, numbers, data.size()))
    return np.concatenate([rows["tokens"], rows["targets"][:, -1:]], axis=1)[order], rows["weights"][order]


def positives(data: Answers, most: int | None, *rounds: Result) -> Arrays:
    """Solutions and, behind them, right answers to the same problems, for `learned_rows`: rejection sampling (RFT).

    Args:
      most: distinct answers to a problem, at most; None: all that were drawn, as often as they were.
      rounds: of `drawn_answers` to the problems of `data`.

    Reference: Yuan et al. 2023, https://arxiv.org/abs/2308.01825.
    """
    drawn = {name: np.concatenate([made.value[name] for made in rounds]) for name in rounds[0].value}
    right = drawn["right"] > 0
    rows = np.flatnonzero(right) if most is None else distinct(drawn, right, most)
    tokens, weights = solutions(data)
    tokens = np.concatenate([tokens, drawn["tokens"][rows]])
    weights = np.concatenate([weights, answer_weights(drawn["starts"][rows], drawn["ends"][rows], tokens.shape[1])])
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}


def cut_pairs(data: Answers, cut: Cut, net: Result, drawn: Result, values: Result, seed: int) -> Arrays:
    """A right answer to a problem, or its solution where none was right, before a wrong one up to a step: `pair_rows`.

    Args:
      data: the solutions.
      cut: which step that is.
      net: the reference.
      drawn: of `drawn_answers` to the problems of `data`.
      values: of `step_values`; the answers that it has are the wrong ones of the pairs.
      seed: of `cut`.

    Reference: Setlur et al. 2024, https://arxiv.org/abs/2406.14532, algorithm 1.
    """
    own, rng = drawn.value, np.random.default_rng(seed)
    cuts = [(row, ends[cut(q, rng)]) for row, ends, q in answer_by_answer(values.value)]
    wrong, ends = np.array(cuts, np.int64).reshape(-1, 2).T
    tokens, weights = solutions(data)
    right = distinct(own, own["right"] > 0, len(own["right"]))
    made = {"chosen": tokens[own["prompt"][wrong]], "chosen_weights": weights[own["prompt"][wrong]]}
    for place, row in enumerate(wrong):
        good = right[own["prompt"][right] == own["prompt"][row]]
        if len(good):
            other = good[place % len(good)]
            made["chosen"][place] = own["tokens"][other]
            span = (own[name][other : other + 1] for name in ("starts", "ends"))
            made["chosen_weights"][place] = answer_weights(*span, tokens.shape[1])[0]
    rejected = answer_weights(own["starts"][wrong], ends, tokens.shape[1])
    inside = np.arange(tokens.shape[1]) < ends[:, None]
    made |= {"rejected": np.where(inside, own["tokens"][wrong], 0), "rejected_weights": rejected}
    return with_reference(Frozen.of(net), made)


def along(answers: Arrays | None, values: Arrays | None) -> tuple[list[bool], list[Float[np.ndarray, " L"]]]:
    """Of each answer that was valued: whether it is right, and Q behind its steps; none of either in planning."""
    told = [] if answers is None or values is None else list(answer_by_answer(values))
    return [bool(answers["right"][row]) for row, _, _ in told], [q for _, _, q in told]  # type: ignore[index]


def pits(answers: Arrays, values: Arrays, best_of: int) -> tuple[Int[np.ndarray, " W"], Float[np.ndarray, " W"]]:
    """Of each answer that was valued: which step is its first pit, and the advantage of that step.

    V of a problem, before the first step, is the success of the best of `best_of` of its drawn answers.

    Args:
      answers, values: of `drawn_answers` and `step_values`.
    """
    places, costs = [], []
    for row, _, q in answer_by_answer(values):
        right = answers["right"][answers["prompt"] == answers["prompt"][row]]
        places.append(first_pit(q))
        costs.append(advantages(q, pass_at(best_of, samples=len(right), right=int(right.sum())))[places[-1]])
    return np.array(places, np.int64), np.array(costs)


def learned_rows(made: Result, length: int, batch: int, seed: int) -> MadeRows:
    """The batches for `causal_lm` of what `run.make(..., positives, ...)` made."""
    rows = Row("tokens", (length,), "int32"), Row("targets", (length,), "int32"), Row("weights", (length,))
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)

"""What a search leaves to learn from: right paths, steps that are better than their siblings, and values of steps.

Trees are what `tree_search.searched` found: one row a node, a parent before its children.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows
from stagejax.inference import Frozen
from stagejax.inference.prompts.preferring import exchanged, pair_rows, with_reference
from stagejax.inference.reasoning.rollouts import Arrays, distinct
from stagejax.inference.reasoning.stepwise import answer_weights, both_sides
from stagejax.result import Result

Pairs = tuple[list[int], list[int], list[float]]


def right_paths(trees: Result, most: int, seed: int) -> Arrays:
    """Right answers that a search found, of each problem at most so many, drawn: rows for `stepwise.learned_rows`.

    A path leads to an answer of reward 1, and so by no node of Q = -1.

    Raises:
      ValueError: no answer is right.
    """
    return _learned(trees.value, np.flatnonzero(trees.value["reward"] > 0), most, seed, trees.name)


def right_answers(most: int, seed: int, *rounds: Result) -> Arrays:
    """Right ones of `drawn_answers`, different ones, of each problem at most so many, drawn: rejection sampling.

    Raises:
      ValueError: no answer is right.

    Reference: Yuan et al. 2023, https://arxiv.org/abs/2308.01825.
    """
    told = {name: np.concatenate([made.value[name] for made in rounds]) for name in rounds[0].value}
    own = {"tokens": told["tokens"], "first": told["starts"], "end": told["ends"], "prompt": told["prompt"]}
    return _learned(own, distinct(told, told["right"] > 0, len(told["right"])), most, seed, rounds[0].name)


def _learned(told: Arrays, rows: np.ndarray, most: int, seed: int, name: str) -> Arrays:
    if not len(rows):
        raise ValueError(f"{name} holds no right answer: train longer before, or search more")
    rng = np.random.default_rng(seed)
    kept: dict[int, dict[bytes, int]] = {}
    for row in rng.permutation(rows).tolist():
        own = kept.setdefault(int(told["prompt"][row]), {})
        if len(own) < most:
            own.setdefault(told["tokens"][row].tobytes(), row)
    chosen = np.array(sorted(row for own in kept.values() for row in own.values()))
    tokens = told["tokens"][chosen].astype(np.int32)
    weights = answer_weights(told["first"][chosen], told["end"][chosen], tokens.shape[1])
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}


def children_of(trees: Arrays) -> dict[int, np.ndarray]:
    """The rows of the children of each node that has some.

    >>> {k: v.tolist() for k, v in children_of({"parent": np.array([-1, 0, 0, 2])}).items()}
    {0: [1, 2], 2: [3]}
    """
    parents = trees["parent"]
    return {int(node): np.flatnonzero(parents == node) for node in np.unique(parents[parents >= 0])}


def step_pairs(trees: Arrays, scale: float = 0.3) -> Pairs:
    """Siblings of which one is better: their rows, and A_w - A_l = Q_w - Q_l, since both have the same V before them.

    At each node whose children have Q above and below 0: of steps that go on all pairs of one with Q > 0 and one with
    Q < 0; of answers the best and the worst alone, with their difference times `scale`.

    Reference: CPL, https://arxiv.org/abs/2409.08642.

    >>> trees = {"parent": np.array([-1, 0, 0, 0]), "value": np.array([0.2, 0.5, -0.5, 0.25]), "final": np.zeros(4)}
    >>> step_pairs(trees)
    ([1, 3], [2, 2], [1.0, 0.75])
    """
    better, worse, gaps = [], [], []
    for own in children_of(trees).values():
        q, ends = trees["value"][own], trees["final"][own] > 0
        if not q.max() > 0 > q.min():
            continue
        pairs = [(i, j, 1.0) for i in own[~ends & (q > 0)] for j in own[~ends & (q < 0)]]
        if ends.any():
            last, of = own[ends], q[ends]
            if of.max() > 0 > of.min():
                pairs.append((last[of.argmax()], last[of.argmin()], scale))
        for i, j, times in pairs:
            better.append(int(i))
            worse.append(int(j))
            gaps.append(times * float(trees["value"][i] - trees["value"][j]))
    return better, worse, gaps


def answer_pairs(trees: Arrays, most: int = 4) -> Pairs:
    """Right answers to a problem before wrong ones, whole: the k-th of both, in the order of the trees, up to `most`.

    >>> trees = {"prompt": np.zeros(4, int), "reward": np.array([0, 1.0, -1.0, -1.0]), "final": np.array([0, 1, 1, 1])}
    >>> answer_pairs(trees)
    ([1, 1], [2, 3], [2.0, 2.0])
    """
    better, worse = [], []
    for prompt in np.unique(trees["prompt"]):
        own = (trees["prompt"] == prompt) & (trees["final"] > 0)
        right, wrong = (np.flatnonzero(own & (sign * trees["reward"] > 0)) for sign in (1, -1))
        for k in range(min(most, max(len(right), len(wrong))) if len(right) and len(wrong) else 0):
            better.append(int(right[k % len(right)]))
            worse.append(int(wrong[k % len(wrong)]))
    return better, worse, [2.0] * len(better)


def preferred(net: Result, trees: Result, steps: bool) -> Arrays:
    """Pairs with the log-probabilities of a reference, for `pair_rows`: of single steps, or of whole answers.

    Returns:
      What `preferring.with_reference` has of each side; weights are 1 at the tokens of the one step that differs, or of
      the whole answer; and "margin", the difference of Q.

    Raises:
      ValueError: there is no pair.
    """
    told = trees.value
    better, worse, gaps = step_pairs(told) if steps else answer_pairs(told)
    if not gaps:
        raise ValueError(f"the trees of {trees.name} hold no pair: search more, or from a model that is right at times")
    made = both_sides(told["tokens"], told["start" if steps else "first"], told["end"], better, worse)
    return with_reference(Frozen.of(net), made) | {"margin": np.array(gaps, np.float32)}


def shifted(pairs: Result, alpha: float, control: str | None, seed: int) -> Arrays:
    """Pairs whose margin is α (A_w - A_l), or a control of it.

    Args:
      alpha: 0 is DPO.
      control: "margins", each pair has the margin of a pair that is drawn; "sides", which one is better is a coin.

    >>> # data = margin_rows(run.make("shifted", shifted, pairs, 1.0, None, 0), 67, 16, 0)
    """
    made, rng = dict(pairs.value), np.random.default_rng(seed)
    made["margin"] = np.float32(alpha) * made["margin"]
    if control == "margins":
        made["margin"] = rng.permutation(made["margin"])
    if control == "sides":
        made = exchanged(made, rng.random(len(made["margin"])) < 0.5)
    return made


def margin_rows(made: Result, length: int, batch: int, seed: int) -> MadeRows:
    """The batches of `shifted` for `Preference`, which takes each pair's margin."""
    pairs = pair_rows(made, length, batch, seed)
    return replace(pairs, rows=(*pairs.rows, Row("margin")))


def path_values(trees: Result) -> Arrays:
    """Q behind each step of all paths to an end, right or wrong: "tokens", "values" and "weights" (paths, S)."""
    told = trees.value
    ends = np.flatnonzero(told["reward"] != 0)
    values, weights = np.zeros((2, *told["tokens"][ends].shape), np.float32)
    for path, row in enumerate(ends.tolist()):
        while told["parent"][row] >= 0:
            at = told["end"][row] - 1
            values[path, at], weights[path, at] = told["value"][row], 1
            row = int(told["parent"][row])
    return {"tokens": told["tokens"][ends].astype(np.int32), "values": values, "weights": weights}


def value_rows(made: Result, length: int, batch: int, seed: int) -> MadeRows:
    """The batches of `path_values` for `objectives.rewards.state_values.searched_values`."""
    rows = (Row("tokens", (length,), "int32"), Row("values", (length,)), Row("weights", (length,)))
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)


def about_trees(made: Result) -> dict[str, Any]:
    """Of a search: the share of nodes with children that yield a pair, of prompts with a right answer, and counts."""
    trees: Arrays = made.value
    own, pairs = children_of(trees), step_pairs(trees)
    yields = {int(trees["parent"][row]) for row in pairs[0]}
    solved = np.unique(trees["prompt"][trees["reward"] > 0])
    return {
        "nodes": len(trees["parent"]),
        "trees": len(np.unique(trees["tree"])),
        "solved": len(solved) / len(np.unique(trees["prompt"])),
        "yield": len(yields) / max(1, len(own)),
        "pairs": len(pairs[0]),
        "answers": int(trees["final"].sum()),
        "tokens": int(trees["drawn"].sum()),
    }

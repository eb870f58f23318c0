"""What a search over fragments leaves to learn from, which records are searched, and what is said of both."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from stagejax.data.prompts.answers import Answers
from stagejax.data.tokenizers import SPECIAL
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.inference.likelihood import row_losses
from stagejax.inference.prompts.preferring import exchanged, with_reference
from stagejax.inference.reasoning.rollouts import Arrays
from stagejax.inference.reasoning.stepwise import both_sides, solutions
from stagejax.inference.reasoning.tree_rows import children_of
from stagejax.result import Result
from stagejax.search.fragments import overlap

#: Rows at once whose loss is taken.
AT_ONCE = 64


def hardest(net: Result, data: Answers, share: float, by: str = "perplexity", seed: int = 0) -> Arrays:
    """The records whose gold response has the highest perplexity, as an artifact: so large a share of either kind.

    Kinds are records whose "calls" is above 0, and all others.

    Args:
      data: the gold responses.
      by: "perplexity", or "chance": as many of either kind, drawn.

    Returns:
      "records", their numbers in the source, and "losses" of all records, nats a token.

    Raises:
      ValueError: an unknown rule.

    Reference: iTool, https://arxiv.org/abs/2501.09766.

    >>> # chosen = run.make("chosen", hardest, tuned, answers, 0.3)
    """
    if by not in ("perplexity", "chance"):
        raise ValueError(f"by={by!r} is unknown: choose 'perplexity' or 'chance'")
    losses = apply(row_losses, Frozen.of(net), _gold(data), AT_ONCE)
    scores = losses if by == "perplexity" else np.random.default_rng(seed).random(len(losses))
    return {"records": highest_of_both(scores, data.source.column("calls") > 0, share), "losses": losses}


@functools.cache
def loss_flops(config: Any, length: int) -> float:
    """FLOPs of the perplexity of one record, whose row has so many tokens.

    >>> from stagejax.models import gpt
    >>> loss_flops(gpt(layers=1), 8) > 10**5
    True
    """
    names = {"tokens": "int32", "targets": "int32", "weights": "float32"}
    row = {name: jax.ShapeDtypeStruct((length,), kind) for name, kind in names.items()}
    return float(flops_of_one(row_losses, config, row))


def highest_of_both(
    scores: Float[np.ndarray, " n"], kinds: Bool[np.ndarray, " n"], share: float
) -> Int[np.ndarray, " k"]:
    """The places of the highest scores, so large a share of each of two kinds, in order.

    >>> highest_of_both(np.array([3.0, 1.0, 2.0, 9.0, 8.0, 7.0]), np.array([True] * 3 + [False] * 3), 0.4).tolist()
    [0, 3]
    """
    found = []
    for kind in (True, False):
        own = np.flatnonzero(kinds == kind)
        found.append(own[np.argsort(-scores[own], kind="stable")][: int(len(own) * share)])
    return np.sort(np.concatenate(found))


def gold_of(data: Answers, chosen: Result) -> Arrays:
    """The gold responses of chosen records: rows for `stepwise.learned_rows`.

    >>> # gold = run.make("gold", gold_of, answers, chosen)
    """
    return {name: own[chosen.value["records"]] for name, own in _gold(data).items()}


def _gold(data: Answers) -> Arrays:
    tokens, weights = solutions(data)
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}


def fragment_pairs(
    trees: Arrays, gap: float = 0.1, least: float = -0.3, alike: float = 0.95
) -> tuple[list[int], list[int]]:
    """At every node with two or more children the one of largest W before that of smallest: their rows.

    None where they are less than `gap` apart, the better one is below `least`, or they share too many words.

    Reference: iTool's published code, whose values are the defaults.

    >>> trees = {"parent": np.array([-1, 0, 0, 0]), "total": np.array([0.0, 0.5, 0.1, 0.45])}
    >>> trees |= {"tokens": np.array([[1, 0], [1, 7], [1, 8], [1, 9]]), "start": np.array([1, 1, 1, 1])}
    >>> fragment_pairs(trees | {"end": np.array([1, 2, 2, 2])})
    ([1], [2])
    """
    better, worse = [], []
    for own in children_of(trees).values():
        totals = trees["total"][own]
        good, bad = own[totals.argmax()], own[totals.argmin()]
        if totals.max() - totals.min() < gap or totals.max() < least:
            continue
        if overlap(*(_fragment(trees, row) for row in (int(good), int(bad)))) <= alike:
            better.append(int(good))
            worse.append(int(bad))
    return better, worse


def preferred_fragments(net: Result, trees: Result, most: int, coin: bool, seed: int) -> Arrays:
    """Pairs of fragments behind one prefix, at most so many, drawn: rows for `preferring.pair_rows`.

    Args:
      net: the reference, whose log-probabilities stand beside them.
      coin: which side is the better one is drawn: the control.

    Returns:
      What `preferring.with_reference` has; weights are 1 at the tokens of the fragments.

    Raises:
      ValueError: there is no pair.
    """
    told, rng = trees.value, np.random.default_rng(seed)
    better, worse = fragment_pairs(told)
    if not better:
        raise ValueError(f"the trees of {trees.name} hold no pair of fragments: search more records")
    kept = np.sort(rng.permutation(len(better))[:most])
    sides = (np.array(own)[kept] for own in (better, worse))
    made = with_reference(Frozen.of(net), both_sides(told["tokens"], told["start"], told["end"], *sides))
    return exchanged(made, rng.random(len(kept)) < 0.5) if coin else made


def about_pairs(trees: Result) -> dict[str, float]:
    """Of a search: trees, nodes, tokens, pairs, and how the judge's likeliest grades agree with those of the program.

    "agree" is the share of equal grades; "good" that of equal verdicts whether a response is excellent, and "most" what
    the commonest grade alone would have. Without a judge the first two are NaN.
    """
    told = trees.value
    better, worse = fragment_pairs(told)
    said, known = told["grades"].argmax(1), told["graded"]
    there = 1.0 if told["grades"].any() else float("nan")
    sizes = [int(told["end"][row] - told["start"][row]) for row in (*better, *worse)]
    return {
        "trees": float(told["tree"].max() + 1),
        "nodes": float(len(told["tree"])),
        "tokens": float(told["drawn"].sum()),
        "pairs": float(len(better)),
        "size": float(np.mean(sizes)) if sizes else 0.0,
        "agree": there * float((said == known).mean()),
        "good": there * float(((said == 0) == (known == 0)).mean()),
        "most": float(np.bincount(known).max() / len(known)),
    }


def _fragment(trees: Arrays, row: int) -> np.ndarray:
    own = trees["tokens"][row, trees["start"][row] : trees["end"][row]]
    return own[own >= SPECIAL]

"""A model's own answers, scored by a reward model: lists to train it on, selected answers to learn, and the best of n.

What is drawn is an artifact of `inference.reasoning.rollouts.drawn_answers`, n answers to each prompt next to each
other.
Letters: R answers, n of each prompt, S tokens of a row, Q queries.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import Answers, MadeRows, PromptedText
from stagejax.data.prompts.made_prompts import MadePrompts
from stagejax.data.tokenizers import SEP
from stagejax.decode import Prompts, Samples, majority_vote, sample
from stagejax.inference.answering import Answering, ask, greedy
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.inference.reasoning.rollouts import drawn_answers
from stagejax.objectives.rewards.rewarding import scores_at
from stagejax.objectives.text.similarity import spearman
from stagejax.result import Result
from stagejax.stage import Batch

Arrays = dict[str, np.ndarray]
#: Answers that are scored together.
AT_ONCE = 256


@dataclass(frozen=True)
class Asking(Answering):
    """Answering with a tool, or without: whatever forced-token rule `sample` takes, such as `decode.Calculator`.

    >>> # Asking(FinalAnswer(marker, zero), length=56, limit=28, stops=((SEP,),), tool=Calculator(...))
    """

    tool: Any = None

    def answers(self, model: Any, batch: Batch, key: jax.Array, n: int = 1, temperature: float = 1.0) -> Samples:
        """`n` answers to each prompt, the tool's words put in."""
        how = {"length": self.length, "limit": self.limit, "stops": self.stops, "allowed": self.tool}
        return sample(model, Prompts(batch["tokens"], batch["lengths"]), key, n=n, temperature=temperature, **how)


def numbers_said(answers: Arrays, marker: int, zero: int, largest: int) -> list[int | None]:
    """The number of each answer that ends in [marker, number, SEP]; None of others, which nobody can vote for.

    >>> told = {"tokens": np.array([[1, 9, 14, 2], [1, 9, 9, 2]]), "ends": np.array([4, 4])}
    >>> numbers_said(told, marker=9, zero=10, largest=5)
    [4, None]
    """
    rows, ends = np.arange(len(answers["ends"])), answers["ends"]
    mark, number, end = (answers["tokens"][rows, ends - back] for back in (3, 2, 1))
    fits = (mark == marker) & (end == SEP) & (number >= zero) & (number <= zero + largest)
    return [int(own) - zero if fine else None for own, fine in zip(number, fits, strict=True)]


def score(model: Any, rows: Batch) -> jax.Array:
    """Of each row of `tokens`, the reward model's score behind its `ends`."""
    return scores_at(model, rows["tokens"], rows["ends"])


def scores_of(judge: Result, drawn: Any) -> Arrays:
    """{"score": (R,)}: what a reward model says of drawn answers, as an artifact for `run.make`.

    >>> # judged = run.make("scores", scores_of, reward_model, drawn)
    """
    rows = {name: drawn.value[name] for name in ("tokens", "ends")}
    return {"score": apply(score, Frozen.of(judge), rows, AT_ONCE)}


@functools.cache
def score_flops(config: Any, length: int) -> float:
    """FLOPs of one score of a row of so many tokens."""
    row = {"tokens": jax.ShapeDtypeStruct((length,), "int32"), "ends": jax.ShapeDtypeStruct((), "int32")}
    return float(flops_of_one(score, config, row))


# --- what is learned from answers ---


def lists(size: int, n: int, *drawn: Any) -> Arrays:
    """Queries for a reward model: those with a known answer of whose first `size` answers some are right, some wrong.

    Args:
      drawn: of one model, or of several that came one after the other.

    Returns:
      "tokens" (Q, size, S), "ends" (Q, size), "right" (Q, size). Of answers that are all alike, all queries.
    """
    names = ("tokens", "ends", "right", "prompt")
    told = {name: np.concatenate([own.value[name] for own in drawn]) for name in names}
    by = {name: told[name].reshape(-1, n, *told[name].shape[1:])[:, :size] for name in ("tokens", "ends", "right")}
    count = by["right"].sum(1)
    kept = known(told)[::n] & (count > 0) & (count < size)
    kept = kept if kept.any() else np.full_like(kept, True)
    types = {"tokens": np.int32, "ends": np.int32, "right": np.float32}
    return {name: array[kept].astype(types[name]) for name, array in by.items()}


def list_rows(made: Any, size: int, length: int, batch: int, seed: int) -> MadeRows:
    """The batches that `right_above_wrong` learns from."""
    rows = (Row("tokens", (size, length), "int32"), Row("ends", (size,), "int32"), Row("right", (size,)))
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)


def known(told: Arrays) -> np.ndarray:
    """Which answers are to problems whose right answer is known: those of even records. It stands for a gold label.

    >>> known({"prompt": np.array([0, 0, 3, 3])}).tolist()
    [True, True, False, False]
    """
    return told["prompt"] % 2 == 0


def pseudo_answers(
    told: Arrays, said: Sequence[int | None], scores: np.ndarray | None, n: int
) -> tuple[list[int | None], np.ndarray]:
    """Of each prompt the answer that is taken for right: the known one, or that of the vote; and whether it is known.

    In the vote an answer weighs sigmoid(score), or 1 without scores.

    >>> told = {"prompt": np.array([1, 1, 1]), "answer": np.array([7, 7, 7])}
    >>> pseudo_answers(told, [3, 3, 7], None, 3)[0], pseudo_answers(told, [3, 3, 7], np.array([-5.0, -5, 5]), 3)[0]
    ([3], [7])
    """
    labelled, found = known(told)[::n], []
    weights = None if scores is None else 1 / (1 + np.exp(-np.asarray(scores, float)))
    for at, gold in enumerate(labelled.tolist()):
        own = slice(at * n, (at + 1) * n)
        vote = majority_vote(said[own], None if weights is None else weights[own].tolist())
        found.append(int(told["answer"][own][0]) if gold else vote.answer)
    return found, labelled  # type: ignore[return-value]


def selected(data: Answers, how: Asking, spelled: tuple[int, int, int], most: int | None, *made: Any) -> Arrays:
    """Rows to be tuned on: solved problems, and those of a model's answers that are taken for right.

    No answer to a problem stands there twice. Of each problem the `most` of highest score are kept; without scores
    all of them. What a tool wrote has weight 0.

    Args:
      data: the solved problems.
      how: of the answers; its tool.
      spelled: marker, zero, largest, as `numbers_said` reads answers.
      most: answers of each problem; None: all.
      made: what was drawn of the same problems, once or several times; behind each its scores, or none of them has any.

    Returns:
      "tokens", "targets", "weights" (rows, S - 1); "counts": selected with a known answer, by a pseudo-answer, votes,
      and right ones among these.
    """
    batch = data.take(np.arange(data.size()))
    whole = np.concatenate([batch["tokens"], batch["targets"][:, -1:]], axis=1)
    tokens, weights = [whole], [batch["weights"]]
    counts = np.zeros(4, np.int64)
    if made:
        told = {name: np.concatenate([own.value[name] for own in made if "tokens" in own.value]) for name in NEEDED}
        scored = [own.value["score"] for own in made if "score" in own.value]
        order = np.argsort(told["prompt"], kind="stable")
        told = {name: array[order] for name, array in told.items()}
        scores = np.concatenate(scored)[order] if scored else None
        chosen, counts = chosen_rows(told, numbers_said(told, *spelled), scores, most)
        at = np.arange(told["tokens"].shape[1])
        drawn_RS = (at >= told["starts"][:, None]) & (at < told["ends"][:, None])
        tokens.append(told["tokens"][chosen])
        weights.append(drawn_RS[chosen][:, 1:].astype(np.float32))
    tokens_RS, weights_RT = np.concatenate(tokens).astype(np.int32), np.concatenate(weights)
    if how.tool is not None:
        starts = np.argmax(weights_RT > 0, axis=1) + 1
        weights_RT = weights_RT * ~np.asarray(how.tool.inserted(tokens_RS, starts))[:, 1:]
    return {"tokens": tokens_RS[:, :-1], "targets": tokens_RS[:, 1:], "weights": weights_RT, "counts": counts}


NEEDED = ("tokens", "starts", "ends", "prompt", "answer")


def chosen_rows(
    told: Arrays, said: Sequence[int | None], scores: np.ndarray | None, most: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Of answers, those of a prompt next to each other, the rows that are selected; and the counts of `selected`."""
    chosen: list[int] = []
    counts = np.zeros(4, np.int64)
    for rows in np.split(np.arange(len(said)), np.flatnonzero(np.diff(told["prompt"])) + 1):
        own = {name: array[rows] for name, array in told.items()}
        its = None if scores is None else scores[rows]
        (wanted,), (gold,) = pseudo_answers(own, [said[row] for row in rows], its, len(rows))
        right = [row for row in rows.tolist() if wanted is not None and said[row] == wanted]
        if scores is not None:
            right.sort(key=lambda row: -float(scores[row]))
        different = {told["tokens"][row].tobytes(): row for row in reversed(right)}
        best = [row for row in right if different[told["tokens"][row].tobytes()] == row][:most]
        chosen += best
        counts += (len(best), 0, 0, 0) if gold else (0, len(best), wanted is not None, wanted == own["answer"][0])
    return np.array(chosen, int), counts


def tuning_rows(made: Any, length: int, batch: int, seed: int) -> MadeRows:
    """The batches of what `selected` made, for `causal_lm`."""
    rows = (Row("tokens", (length,), "int32"), Row("targets", (length,), "int32"), Row("weights", (length,)))
    return MadeRows(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)


def queries(drawn: Any, n: int, prompt: int, solved: tuple[int, int], trust: tuple[float, float]) -> Arrays:
    """Prompts for RL: those with a known answer that so many of n answers get right, from the first to the second.

    Returns:
      "tokens" (Q, prompt), "lengths" and "answer" (Q,), the given "trust" (Q, 2) of `JudgedStep`; "kept", Q of how
      many. All with a known answer where none fits.
    """
    told = drawn.value
    count, labelled = told["right"].reshape(-1, n).sum(1), known(told)[::n]
    fits = labelled & (count >= solved[0]) & (count <= solved[1])
    fits = fits if fits.any() else labelled
    lengths = told["starts"][::n][fits].astype(np.int32)
    tokens = np.where(np.arange(prompt) < lengths[:, None], told["tokens"][::n][fits, :prompt], 0).astype(np.int32)
    made = {"tokens": tokens, "lengths": lengths, "answer": told["answer"][::n][fits].astype(np.int32)}
    made["trust"] = np.tile(np.float32(trust), (len(tokens), 1))
    return made | {"kept": np.array([fits.sum(), labelled.sum()])}


def query_rows(made: Any, prompt: int, batch: int, repeat: int, seed: int) -> MadePrompts:
    """The batches of prompts of `queries`."""
    rows = (Row("tokens", (prompt,), "int32"), Row("lengths", (), "int32"), Row("answer", (), "int32"))
    rows = (*rows, Row("trust", (2,)))
    return MadePrompts(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, repeat=repeat, seed=seed)


# --- what is answered ---


def answered(
    net: Result, judge: Result | None, data: PromptedText, how: Asking, spelled: tuple[int, int, int], n: int, seed: int
) -> dict[str, Any]:
    """How a model answers: greedily, by the majority of n, and by the one of n that a reward model scores highest.

    Without a reward model, what it would say is left out; with n = 0 all but the greedy answers.

    Returns:
      For every prompt 1 or 0: "greedy", "maj", "rm", "any" (one of n is right); and "mean", the share of n. Beside
      them "spearman" of scores and verdicts over all drawn answers, and "ordered", the share of pairs of a right and a
      wrong answer to one prompt of which the right one has the higher score.
    """
    frozen = Frozen.of(net)
    batches = (data.take(np.arange(at, at + data.batch)) for at in range(0, data.size(), data.batch))
    first = np.concatenate([ask(greedy, frozen, batch, how)[1][:, 0] for batch in batches])[: data.size()]
    if not n:
        return {"greedy": first.tolist()}
    drawn = drawn_answers(net, data, how, n, seed)
    said, right_PN = numbers_said(drawn, *spelled), drawn["right"].reshape(-1, n)
    votes = [majority_vote(said[at : at + n]).answer for at in range(0, len(said), n)]
    maj = [float(vote == own) for vote, own in zip(votes, drawn["answer"][::n], strict=True)]
    found: dict[str, Any] = {"greedy": first.tolist(), "maj": maj}
    found |= {"any": right_PN.max(1).tolist(), "mean": right_PN.mean(1).tolist()}
    if judge is None:
        return found
    scores = apply(score, Frozen.of(judge), {name: drawn[name] for name in ("tokens", "ends")}, AT_ONCE)
    scores_PN = scores.reshape(-1, n)
    pairs_PNN = right_PN[:, :, None] > right_PN[:, None, :]
    higher_PNN = (scores_PN[:, :, None] > scores_PN[:, None, :]) & pairs_PNN
    several = len(np.unique(drawn["right"])) > 1
    return found | {
        "rm": right_PN[np.arange(len(right_PN)), scores_PN.argmax(1)].tolist(),
        "spearman": float(spearman(jnp.asarray(scores), jnp.asarray(drawn["right"]))) if several else 0.0,
        "ordered": float(higher_PNN.sum() / max(pairs_PNN.sum(), 1)),
    }

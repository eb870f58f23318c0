"""Several answers of a model to each prompt: pairs that a verifier or a judge orders, prompts by variance, wins.

What is drawn is an artifact of `inference.reasoning.rollouts.drawn_answers`, n answers to each prompt next to each
other.
Letters: R answers, n of each of Q prompts, S tokens of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows, PromptedText
from stagejax.data.prompts.made_prompts import InOrder
from stagejax.decode import Prompts, sample
from stagejax.inference.answering import Answering, ask, greedy
from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.prompts.preferring import SIDES, with_reference
from stagejax.inference.reasoning.rollouts import drawn_answers
from stagejax.inference.reasoning.self_improvement import AT_ONCE, score
from stagejax.inference.reasoning.stepwise import both_sides
from stagejax.result import Result
from stagejax.stage import Batch, Metrics

Arrays = dict[str, np.ndarray]
#: What a judge says of each of R answers, from the arrays of `drawn_answers`.
Judging = Callable[[Arrays], np.ndarray]
Order = Literal["decreasing", "increasing", "random"]


def passing_pairs(reference: Result, n: int, most: int, seed: int, *drawn: Any) -> Arrays:
    """Of prompts with a right and a wrong answer, right ones beside wrong ones, drawn at random, each pair once.

    Args:
      reference: the model whose log-probabilities stand beside each side.
      most: pairs of a prompt.

    Returns:
      The arrays of `preferring.own_pairs` without `drawn`, and "prompts", how many there were and how many gave pairs.

    Raises:
      ValueError: none gave one.

    >>> # pairs = run.make("pairs", passing_pairs, sft, 8, 3, 0, drawn)
    """
    names = ("tokens", "starts", "ends", "right")
    told = {name: np.concatenate([own.value[name] for own in drawn]) for name in names}
    pairs, gave = mixed_pairs(told["right"].reshape(-1, n), most, np.random.default_rng([seed, 3]))
    if not len(pairs):
        raise ValueError(
            f"of {len(told['right']) // n} prompts none has a right and a wrong answer: train longer before"
        )
    made = both_sides(told["tokens"], told["starts"], told["ends"], *pairs.T)
    counts = {"prompts": np.array([len(told["right"]) // n, gave])}
    return with_reference(Frozen.of(reference), made) | counts


def mixed_pairs(right_QN: Float[np.ndarray, "Q N"], most: int, draws: np.random.Generator) -> tuple[np.ndarray, int]:
    """(right, wrong) rows of the answers in order, at most so many of a prompt; and how many prompts gave any.

    >>> mixed_pairs(np.array([[1.0, 0.0], [0.0, 0.0]]), 2, np.random.default_rng(0))
    (array([[0, 1]]), 1)
    """
    found: list[np.ndarray] = []
    n = right_QN.shape[1]
    for prompt, own in enumerate(right_QN):
        good, bad = np.flatnonzero(own > 0), np.flatnonzero(own == 0)
        every = np.stack(np.meshgrid(good, bad, indexing="ij"), -1).reshape(-1, 2)
        if len(every):
            found.append(prompt * n + draws.permutation(every)[:most])
    return np.concatenate(found) if found else np.zeros((0, 2), int), len(found)


def labelled_pairs(judging: Judging, sharpness: float, n: int, seed: int, pairs: Any, *drawn: Any) -> Arrays:
    """Pairs for a reward model: two different answers to a prompt, of which a noisy judge prefers one, and given pairs.

    Of each prompt the n answers are paired at random, each once. The first of two is preferred with probability
    sigmoid(sharpness * (s_1 - s_2)), s what the judge says: where it finds no difference, a coin decides.

    Args:
      pairs: of `passing_pairs`, which are put beside them; None: none.
      drawn: of one model, or of several.

    Returns:
      Both sides with weights, and "counts": labelled pairs, of these whose label is that of the judge without noise (or
      between equals), and given pairs.

    >>> # labelled = run.make("labelled", labelled_pairs, judging, 2.0, 8, 0, pairs, drawn, drawn_later)
    """
    names = ("tokens", "starts", "ends")
    told = {name: np.concatenate([own.value[name] for own in drawn]) for name in names}
    said = np.concatenate([judging(own.value) for own in drawn])
    draws = np.random.default_rng([seed, 5])
    shuffled = np.stack([draws.permutation(n) for _ in range(len(said) // n)]) + n * np.arange(len(said) // n)[:, None]
    both = shuffled[:, : n // 2 * 2].reshape(-1, 2)
    both = both[(told["tokens"][both[:, 0]] != told["tokens"][both[:, 1]]).any(1)]
    ahead = said[both[:, 0]] - said[both[:, 1]]
    first = draws.random(len(both)) < 1 / (1 + np.exp(-sharpness * ahead))
    ordered = np.where(first[:, None], both, both[:, ::-1])
    agrees = int((np.where(first, ahead, -ahead) >= 0).sum())
    made = both_sides(told["tokens"], told["starts"], told["ends"], *ordered.T)
    given = 0
    if pairs is not None:
        given = len(pairs.value[SIDES[0]])
        made = {name: np.concatenate([own, pairs.value[name]]) for name, own in made.items()}
    return made | {"counts": np.array([len(both), agrees, given])}


def queries_in_order(
    judge: Result, n: int, prompt: int, beside: tuple[str, ...], order: Order, trust: Any, seed: int, drawn: Any
) -> Arrays:
    """Prompts for RL in order of the variance of a reward model's scores of n answers, drawn by the policy before.

    Where all answers have one score, a group has no advantage, and the prompt teaches nothing: these come last if the
    order is decreasing.

    Args:
      prompt: tokens that prompts are padded to.
      beside: what rules read of a prompt.
      trust: of the rewards, a pair of weights: of the reward model's scores, and of noise that knows no answer.

    Returns:
      "tokens" (Q, prompt), "lengths" (Q,), those beside, "trust" (Q, 2), "noise" (Q, n), "variance" (Q,).

    Reference: Qwen2.5 Technical Report, 2024, https://arxiv.org/abs/2412.15115, section 4.3.

    >>> # how = (8, 24, ("task", "wanted"), "decreasing", (1.0, 0.0), 0)
    >>> # queries = run.make("queries", queries_in_order, judge, *how, drawn)
    """
    told = drawn.value
    scores = apply(score, Frozen.of(judge), {name: told[name] for name in ("tokens", "ends")}, AT_ONCE)
    variance = scores.reshape(-1, n).var(1)
    draws = np.random.default_rng([seed, 7])
    places = draws.permutation(len(variance))  # among equals, and where the order is random
    if order != "random":
        sign = -1 if order == "decreasing" else 1
        places = places[np.argsort(sign * variance[places], kind="stable")]
    lengths = told["starts"][::n].astype(np.int32)
    tokens = np.where(np.arange(prompt) < lengths[:, None], told["tokens"][::n, :prompt], 0).astype(np.int32)
    made = {"tokens": tokens, "lengths": lengths} | {name: told[name][::n].astype(np.int32) for name in beside}
    made |= {"trust": np.tile(np.float32(trust), (len(tokens), 1)), "variance": variance}
    made["noise"] = draws.standard_normal((len(tokens), n)).astype(np.float32)
    return {name: own[places] for name, own in made.items()}


def query_rows(made: Any, prompt: int, n: int, beside: tuple[str, ...], batch: int, repeat: int) -> InOrder:
    """The batches of prompts of `queries_in_order`, in that order."""
    ints = [Row("lengths", (), "int32"), *(Row(name, (), "int32") for name in beside)]
    rows = (Row("tokens", (prompt,), "int32"), *ints, Row("trust", (2,)), Row("noise", (n,)))
    return InOrder(rows=rows, of=made.fingerprint, arrays=made.value, batch=batch, repeat=repeat)


def reward_rows(made: Any, length: int, batch: int, seed: int) -> MadeRows:
    """The batches that `bradley_terry` learns from, of what `labelled_pairs` made."""
    rows = [Row(side, (length,), "int32") for side in SIDES] + [Row(f"{side}_weights", (length - 1,)) for side in SIDES]
    return MadeRows(rows=tuple(rows), of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)


@dataclass(frozen=True)
class TwoAxes(Answering):
    """An objective of evaluations: `accuracy` of greedy answers by the rule, and what a judge says of drawn ones.

    Of each prompt one answer is greedy and one drawn at temperature 1, in one pass, with the same key at every
    evaluation. Metrics are pairs (total, count): `accuracy`, `drawn` by the rule too, `judged`.

    Args:
      judge: (samples, batch) -> (B, N), traced.
    """

    judge: Callable[[Any, Batch], jax.Array] = None  # type: ignore[assignment]

    def __call__(self, model: Any, batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
        """1 - accuracy, and the metrics; of several models, of the one named "policy"."""
        own = model["policy"] if isinstance(model, dict) else model
        twice = {name: jnp.concatenate([jnp.asarray(x)] * 2) for name, x in batch.items()}
        half = len(twice["lengths"]) // 2
        heat = (jnp.arange(2 * half) >= half).astype(jnp.float32)
        how = {"length": self.length, "limit": self.limit, "stops": self.stops, "temperature": heat}
        found = sample(own, Prompts(twice["tokens"], twice["lengths"]), jax.random.key(0), **how)
        right, said, count = self.rule(found, twice)[:, 0], self.judge(found, twice)[:, 0], jnp.float32(half)
        sums = {"accuracy": right[:half].sum(), "drawn": right[half:].sum(), "judged": said[half:].sum()}
        return 1 - right[:half].mean(), {name: (value, count) for name, value in sums.items()}


def answered_twice(
    net: Result, data: PromptedText, how: TwoAxes, judging: Judging, n: int, seed: int
) -> dict[str, Any]:
    """How a model answers: greedily, and in n drawn answers.

    Returns:
      "greedy", by the rule, one a prompt; "drawn", by the rule, the share of n; "judged", what the judge says of each
      of n; "length", the mean number of tokens drawn.

    >>> # said = run.make("test", answered_twice, dpo, prompts, how, judging, 4, 7)
    """
    frozen = Frozen.of(net)
    batches = (data.take(np.arange(at, at + data.batch)) for at in range(0, data.size(), data.batch))
    first = np.concatenate([ask(greedy, frozen, batch, how)[1][:, 0] for batch in batches])[: data.size()]
    drawn = drawn_answers(net, data, how, n, seed)
    said = np.asarray(judging(drawn)).reshape(-1, n)
    found = {"greedy": first.tolist(), "drawn": drawn["right"].reshape(-1, n).mean(1).tolist(), "judged": said.tolist()}
    return found | {"length": float((drawn["ends"] - drawn["starts"]).mean())}


def win_rate(ours: Any, theirs: Any) -> float:
    """The share of comparisons of two models' answers to the same prompts that the first wins; a tie is half a win.

    Args:
      ours, theirs: what a judge says of n answers to each of Q prompts, (Q, n) each; each is compared with each.

    >>> win_rate([[1.0, 0.0]], [[0.0, 0.0]])
    0.75
    """
    ahead = np.asarray(ours)[:, :, None] - np.asarray(theirs)[:, None, :]
    return float((ahead > 0).mean() + (ahead == 0).mean() / 2)


def ordered_right(judge: Result, judging: Judging, n: int, drawn: Any) -> dict[str, float]:
    """How well a reward model has learned: share of pairs of answers to one prompt that it orders as the judge does.

    Returns:
      "ordered", of pairs in which the judge finds a difference; "passing", of pairs of a right and a wrong answer, the
      right one ahead; "pairs", how many of the first.

    >>> # tested = run.make("judge/test", ordered_right, judge, judging, 8, drawn)
    """
    told = drawn.value
    scores = apply(score, Frozen.of(judge), {name: told[name] for name in ("tokens", "ends")}, AT_ONCE).reshape(-1, n)
    ahead, found = scores[:, :, None] - scores[:, None, :], {}
    for name, said in (("ordered", np.asarray(judging(told))), ("passing", told["right"])):
        said_QN = said.reshape(-1, n)
        better = said_QN[:, :, None] > said_QN[:, None, :]
        found[name] = float((ahead > 0)[better].mean()) if better.any() else float("nan")
        found.setdefault("pairs", float(better.sum()))
    return found

"""A language model as a judge of pairs: critiques drawn, pairs of its own critiques, verdicts; and what a policy learns
from them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows, answer_row
from stagejax.data.prompts.judging import TEMPLATES
from stagejax.data.prompts.judging_rows import JudgeRows, Pair, answers_in_pairs, longer
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, SEP
from stagejax.decode.last_tag import LastTag
from stagejax.decode.steps import FinalAnswer
from stagejax.inference.answering import Answering, ask
from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.prompts.preferring import SIDES, exchanged, with_reference
from stagejax.inference.reasoning.stepwise import answer_weights
from stagejax.report.pairwise import judged_in_both_orders
from stagejax.result import Result
from stagejax.stage import Evaluation

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Judging:
    """How a model is asked for judgements.

    Args:
      at_once: prompts of one batch that is answered greedily; with n critiques each there are fewer.
    """

    rows: JudgeRows
    at_once: int = 128

    @property
    def how(self) -> Answering:
        """Critiques up to their end, right where the last tag is the label's."""
        return Answering(LastTag(self.rows.tags), self.rows.length, self.rows.limit, ((SEP,),))

    @property
    def solving(self) -> Answering:
        """Answers to the problems themselves, right by the number at their end."""
        ans, zero = (int(self.rows.code.encode([word])[0][0]) for word in ("ans", "0"))
        return Answering(FinalAnswer(ans, zero), self.rows.answered, self.rows.words + 1, ((SEP,),))

    def tested(self, made: Result, pairs: int, net: Any) -> Evaluation:
        """The likeliest verdicts on so many pairs of an artifact, in both orders, at the end of a stage."""
        named = Row("tokens", (self.rows.prompt,), "int32"), Row("lengths", (), "int32"), Row("label", (), "int32")
        arrays, count = None if made.value is None else self.rows.prompts(made.value), 2 * pairs // self.at_once
        data = MadeRows(rows=named, of=made.fingerprint, arrays=arrays, batch=self.at_once, count=count)
        return Evaluation(data, count, None, self.how, flops=data.batch * self.critique_flops(net))

    def critique_flops(self, net: Any) -> float:
        """FLOPs of one critique by a network of this configuration, if it has all tokens that it may have."""
        return _flops(self.how, net, self.rows.prompt)

    def solving_flops(self, net: Any) -> float:
        """FLOPs of one answer to a problem."""
        return _flops(self.solving, net, self.rows.problem)


@functools.cache
def _flops(how: Answering, net: Any, prompt: int) -> float:
    return how.flops(net, prompt)


def drawn_critiques(net: Frozen, judging: Judging, pairs: Sequence[Pair], n: int, seed: int) -> Arrays:
    """`n` critiques of every pair in both orders, at temperature 1; one, the likeliest, for n = 1.

    Returns:
      "tokens" (prompts, n, S), "starts" and "ends" (prompts, n), "said" (prompts, n): 0, 1 or -1; two prompts a pair.
    """
    told, found, size = judging.rows.prompts(pairs), [], max(1, judging.at_once // n)
    prompts = len(told["label"])
    for start in range(0, prompts, size):
        numbers = np.arange(start, start + size)
        batch = {name: x[np.minimum(numbers, prompts - 1)] for name, x in told.items()}
        batch["keys"] = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), numbers)
        own = ask(_critiques, net, batch, judging.how, n)
        found.append({name: x[: prompts - start] for name, x in own.items()})
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _critiques(model: Any, batch: Any, how: Answering, n: int) -> dict[str, jax.Array]:
    found = how.answers(model, batch, batch["keys"], n=n, temperature=0.0 if n == 1 else 1.0)
    said = how.rule.said(found)  # type: ignore[attr-defined]
    return {"tokens": found.tokens_BNS, "starts": found.starts_BN, "ends": found.ends_BN, "said": said}


def critiques(net: Result, made: Result, judging: Judging, n: int, seed: int) -> Arrays:
    """`drawn_critiques` of an artifact of pairs, as an artifact.

    >>> # drawn = run.make("critiques", critiques, judge, pairs, judging, 4, 0, sampled_tokens=critique_tokens)
    """
    return drawn_critiques(Frozen.of(net), judging, made.value, n, seed)


def critique_tokens(made: Arrays) -> int:
    """How many tokens were drawn for `critiques`."""
    return int((made["ends"] - made["starts"]).sum())


def hard_pairs(net: Result, drawn: Result, ratio: float, seed: int) -> Arrays:
    """Of each prompt with a right and a wrong verdict one critique of either: rows for `pair_rows`.

    Of all such pairs that of the least difference in length is taken, of equal ones one drawn; none where the longer
    is more than `ratio` times as long as the other. Prompts of which all verdicts are right, or none, give no pair.

    Args:
      net: the reference, which drew them.
      drawn: of `critiques`.

    Raises:
      ValueError: there is no pair.

    Reference: RISE-Judge, arXiv 2502.11689: the items of its second stage.

    >>> # pairs = run.make("pairs", hard_pairs, judge, drawn, 1.3, 0)
    """
    told, rng = drawn.value, np.random.default_rng(seed)
    chosen = [own for own in map(_closest(told, ratio, rng), range(len(told["said"]))) if own is not None]
    if not chosen:
        raise ValueError(f"{net.name} gave no prompt a right and a wrong verdict: draw more, or train it less")
    prompt, *sides = np.array(chosen).T
    length, found = told["tokens"].shape[-1], {}
    for side, k in zip(SIDES, sides, strict=True):
        found[side] = told["tokens"][prompt, k]
        found[f"{side}_weights"] = answer_weights(told["starts"][prompt, k], told["ends"][prompt, k], length)
    return with_reference(Frozen.of(net), found) | {"prompt": prompt}


def _closest(told: Arrays, ratio: float, rng: np.random.Generator) -> Any:
    sizes = told["ends"] - told["starts"]

    def best(prompt: int) -> tuple[int, int, int] | None:
        right = told["said"][prompt] == prompt % 2
        both = [(int(i), int(j)) for i in np.flatnonzero(right) for j in np.flatnonzero(~right)]
        own = sizes[prompt]
        both = [(i, j) for i, j in both if max(own[i], own[j]) <= ratio * min(own[i], own[j])]
        if not both:
            return None
        least = min(abs(own[i] - own[j]) for i, j in both)
        near = [pair for pair in both if abs(own[pair[0]] - own[pair[1]]) == least]
        return (prompt, *near[int(rng.integers(len(near)))])

    return best


def sides_at_random(pairs: Result, seed: int) -> Arrays:
    """The same pairs, each with its sides exchanged with probability 1/2: a control that knows no verdict."""
    coin = np.random.default_rng(seed).integers(2, size=len(pairs.value["chosen"])).astype(bool)
    return exchanged(pairs.value, coin)


def chosen_rows(pairs: Result) -> Arrays:
    """The chosen critiques alone, for `learned_rows`: what the judge got right, without what it got wrong."""
    tokens = pairs.value["chosen"]
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": pairs.value["chosen_weights"]}


def answer_rows(made: Result, length: int, batch: int, seed: int = 0, count: int | None = None) -> MadeRows:
    """The batches that `bradley_terry` learns from, of what `run.make(..., answers_in_pairs, ...)` made."""
    rows = [Row(side, (length,), "int32") for side in SIDES] + [Row(f"{side}_weights", (length - 1,)) for side in SIDES]
    return MadeRows(rows=tuple(rows), of=made.fingerprint, arrays=made.value, batch=batch, seed=seed, count=count)


def verdicts(net: Result, made: Result, judging: Judging) -> list[list[int]]:
    """The likeliest verdicts on every pair, the right answer first and second: 0, 1 or -1."""
    return drawn_critiques(Frozen.of(net), judging, made.value, 1, 0)["said"].reshape(-1, 2).tolist()


def preferences(net: Result, made: Result, rows: JudgeRows) -> list[list[int]]:
    """The same of a reward model, which knows no order: the answer of the higher reward; of equal ones, neither."""
    told, frozen = answers_in_pairs(rows, made), Frozen.of(net)
    both = [apply(_rewards, frozen, {"tokens": told[s], "weights": told[f"{s}_weights"]}) for s in SIDES]
    ahead = both[0] - both[1]
    return np.stack([_place(ahead), _place(-ahead)], axis=1).tolist()


def _place(ahead: np.ndarray) -> np.ndarray:
    return np.where(ahead > 0, 0, np.where(ahead < 0, 1, -1))


def _rewards(model: Any, rows: Any) -> jax.Array:
    last = (rows["weights"] > 0) * np.arange(1, rows["weights"].shape[1] + 1)
    return model(rows["tokens"])[np.arange(len(last)), last.max(1)]


def measured(said: Sequence[Sequence[int]], pairs: Sequence[Pair]) -> dict[str, float]:
    """`judged_in_both_orders` of verdicts on pairs."""
    return judged_in_both_orders(np.array(said), [pair["kind"] for pair in pairs], np.array(list(map(longer, pairs))))


def own_pairs(made: Result, problems: Source, rows: JudgeRows) -> list[dict[str, Any]]:
    """Pairs of a policy's answers to one prompt, to be judged: the first and second drawn, the third and fourth, ...

    Only different answers, both of which have an end and fit into a judge's prompt. Which of the two is "right" here is
    what the pair calls the first; its "good" is what a verifier says of both.

    Args:
      made: of `rollouts.drawn_answers` to the problems.

    >>> # pairs = run.make("candidates", own_pairs, drawn, problems, rows)
    """
    told, found = made.value, []
    for row in range(0, len(told["prompt"]) - 1, 2):
        if told["prompt"][row] != told["prompt"][row + 1]:
            continue
        answers = [told["tokens"][k, told["starts"][k] : told["ends"][k]] for k in (row, row + 1)]
        texts = [rows.code.decode(answer) for answer in answers]
        fits = all(answer[-1] == SEP and 0 < len(answer) - 1 <= rows.words for answer in answers)
        if fits and texts[0] != texts[1]:
            number = int(told["prompt"][row])
            pair = {"question": problems[number]["question"], "right": texts[0], "wrong": texts[1]}
            good = [bool(told["right"][k] > 0) for k in (row, row + 1)]
            found.append(pair | {"template": number % len(TEMPLATES), "good": good})
    return found


def by_judge(made: Result, judge: Result, judging: Judging) -> list[int]:
    """Which answer of each pair is better, 0 or 1, where both orders agree; -1 where they do not."""
    said = np.array(verdicts(judge, made, judging))
    agree = (said >= 0).all(1) & (said[:, 0] != said[:, 1])
    return np.where(agree, said[:, 0], -1).tolist()


def by_verifier(made: Result) -> list[int]:
    """The same by a verifier: -1 where both are right, or both wrong."""
    return [-1 if good[0] == good[1] else int(good[1]) for good in (pair["good"] for pair in made.value)]


def at_random(made: Result, seed: int) -> list[int]:
    """The same by a coin."""
    return np.random.default_rng(seed).integers(2, size=len(made.value)).tolist()


def agreement(made: Result, labels: Result) -> dict[str, float]:
    """How many pairs are labelled, and how many of those with one right answer are labelled right."""
    truth, own = np.array(by_verifier(made)), np.array(labels.value)
    both = (truth >= 0) & (own >= 0)
    return {"labelled": float((own >= 0).mean()), "right": float((truth == own)[both].mean()) if both.any() else 0.0}


def preferred_rows(policy: Result, made: Result, labels: Result, rows: JudgeRows) -> Arrays:
    """Pairs with a label as rows for `pair_rows`, with log-probabilities of the policy that gave the answers.

    >>> # pairs = run.make("pairs", preferred_rows, policy, candidates, labels, rows)
    """
    found: Arrays = {}
    kept = [(pair, best) for pair, best in zip(made.value, labels.value, strict=True) if best >= 0]
    if not kept:
        raise ValueError(f"{labels.name} labels none of {len(made.value)} pairs")
    for side in SIDES:
        told = []
        for pair, best in kept:
            answer = pair[("right", "wrong")[best if side == "chosen" else 1 - best]]
            first, second = rows.code.encode([pair["question"], answer])
            told.append(
                answer_row(np.append(np.int32([CLS]), first), np.append(second, np.int32(SEP)), rows.answered - 1)
            )
        found[side], found[f"{side}_weights"] = (np.stack(column) for column in zip(*told, strict=True))
    return with_reference(Frozen.of(policy), found)

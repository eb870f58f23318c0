"""Pairs of a model's own answers, the better one beside the worse: made once, then trained on."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows, PromptedText, answer_row
from stagejax.decode.pairs import ordered_pairs
from stagejax.inference import Frozen, apply
from stagejax.inference.answering import Answering, ask, four
from stagejax.objectives.rewards.preference import answer_logprobs
from stagejax.result import Result

SIDES = ("chosen", "rejected")
#: Rows at once whose log-probabilities are taken.
AT_ONCE = 64


def own_pairs(net: Result, data: PromptedText, how: Answering, seed: int) -> dict[str, np.ndarray]:
    """Of four answers to each prompt a right one, the shortest, before a wrong one; or before the longest right one.

    Returns:
      For each side its tokens (pairs, length), its `_weights` (pairs, length - 1), 1 on the answer, and its
      `_reference` (pairs,), the log-probability under the model that answered; and `drawn`, the length of every answer.

    Raises:
      ValueError: no prompt was answered right.

    >>> # pairs = run.make("pairs", own_pairs, tuned, prompts, Answering(verified, 76, 25), 0)
    """
    frozen, drawn = Frozen.of(net), []
    rows: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {side: [] for side in SIDES}
    for start in range(0, data.size(), data.batch):
        batch = data.take(np.arange(start, start + data.batch)) | {"key": jax.random.key(1000 * seed + start)}
        found, right = ask(four, frozen, batch, how)
        drawn.append(found.ends_BN - found.starts_BN)
        for b, *both in ordered_pairs(found, right):
            tokens, begin = found.tokens_BNS[b], found.starts_BN[b, 0]
            for side, i in zip(SIDES, both, strict=True):
                answer = tokens[i, begin : found.ends_BN[b, i]]
                rows[side].append(answer_row(tokens[i, :begin], answer, how.length - 1))
    if not rows["chosen"]:
        raise ValueError(f"{net.name} answered none of {data.size()} prompts right: train it longer before")
    made = {"drawn": np.concatenate(drawn)}
    for side in SIDES:
        tokens, weights = (np.stack(part) for part in zip(*rows[side], strict=True))
        made |= {side: tokens, f"{side}_weights": weights}
    return with_reference(frozen, made)


def with_reference(net: Frozen, pairs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pairs, and of each side `_reference` (pairs,): its log-probability under the network, summed by its weights.

    >>> # made = with_reference(Frozen.of(tuned), {"chosen": tokens, "chosen_weights": weights, "rejected": ...})
    """
    rows = {side: {"tokens": pairs[side], "weights": pairs[f"{side}_weights"]} for side in SIDES}
    return pairs | {f"{side}_reference": apply(_logprobs, net, own, AT_ONCE) for side, own in rows.items()}


def exchanged(pairs: dict[str, np.ndarray], which: Bool[np.ndarray, " pairs"]) -> dict[str, np.ndarray]:
    """Pairs of which some have their sides exchanged: those of a coin say nothing of which answer is better."""
    found = dict(pairs)
    for of in ("", "_weights", "_reference"):
        one, other = (pairs[side + of] for side in SIDES)
        own = which.reshape(-1, *(1,) * (one.ndim - 1))
        found |= {SIDES[0] + of: np.where(own, other, one), SIDES[1] + of: np.where(own, one, other)}
    return found


def drawn_tokens(made: dict[str, np.ndarray]) -> int:
    """How many tokens were drawn for the pairs."""
    return int(made["drawn"].sum())


def pair_rows(made: Result, length: int, batch: int, seed: int) -> MadeRows:
    """The batches that `Preference` learns from, of what `run.make(..., own_pairs, ...)` found."""
    rows = [Row(side, (length,), "int32") for side in SIDES]
    rows += [Row(f"{side}_weights", (length - 1,)) for side in SIDES] + [Row(f"{side}_reference") for side in SIDES]
    return MadeRows(rows=tuple(rows), of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)


def _logprobs(model: Any, rows: dict[str, jax.Array]) -> jax.Array:
    return answer_logprobs(model, rows["tokens"], rows["weights"])

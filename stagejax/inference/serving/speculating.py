"""Speculative and direct sampling of an emulated model, beside each other: equal distributions, acceptance, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from stagejax.decode import Prompts, Speculated, Together, speculative_sample, steered
from stagejax.inference import Frozen
from stagejax.inference.prompts.emulating import Way
from stagejax.inference.several import ask_together
from stagejax.steps.windows import interleaved


def speculative_answers(nets: Sequence[Frozen], batch: Mapping[str, Any], key: jax.Array, way: Way, block: int) -> Any:
    """Answers of base, reference and one tuned model, which drafts; both others score each block in one pass.

    They have the distribution of `way.answers(nets, batch, key)` with the weight 1.
    """
    prompts = {"tokens": batch["tokens"], "lengths": batch["lengths"], "key": key}
    return ask_together(_speculated, nets, prompts, way, block)


def _speculated(models: Sequence[Any], batch: Mapping[str, Any], way: Way, block: int) -> Speculated:
    base, reference, tuned = models

    def score(pair: Any, drafted: jax.Array) -> jax.Array:
        return steered(*pair, [drafted], top_p=way.top_p)

    how = {"length": way.length, "limit": way.limit, "stops": way.stops, "block": block, "score": score}
    prompts = Prompts(batch["tokens"], batch["lengths"])
    return speculative_sample(Together((base, reference)), tuned, prompts, batch["key"], **how)


def compare_samplers(
    nets: Sequence[Frozen], way: Way, block: int, prompt: Mapping[str, Any], calls: int, rows: int
) -> dict[str, Any]:
    """Calls × rows answers to one prompt by each sampler.

    Returns:
      "p": p-values of equal distributions of the first token and of whole answers; "answers", "tokens" drawn by the
      speculative one; "accepted", the share of drafted tokens that were judged and kept; "a round": tokens for one pass
      of the base.
    """
    many = {name: np.repeat(prompt[name], rows, axis=0) for name in ("tokens", "lengths")}
    start, counts = int(prompt["lengths"][0]), np.zeros(3)
    direct, drafted = [], []
    for call in range(calls):
        direct.append(way.answers(nets, many, jax.random.key(call)).tokens_BNS[:, 0, start:])
        found = speculative_answers(nets, many, jax.random.key(calls + call), way, block)
        drafted.append(found.samples.tokens_BNS[:, 0, start:])
        counts += [x.sum() for x in (found.rounds_B, found.judged_B, found.accepted_B)]
    one, other = np.concatenate(direct), np.concatenate(drafted)
    rounds, judged, accepted = counts.tolist()
    tokens = int((other > 0).sum())
    return {
        "p": {"first token": same_distribution(one[:, :1], other[:, :1]), "answer": same_distribution(one, other)},
        "answers": calls * rows,
        "tokens": tokens,
        "accepted": accepted / judged,
        "a round": tokens / rounds,
    }


def median_seconds(
    nets: Sequence[Frozen], way: Way, block: int, prompts: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """Seconds of one answer, by each sampler: the median over prompts behind the first one, which compiles."""
    keyed = [(prompt, jax.random.key(number)) for number, prompt in enumerate(prompts)]
    for_one, for_other = iter(keyed), iter(keyed)
    ways = {
        "direct": lambda: way.answers(nets, *next(for_one)),
        "speculative": lambda: speculative_answers(nets, *next(for_other), way, block),
    }
    return {name: float(np.median(own)) for name, own in interleaved(ways, len(keyed) - 1).items()}


def same_distribution(one: np.ndarray, other: np.ndarray, least: int = 10) -> float:
    """The p-value of a chi-square test that the rows of two samples have one distribution.

    Rows seen fewer than `least` times in both samples together share a cell.

    >>> draws = np.random.default_rng(0).integers(0, 4, (2, 1000, 1))
    >>> same_distribution(*draws) > 0.01, same_distribution(draws[0], draws[1] // 2) > 0.01
    (True, False)
    """
    from scipy.stats import chi2_contingency

    _, cells = np.unique(np.concatenate([one, other]), axis=0, return_inverse=True)
    cells = cells.reshape(-1)
    table = np.stack([np.bincount(part, minlength=cells.max() + 1) for part in (cells[: len(one)], cells[len(one) :])])
    often = table.sum(0) >= least
    table = np.concatenate([table[:, often], table[:, ~often].sum(1, keepdims=True)], axis=1)
    table = table[:, table.sum(0) > 0]
    return float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0

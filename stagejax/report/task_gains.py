"""How much designs of multi-task learning gain over single-task models, relative and task by task.

Scores are {seed: {design: {task: score}}}, and higher is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stagejax.report.seeds import mean
from stagejax.report.tables import Table

Scores = Mapping[int, Mapping[str, Mapping[str, float]]]


def relative_gain(own: Mapping[str, float], single: Mapping[str, float], tasks: Sequence[str]) -> float:
    """Δ = mean over tasks of (M_t - S_t) / S_t, in %; NaN where a score of the single-task model is 0.

    Reference: Maninis et al. 2019, https://arxiv.org/abs/1904.08918, equation 4.

    >>> round(relative_gain({"a": 0.6, "b": 0.9}, {"a": 0.5, "b": 1.0}, ("a", "b")), 6)
    5.0
    """
    pairs = [(own[task], single[task]) for task in tasks]
    return 100 * mean([(m - s) / s if s else float("nan") for m, s in pairs])


def gains_of(found: Scores, label: str, single: str, tasks: Sequence[str]) -> tuple[list[float], list[int]]:
    """Δ and the number of tasks with negative transfer (M_t < S_t), of each seed that has the design.

    >>> found = {0: {"one": {"a": 0.5, "b": 1.0}, "all": {"a": 0.6, "b": 0.9}}}
    >>> [round(gain, 6) for gain in gains_of(found, "all", "one", ("a", "b"))[0]], gains_of(found, "all", "one", "b")[1]
    ([5.0], [1])
    """
    own = [(scores[label], scores[single]) for scores in found.values() if label in scores]
    return [relative_gain(m, s, tasks) for m, s in own], [sum(m[t] < s[t] for t in tasks) for m, s in own]


def with_interval(values: Sequence[float]) -> str:
    """The mean over seeds and its 95 % interval by Student's t; of one seed the value alone, of none or NaN nothing.

    >>> with_interval([1.0, 2.0, 3.0]), with_interval([1.0]), with_interval([])
    ('+2.0 [-0.5, +4.5]', '+1.0', '')
    """
    from scipy.stats import sem, t

    if not len(values) or np.isnan(values).any():
        return ""
    if len(values) == 1:
        return f"{values[0]:+.1f}"
    half = float(t.ppf(0.975, len(values) - 1) * sem(values))
    return f"{mean(values):+.1f} [{mean(values) - half:+.1f}, {mean(values) + half:+.1f}]"


def gains_table(
    found: Scores, designs: Sequence[str], singles: Sequence[str], tasks: Sequence[str], conflicts: Mapping[str, float]
) -> Table:
    """Δ with its interval and tasks with negative transfer, of every design against every kind of single-task models.

    Args:
      conflicts: of some designs, the share of pairs of tasks whose gradients have a negative cosine.

    >>> found = {s: {"one": {"a": 0.5, "b": 1.0}, "all": {"a": 0.6, "b": 0.9}} for s in range(2)}
    >>> gains_table(found, ["all"], ["one"], ["a", "b"], {}).cells()
    [['all', '+5.0 [+5.0, +5.0]', '1.0', '–']]
    """
    rows: list[tuple[Any, ...]] = []
    for label in designs:
        each = [gains_of(found, label, single, tasks) for single in singles]
        harmed = [mean(own) for _, own in each]
        rows.append((label, *(with_interval(own) for own, _ in each), *harmed, conflicts.get(label)))
    over, below = (tuple(f"{what} {single}" for single in singles) for what in ("Δ, %, over", "below"))
    note = (
        "Δ: mean over tasks of (M - S) / S, with its 95 % interval over seeds by Student's t. Below: on how many of "
        f"{len(tasks)} tasks M < S (negative transfer), mean over seeds. Conflicts: pairs of tasks whose gradients of "
        "the encoder have a negative cosine."
    )
    formats = ("", *("" for _ in singles), *(".1f" for _ in singles), ".1%")
    return Table("Gains over single-task models", ("design", *over, *below, "conflicts"), tuple(rows), formats, note)

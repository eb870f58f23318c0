"""Time to accuracy: the curves of arms over seconds, at the pace of the program that all of them run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from stagejax.report.curves import Arm


def pace_of(arms: Iterable[Arm]) -> float:
    """Seconds of a step, evaluation included: the median over all trained stages; NaN of none, as in planning.

    The first stage of a program also compiles it, and a machine has other things to do: a median minds neither.
    """
    paces = [float(r.cost.seconds / r.steps) for arm in arms for r in arm.results if r.steps and r.cost.seconds]
    return statistics.median(paces) if paces else float("nan")


def in_seconds(arm: Arm, pace: float) -> Arm:
    """The arm with seconds in the place of FLOPs, for `curve` and `flops_to_reach`.

    A trained stage, whether its own or charged, takes `pace` a step; all else, such as scoring data or a search, what
    was measured.

    >>> # flops_to_reach(curve(in_seconds(arm, pace), metric="accuracy", with_source=True), 0.7, rising=True)
    """

    def timed(result: Any) -> Any:
        seconds = result.steps * pace if result.kind == "train" else result.cost.seconds
        evals = [row | {"flops": row["step"] * pace} for row in result.history.evals]
        cost, history = replace(result.cost, flops=seconds), replace(result.history, evals=evals)
        return replace(result, cost=cost, history=history)

    return replace(arm, results=tuple(map(timed, arm.results)), charged=tuple(map(timed, arm.charged)))

"""How far held-out and training loss are apart while a model trains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stagejax.ledger import Number
from stagejax.report.curves import Result
from stagejax.report.figures import Figure
from stagejax.report.paired import lines
from stagejax.report.seeds import mean


def training_loss(result: Result, start: Number, stop: Number, metric: str = "loss") -> float:
    """The mean loss of the batches of some steps, each before its step; NaN where nothing was measured.

    Of batches that were never read before it is an unbiased estimate of the loss on the text that they come from.
    """
    return mean(result.history.train.get(metric, [])[max(0, round(start)) : round(stop)])


def gaps(result: Result, around: Number, metric: str = "loss") -> dict[int, float]:
    """Held-out less training loss at each evaluation, the latter over `around` steps before it and behind it.

    >>> from types import SimpleNamespace
    >>> losses = {"loss": [4.0, 3.0, 2.0, 1.0]}
    >>> history = SimpleNamespace(train=losses, evals=[{"step": 2, "loss": 2.75}, {"step": 4, "loss": 2.0}])
    >>> result = SimpleNamespace(name="", kind="train", digest="", steps=4, cost=None, history=history)
    >>> gaps(result, around=1)
    {2: 0.25, 4: 1.0}
    """
    rows = {row["step"]: float(np.mean(row[metric])) for row in result.history.evals if metric in row}
    return {k: loss - training_loss(result, k - around, k + around, metric) for k, loss in rows.items()}


def draw_gaps(results: Mapping[str, Result], around: Number, first: Number = 0) -> Figure:
    """The gaps of several stages that are evaluated at the same steps, behind step `first`."""
    found = {label: gaps(result, around) for label, result in results.items()}
    at = [step for step in next(iter(found.values())) if step > first]
    series = {label: np.array([own[step] for step in at]) for label, own in found.items()}
    caption = f"The training loss is of {around:g} steps before and behind."
    title = "Held-out less training loss"
    return lines(title, series, xlabel="steps", ylabel="gap in nats", at=at, caption=caption)

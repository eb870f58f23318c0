"""Validation beside the test: a stage whose whole run is also a pilot, chosen by data that no claim speaks of."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from stagejax.data.abreast import Abreast, part
from stagejax.data.portion import Portion
from stagejax.stage import Stage

VALIDATION = "validation"


def halves(data: Any, batches: int) -> tuple[Any, Any]:
    """Held-out data of two halves of the held-out records: for the test, and for validation.

    >>> from stagejax.data import Digits, Images
    >>> [len(half.source) for half in halves(Images(source=Digits(), batch=4), 2)]
    [179, 180]
    """
    held = data.held_out(batches)
    parts = Portion(held.source, start=0.5), Portion(held.source, stop=0.5)
    return replace(held, source=parts[0]), replace(held, source=parts[1])


def with_validation(stage: Stage, data: Any) -> Stage:
    """The stage, evaluated on as many batches of `data` beside its own: their metrics are `validation/loss` and so on.

    >>> # tuned, others = kept_peak(run, peaks, "SFT", with_validation(stage, dev), rates, score=on_validation)
    """
    own = stage.evaluate
    if own is None:
        raise ValueError(f"stage {stage.name!r} has no evaluation to which validation could be added")
    members: Any = (("", own.data), (VALIDATION, data))
    both: Any = Abreast(members=members, count=own.batches)
    measured = functools.partial(on_both, own.objective or stage.objective)
    return replace(stage, evaluate=replace(own, data=both, objective=measured))


def on_both(objective: Any, model: Any, batch: Any, key: Any) -> Any:
    """The loss and metrics on a batch, and beside these the metrics on the part of it that is for validation."""
    loss, metrics = objective(model, batch, key)
    beside = objective(model, part(batch, VALIDATION), key)[1]
    return loss, {**metrics, **{f"{VALIDATION}/{name}": value for name, value in beside.items()}}


def on_validation(result: Any, metric: str = "loss") -> float:
    """The last evaluation's value of a metric on validation data; NaN in a plan."""
    return float(result.history.last(f"{VALIDATION}/{metric}"))

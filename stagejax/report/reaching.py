"""The first evaluation at which something was reached, without interpolation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def steps_until(evals: Iterable[Mapping[str, Any]], reached: Callable[[Mapping[str, Any]], Any]) -> int | None:
    """The step of the first evaluation of which `reached` is true; None where it is of none.

    `flops_to_reach` interpolates the curve of an arm between two evaluations; this asks of each what has several parts.

    >>> steps_until([{"step": 0, "loss": 3.0}, {"step": 20, "loss": 2.0}], lambda row: row["loss"] <= 2.5)
    20
    """
    return next((int(row["step"]) for row in evals if reached(row)), None)

"""Budgets: what stages cost, and how long one may be so that the arms of a comparison cost the same.

rival = run.train(within(stage, flops(*ours)))
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stagejax.identity import once_a_program
from stagejax.ledger import total
from stagejax.program import build
from stagejax.stage import Stage


@once_a_program
def step_flops(stage: Stage) -> int:
    """Matrix-multiplication FLOPs of one step of a stage, as it is charged for them; counted once for each program."""
    return build(stage, None).step_flops()


def flops(*results: Any) -> float:
    """Training FLOPs of several results together."""
    return float(total(result.cost for result in results).flops)


def within(stage: Stage, budget: float, at_least: int = 1) -> Stage:
    """The stage with as many steps as a budget of FLOPs pays for, to the nearest one.

    Args:
      at_least: steps that it has in any case.
    """
    return replace(stage, steps=max(at_least, round(budget / step_flops(stage))))

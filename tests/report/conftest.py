"""Results of stages as the report sees them, without any training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from stagejax.ledger import Cost


@dataclass(frozen=True)
class FakeHistory:
    train: dict[str, list[Any]] = field(default_factory=dict)
    train_steps: list[int] = field(default_factory=list)
    evals: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class FakeResult:
    name: str
    kind: str = "train"
    digest: str = "d" * 64
    steps: int = 0
    cost: Cost = field(default_factory=Cost)
    history: FakeHistory = FakeHistory()
    parameters: int = 0
    handover: tuple[tuple[str, ...], ...] = ()
    receipt: Any = None


def trained(name, losses, *, every=10, flops=1.0, **fields):
    """A stage evaluated every `every` steps, each step costing `flops`; a loss may be a list, one for each replica."""
    seeds = len(losses[0]) if isinstance(losses[0], list) else 1
    rows = [{"step": i * every, "flops": i * every * flops * seeds, "loss": loss} for i, loss in enumerate(losses)]
    steps = (len(losses) - 1) * every
    cost = Cost(flops=steps * flops * seeds, eval_flops=1.0, tokens=steps * 8, steps=steps, seconds=1.5)
    return FakeResult(name, steps=steps, cost=cost, history=FakeHistory(evals=rows), **fields)


def planned(name):
    """A stage in plan mode: costs but no measurements."""
    return FakeResult(name, steps=10, cost=Cost(flops=10.0, steps=10), digest="")


@pytest.fixture
def fakes():
    """The makers of fake results."""
    return FakeResult, trained, planned

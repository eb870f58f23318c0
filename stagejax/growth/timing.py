"""When to grow: policies as plain values, usable with any operator.

A policy looks at how the loss of a stage fell and says after which step to grow, or None: not yet, or never.

    small = run.train(stage, until=LossSlope(-0.0475))    # ends when it is time, and resumes exactly
    if small.grows:                                       # not growing is an outcome
        start = run.grow("start", small, to=large, operator=Decoalesce())
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Curve:
    """The held-out loss of a stage at some of its steps, and what it had cost by then."""

    steps: tuple[int, ...]
    flops: tuple[float | int, ...]
    losses: tuple[float | int, ...]
    tokens: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.steps) == len(self.flops) == len(self.losses):
            raise ValueError(f"a curve of {len(self.steps)} steps, {len(self.flops)} costs, {len(self.losses)} losses")

    @classmethod
    def of(cls, history: Any, metric: str = "loss") -> Curve:
        """The curve of a stage's history, by its evaluations (replicas are averaged)."""
        rows = [row for row in history.evals if metric in row]
        return cls(
            tuple(row["step"] for row in rows),
            tuple(float(row["flops"]) for row in rows),
            tuple(float(np.mean(row[metric])) for row in rows),
            tuple(row["tokens"] for row in rows),
        )


@runtime_checkable
class Policy(Protocol):
    """What all policies do."""

    def __call__(self, curve: Curve) -> int | None:
        """The step after which to grow, from a curve; None while, or if, it is not time."""
        ...


@dataclass(frozen=True)
class AtStep:
    """After a fixed number of steps, if the stage comes so far.

    >>> AtStep(300)(Curve((0, 200, 400), (0, 1, 2), (4, 3, 2)))
    300
    """

    step: int

    def __call__(self, curve: Curve) -> int | None:
        return self.step if curve.steps and curve.steps[-1] >= self.step else None


@dataclass(frozen=True)
class AtTokens:
    """After a number of tokens, rounded up to a whole step.

    >>> AtTokens(1000)(Curve((0, 4), (0, 1), (4, 3), tokens=(0, 1200)))
    4
    """

    tokens: float | int

    def __call__(self, curve: Curve) -> int | None:
        if not curve.tokens or curve.tokens[-1] < self.tokens or not curve.steps[-1]:
            return None
        return math.ceil(self.tokens * curve.steps[-1] / curve.tokens[-1])


def g_stack(parameters: float | int, flops: float | int) -> AtTokens:
    """G_stack's formula: log10 d = 0.88 log10 N + 163.27 / log10 C - 5.74, in tokens d.

    Args:
      parameters: N, of the grown model.
      flops: C, the whole budget.

    Du et al. 2024 (arXiv 2405.15319), equation 2; their example, 7B on 2T tokens, is d = 11.1B.

    >>> round(g_stack(7e9, 6 * 7e9 * 2e12).tokens / 1e9)
    11
    """
    if parameters <= 1 or flops <= 1:
        raise ValueError(f"parameters={parameters} and flops={flops} must be larger than 1")
    return AtTokens(10 ** (0.88 * math.log10(parameters) + 163.27 / math.log10(flops) - 5.74))


@dataclass(frozen=True)
class LossSlope:
    """As soon as d log loss / d log compute is flatter than a threshold: the rule of staged training.

    The slope is that of a least-squares line through the last `window` evaluations. The published thresholds, fitted on
    GPT-2, are -0.0475 before doubling the width, -0.0575 before doubling the depth and -0.03 before both; a model is
    best stopped at -0.052. Shen et al. 2022 (arXiv 2203.06211), section 4. Fit your own where you can.

    >>> curve = Curve((1, 2, 3, 4), (1.0, 10.0, 100.0, 1000.0), (8.0, 4.0, 3.9, 3.8))
    >>> LossSlope(-0.05, window=2, after=1)(curve)
    3
    """

    threshold: float
    window: int = 3  # evaluations
    after: int = 0  # steps: never before

    def __post_init__(self) -> None:
        if self.threshold >= 0 or self.window < 2:
            raise ValueError(
                f"threshold={self.threshold}, window={self.window}: a slope below 0, and at least 2 evaluations"
            )

    def __call__(self, curve: Curve) -> int | None:
        for end in range(self.window, len(curve.steps) + 1):
            part = slice(end - self.window, end)
            if curve.steps[end - 1] >= self.after and self.slope(curve, part) > self.threshold:
                return curve.steps[end - 1]
        return None

    def slope(self, curve: Curve, part: slice = slice(None)) -> float:
        """d log loss / d log compute over a part of a curve; minus infinity where compute is 0 or a loss negative."""
        flops, losses = np.asarray(curve.flops[part]), np.asarray(curve.losses[part])
        if (flops <= 0).any() or (losses <= 0).any():
            return -math.inf
        x, y = np.log(flops), np.log(losses)
        return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


@dataclass(frozen=True)
class Turned:
    """As soon as the loss was for `patience` evaluations in a row not below the lowest one before: early stopping.

    Reference: Prechelt, Early stopping, but when?, 1998 (criterion UP, of evaluations against the lowest).

    >>> curve = Curve((0, 10, 20, 30, 40), (0, 1, 2, 3, 4), (5.0, 4.0, 4.1, 3.9, 3.95))
    >>> Turned()(curve), Turned(patience=2)(curve)
    (20, None)
    """

    patience: int = 1

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"patience={self.patience}: at least one evaluation")

    def __call__(self, curve: Curve) -> int | None:
        lowest, since = math.inf, 0
        for step, loss in zip(curve.steps, curve.losses, strict=True):
            lowest, since = min(lowest, loss), 0 if loss < lowest else since + 1
            if since >= self.patience:
                return step
        return None


def time_to_grow(policy: Policy, history: Any) -> bool:
    """Whether a policy says so of a stage's history."""
    return policy(Curve.of(history)) is not None


@dataclass(frozen=True)
class First:
    """The earliest decision of several policies.

    >>> First((AtStep(300), AtStep(200)))(Curve((0, 400), (0, 1), (4, 3)))
    200
    """

    policies: tuple[Policy, ...]

    def __call__(self, curve: Curve) -> int | None:
        return min((step for policy in self.policies if (step := policy(curve)) is not None), default=None)

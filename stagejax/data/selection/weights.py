"""Mixture weights that follow what is still hard: states that take in evaluation losses and give shares of the data.

A state is a plain value. It depends on the losses that were observed and on nothing else, so a run that has those in
its history has the state too, wherever it was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from jaxtyping import Float

Losses = tuple[float, ...]


class MixtureWeights(Protocol):
    """What every state of online mixture weights offers."""

    @property
    def p(self) -> Losses:
        """The share of each training skill, which sum to 1."""
        ...

    def observe(self, losses: Sequence[float]) -> MixtureWeights:
        """The state after one more evaluation: the loss of each evaluation skill."""
        ...


@dataclass(frozen=True)
class FixedWeights:
    """Shares that no loss changes; only their ratio counts.

    >>> FixedWeights((1, 3)).observe([2.0, 1.0]).p
    (0.25, 0.75)
    """

    shares: tuple[float | int, ...]

    @property
    def p(self) -> Losses:
        return normalised(np.array(self.shares, np.float64))

    def observe(self, losses: Sequence[float]) -> FixedWeights:
        return self


@dataclass(frozen=True)
class ExponentialWeights:
    """p_i ∝ prior_i · exp(eta · sum over the last `window` evaluations τ of sum_j A_ij L_j(τ)), recomputed every time.

    Before the first evaluation all losses are taken as 1, once. Without a graph, A = identity, each skill weighs by its
    own loss alone; with A = ones all weigh the same.

    Args:
      graph: A, k rows of m numbers: how much training on skill i helps evaluation skill j.
      eta: step size.
      window: how many evaluations count, at least 1.
      prior: k weights, each positive; None: uniform.
      mean: take the mean over the window, not the sum, so that `eta` means the same before it is full.
      relative: divide each loss by the first one observed of its skill.
      seen: the last evaluations that were observed, oldest first, and `first` the very first; `observe` fills them.

    Reference: Chen et al. 2023, https://arxiv.org/abs/2307.14430, section 3.3, and the windowed form of their code.

    >>> state = ExponentialWeights(graph=((1.0, 0.5), (0.0, 1.0)), eta=0.5)
    >>> [round(share, 3) for share in state.p]
    [0.562, 0.438]
    >>> [round(share, 3) for share in state.observe([0.1, 2.0]).p]
    [0.389, 0.611]
    """

    graph: tuple[Losses, ...]
    eta: float = 0.5
    window: int = 3
    prior: Losses | None = None
    mean: bool = False
    relative: bool = False
    seen: tuple[Losses, ...] = ()
    first: Losses | None = None

    def __post_init__(self) -> None:
        widths, prior = {len(row) for row in self.graph}, self.prior
        if len(widths) != 1 or self.window < 1:
            raise ValueError(f"rows of {sorted(widths)} numbers and window={self.window}: one width, and at least 1")
        if prior is not None and (len(prior) != len(self.graph) or min(prior) <= 0):
            raise ValueError(f"prior={prior}: give one positive weight for each of {len(self.graph)} training skills")

    def observe(self, losses: Sequence[float]) -> ExponentialWeights:
        new = tuple(float(loss) for loss in losses)
        if len(new) != len(self.graph[0]) or not np.isfinite(new).all():
            raise ValueError(f"losses {new}: the graph has {len(self.graph[0])} evaluation skills, each with a number")
        return replace(self, seen=(*self.seen, new)[-self.window :], first=self.first or new)

    @property
    def p(self) -> Losses:
        graph = np.array(self.graph, np.float64)
        losses = np.array(self.seen, np.float64) if self.seen else np.ones((1, graph.shape[1]))
        if self.relative and self.first is not None:
            losses = losses / np.array(self.first)
        pull = self.eta * graph @ (losses.mean(0) if self.mean else losses.sum(0))
        prior = np.ones(len(graph)) if self.prior is None else np.array(self.prior, np.float64)
        return normalised(prior * np.exp(pull - pull.max()))


def normalised(weights: Float[np.ndarray, " k"]) -> Losses:
    """Weights as shares of 1."""
    return tuple((weights / weights.sum()).tolist())


def counts_of(p: Sequence[float], samples: int) -> tuple[int, ...]:
    """How many of `samples` each skill gives: floor(p_i · samples), and to the last what is left.

    >>> counts_of((0.35, 0.35, 0.3), 10)
    (3, 3, 4)
    """
    counts = [int(np.floor(share * samples + 1e-9)) for share in p]
    return (*counts[:-1], samples - sum(counts[:-1]))


def skill_graph(
    alone: Float[np.ndarray, " k"], paired: Float[np.ndarray, "k k"], *, strength: float = 0.5
) -> tuple[Losses, ...]:
    """The graph by brute force: 1 on the diagonal, `strength` where skill i helps skill j, 0 elsewhere.

    Training on i and j, half and half, helps j if the loss on j ends lower than after as many steps on j alone.

    Args:
      alone: loss on j after training on j.
      paired: [i, j], loss on j after training on i and j; the diagonal is not looked at.
      strength: of an edge.

    Reference: Chen et al. 2023, algorithm 2.

    >>> skill_graph(np.array([1.0, 2.0]), np.array([[0.0, 1.5], [1.2, 0.0]]))
    ((1.0, 0.5), (0.0, 1.0))
    """
    graph = np.where(paired < alone, strength, 0.0)
    np.fill_diagonal(graph, 1.0)
    return tuple(tuple(row) for row in graph.tolist())


def linear_skill_graph(before: Float[np.ndarray, " m"], after: Float[np.ndarray, "k m"]) -> tuple[Losses, ...]:
    """The graph by k short runs: A_ij = how much training on i lowers the loss on j, 0 where it does not.

    Reference: Chen et al. 2023, algorithm 3.

    >>> linear_skill_graph(np.array([2.0, 1.0]), np.array([[1.5, 1.25], [2.0, 0.5]]))
    ((0.5, 0.0), (0.0, 0.5))
    """
    return tuple(tuple(row) for row in np.maximum(before - after, 0.0).tolist())

"""Simulated annealing of many states side by side: worse ones are accepted while it is hot, and the best are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

States = np.ndarray  # (P, ...), one a chain


@dataclass(frozen=True)
class Annealed:
    """What was found: the best state of each chain, its energy, the moves that were made, the first temperature."""

    states: Shaped[np.ndarray, "P ..."]
    energies: Float[np.ndarray, " P"]
    moves: Int64[np.ndarray, " P"]
    temperatures: Float[np.ndarray, " P"]


@dataclass(frozen=True)
class Annealing:
    """A move from energy E to E + d is made where d < 0, else with probability exp(-d / T); T falls by `cooling`.

    Chains know nothing of each other, but for random numbers. What a chain has found is the state of the least energy
    that it has been in, its start among them; it ends behind `moves` moves, or when that state is `done`.

    Args:
      moves: of a chain at most.
      cooling: factor of T behind every `each` moves.
      uphill: share of uphill moves from the start that its first temperature lets pass.
      probes: moves from the start by which that temperature is found.

    Raises:
      ValueError: a share or a factor that is not between 0 and 1.

    References: Kirkpatrick et al. 1983, Optimization by simulated annealing, Science 220; the first temperature by a
    share of uphill moves: Ben-Ameur 2004, Computing the initial temperature of simulated annealing.

    >>> start, square = np.full((2, 1), 9.0), lambda x: (x**2).sum(1)
    >>> found = Annealing(moves=400)(start, square, lambda x, rng: x + rng.choice([-1, 1], x.shape))
    >>> found.states.tolist()
    [[0.0], [0.0]]
    """

    moves: int = 1000
    cooling: float = 0.95
    each: int = 10
    uphill: float = 0.8
    probes: int = 50

    def __post_init__(self) -> None:
        if not (0 < self.cooling < 1 and 0 < self.uphill < 1):
            raise ValueError(f"cooling={self.cooling}, uphill={self.uphill}: both are between 0 and 1")

    def __call__(
        self,
        start: States,
        energy: Callable[[States], Float[np.ndarray, " P"]],
        propose: Callable[[States, np.random.Generator], States],
        done: Callable[[States], Bool[np.ndarray, " P"]] | None = None,
        seed: int = 0,
    ) -> Annealed:
        """The best states from `start`.

        Args:
          energy, done: of all states together.
          propose: a move of each chain.
        """
        rng = np.random.default_rng(seed)
        states, energies = start.copy(), energy(start)
        best, least = states.copy(), energies.copy()
        uphill = np.stack([energy(propose(states, rng)) - energies for _ in range(self.probes)])
        temperatures = first_temperatures(uphill, self.uphill)
        moved = np.zeros(len(states), np.int64)
        for move in range(self.moves):
            going = np.ones(len(states), bool) if done is None else ~done(best)
            if not going.any():
                break
            heat = temperatures * self.cooling ** (move // self.each)
            tried = propose(states, rng)
            found = energy(tried)
            rise = np.maximum(found - energies, 0.0)
            chance = np.exp(-rise / np.maximum(heat, 1e-300))
            taken = going & (rng.random(len(states)) < chance)
            states[taken], energies[taken] = tried[taken], found[taken]
            better = energies < least
            best[better], least[better] = states[better], energies[better]
            moved += going
        return Annealed(best, least, moved, temperatures)


def first_temperatures(rises: Float[np.ndarray, "N P"], share: float) -> Float[np.ndarray, " P"]:
    """T at which the mean of exp(-d / T) over a chain's uphill moves d > 0 is `share`; 0 where there are none.

    >>> rises = np.array([[1.0, -1.0], [1.0, -2.0]])
    >>> first_temperatures(rises, 0.8).round(3).tolist()  # -1 / ln 0.8
    [4.481, 0.0]
    """
    up = rises > 0
    some = up.any(0)
    largest = np.where(up, rises, 0.0).max(0)
    low, high = np.zeros(rises.shape[1]), -largest / np.log(share)  # of the largest alone, `share` passes at `high`
    for _ in range(60):
        middle = (low + high) / 2
        passed = np.where(up, np.exp(-np.where(up, rises, 0.0) / np.maximum(middle, 1e-300)), 0.0)
        short = passed.sum(0) / np.maximum(up.sum(0), 1) < share
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.where(some, high, 0.0)

"""Evolutionary search: the best code by a score, among those that fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Evolution:
    """Evolutionary search over codes: the best are kept; children are mutants and mixtures of them, within limits.

    Reference: Real et al. 2019 (regularized evolution), https://arxiv.org/abs/1802.01548; Cai et al. 2020
    (once-for-all), https://arxiv.org/abs/1908.09791.

    >>> ones = lambda codes: codes.sum(1)
    >>> even = lambda code: code.sum() % 2 == 0
    >>> Evolution(rounds=8)(ones, np.zeros((1, 4), int), even, (2, 2, 2, 2))["code"]
    [1, 1, 1, 1]
    """

    population: int = 16
    rounds: int = 3
    mutants: int = 8
    mixtures: int = 8
    mutate: float = 0.3  # probability of each gene
    kept: int | None = None  # parents of a round; None: as many as the first population
    seed: int = 0

    @property
    def evaluated(self) -> int:
        """How many subnets are scored."""
        return self.population + self.rounds * (self.mutants + self.mixtures)

    def __call__(self, score: Any, first: np.ndarray, fits: Any, choices: tuple[int, ...]) -> dict[str, Any]:
        """The best code for `score` (codes -> numbers) of those that fit, from the codes `first` that do."""
        rng = np.random.default_rng(self.seed)
        codes = first[rng.integers(0, len(first), self.population)]
        scores, best = score(codes), []

        def child(make: Any) -> np.ndarray:
            for _ in range(100):
                code = make()
                if fits(code):
                    return code
            return codes[rng.integers(len(codes))]

        def mutant() -> np.ndarray:
            parent = codes[rng.integers(len(codes))]
            return np.where(rng.random(len(choices)) < self.mutate, rng.integers(0, choices), parent)

        def mixture() -> np.ndarray:
            one, other = codes[rng.integers(0, len(codes), 2)]
            return np.where(rng.random(len(choices)) < 0.5, one, other)

        for _ in range(self.rounds):
            born = np.stack([child(make) for make in [mutant] * self.mutants + [mixture] * self.mixtures])
            codes, scores = np.concatenate([codes, born]), np.concatenate([scores, score(born)])
            kept = np.argsort(-scores, kind="stable")[: self.kept or self.population]
            codes, scores = codes[kept], scores[kept]
            best.append(float(scores[0]))
        return {"code": codes[scores.argmax()].tolist(), "score": float(scores.max()), "best": best}

"""Evolutionary search: the best that fits, of as many as it says."""

import numpy as np

from stagejax.search.evolution import Evolution


def test_evolution_finds_the_best_that_fits_and_scores_as_many_as_it_says() -> None:
    seen = []

    def score(codes: np.ndarray) -> np.ndarray:
        seen.extend(codes)
        return codes.sum(1)

    evolution = Evolution(population=8, rounds=12, mutants=8, mixtures=8)
    found = evolution(score, np.zeros((1, 6), int), lambda code: code.sum() <= 9, (3,) * 6)
    assert found["score"] == 9
    assert found["best"] == sorted(found["best"])
    assert len(seen) == evolution.evaluated
    assert all(code.sum() <= 9 for code in seen)

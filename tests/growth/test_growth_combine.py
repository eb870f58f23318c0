"""Weighted sums of models: what each way to make one says of its weights, and what is refused."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import LARGE, SMALL, by_path, random_params

from stagejax.growth import Combine, Growth, GrowthError, grow

MODELS = [random_params(SMALL, seed) for seed in range(3)]
FLAT = [by_path(params) for params in MODELS]


def combined(operator: Combine) -> dict[str, np.ndarray]:
    others = {f"model{k}": MODELS[k] for k in range(1, len(operator.weights))}
    return by_path(grow(Growth(operator, SMALL, SMALL), MODELS[0], others=others))


def test_a_mean_is_the_mean() -> None:
    for where, leaf in combined(Combine.mean(3)).items():
        np.testing.assert_allclose(leaf, np.mean([flat[where] for flat in FLAT], 0), rtol=1e-5, atol=1e-7)


def test_away_moves_by_gamma_along_the_line_from_the_other_model() -> None:
    for where, leaf in combined(Combine.away(0.5)).items():
        start, other = FLAT[0][where], FLAT[1][where]
        np.testing.assert_allclose(leaf, start + 0.5 * (start - other), rtol=1e-5, atol=1e-6)


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=3))
def test_task_vectors_add_up_to_weights_of_one(scales: list[float]) -> None:
    weights = Combine.tasks(*scales).weights
    assert sum(weights) == pytest.approx(1)
    assert weights[1:] == tuple(scales)


def test_no_task_is_the_model_itself() -> None:
    jax.tree.map(np.testing.assert_array_equal, combined(Combine.tasks()), FLAT[0])


def test_models_of_other_sizes_are_refused() -> None:
    with pytest.raises(GrowthError, match="Keep layers=2 in the new configuration"):
        _ = Growth(Combine.mean(2), SMALL, LARGE).terms
    with pytest.raises(GrowthError, match="model1"):
        grow(Growth(Combine.mean(2), SMALL, replace(SMALL)), MODELS[0])

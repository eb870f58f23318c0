"""Values of a search as targets: tanh of the head, at the places that have one alone."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.rewards.state_values import searched_values

BATCH = {
    "tokens": jnp.array([[1, 2, 3], [4, 5, 6]]),
    "values": jnp.array([[9.0, 0.5, -1.0], [0.25, 9.0, 9.0]]),
    "weights": jnp.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
}


def test_it_is_the_mean_square_at_weighted_places() -> None:
    scores = jnp.array([[50.0, 0.3, -0.2], [1.0, 7.0, 7.0]])
    loss, metrics = searched_values(lambda tokens, key: scores, BATCH, None)
    each = [(np.tanh(0.3) - 0.5) ** 2, (np.tanh(-0.2) + 1) ** 2, (np.tanh(1.0) - 0.25) ** 2]
    assert float(loss) == pytest.approx(np.mean(each), rel=1e-5)
    assert float(metrics["loss"][1]) == 3


def test_what_stands_elsewhere_has_no_say() -> None:
    scores = jnp.zeros((2, 3))
    other = BATCH | {"values": jnp.where(BATCH["weights"] > 0, BATCH["values"], -5.0)}
    assert (
        searched_values(lambda *_, key: scores, BATCH, None)[0]
        == searched_values(lambda *_, key: scores, other, None)[0]
    )

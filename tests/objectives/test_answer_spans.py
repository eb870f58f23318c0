"""The span loss is the mean of two cross entropies, without padding and without rows that lack their answer."""

from __future__ import annotations

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from stagejax.objectives.text.answer_spans import answer_spans, likeliest_places

LOGITS = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
BATCH = {
    "tokens": jnp.array([[1, 5, 2, 6, 0], [1, 5, 2, 6, 7], [1, 5, 2, 6, 7]]),
    "types": jnp.zeros((3, 5), int),
    "start": jnp.array([1, 3, -1]),
    "end": jnp.array([3, 3, -1]),
}
MODEL = SimpleNamespace(places=lambda tokens, types, key=None: jnp.asarray(LOGITS))


def test_loss_is_the_mean_of_both_ends() -> None:
    def entropy(row: int, side: int, place: int, length: int) -> float:
        own = LOGITS[row, :length, side].astype(np.float64)
        return float(np.log(np.exp(own).sum()) - own[place])

    wanted = [entropy(0, 0, 1, 4) + entropy(0, 1, 3, 4), entropy(1, 0, 3, 5) + entropy(1, 1, 3, 5)]
    loss, metrics = answer_spans(MODEL, BATCH, None)
    np.testing.assert_allclose(float(loss), sum(wanted) / 4, rtol=1e-5)
    np.testing.assert_allclose([float(x) for x in metrics["loss"]], [sum(wanted) / 2, 2], rtol=1e-5)
    assert float(metrics["exact"][1]) == 2


def test_exact_rows_have_both_ends_right() -> None:
    said = likeliest_places(MODEL, BATCH)
    right = {**BATCH, "start": said[:, 0], "end": said[:, 1]}
    assert float(answer_spans(MODEL, right, None)[1]["exact"][0]) == 3
    half = {**right, "end": (said[:, 1] + 1) % 4}
    assert float(answer_spans(MODEL, half, None)[1]["exact"][0]) == 0
    assert int(said[0].max()) < 4  # no padding


def test_a_batch_without_an_answer_has_no_loss() -> None:
    none = {**BATCH, "start": jnp.full(3, -1), "end": jnp.full(3, -1)}
    assert float(answer_spans(MODEL, none, None)[0]) == 0

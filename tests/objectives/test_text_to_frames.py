"""Text to frames with a model that knows the alignment, and units that are asked for where nothing is seen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.sound.masked_units import masked_units
from stagejax.objectives.sound.text_to_frames import Binarised, aligned, frames_of_text, text_to_frames

TOKENS = jnp.array([[3, 1, 2, 0], [1, 2, 0, 0]])
PATH = np.array([[0, 0, 1, 2, 2, 2], [0, 1, 1, 1, 1, 1]])
COUNT = jnp.array([6, 4])


class Knowing:
    """A token is a one-hot vector, its frames are that vector, its frames' number is known."""

    def encoded(self, tokens: Any, speaker: Any) -> Any:
        return jax.nn.one_hot(tokens, 5) + speaker[:, None]

    def scores(self, x: Any, frames: Any) -> Any:
        return 20 * jnp.einsum("bte,bne->btn", frames, x)

    def frames(self, x: Any, token: Any, real: Any) -> Any:
        return jnp.take_along_axis(x, token[..., None], 1)

    def log_durations(self, x: Any) -> Any:
        return jnp.log(jnp.array([[2.0, 1.0, 3.0, 9.0], [1.0, 3.0, 9.0, 9.0]]))


FRAMES = np.take_along_axis(np.eye(5, dtype=np.float32)[np.asarray(TOKENS)], PATH[..., None], 1)
BATCH = {"tokens": TOKENS, "frames": FRAMES, "count": COUNT, "speaker": jnp.zeros((2, 5))}


@pytest.mark.slow
def test_a_model_that_knows_owes_next_to_nothing() -> None:
    path = np.asarray(aligned(Knowing(), BATCH)[3])
    real = np.arange(6) < np.asarray(COUNT)[:, None]
    assert (path[real] == PATH[real]).all()
    _, metrics = text_to_frames(Knowing(), BATCH, None)
    assert float(metrics["error"]) == 0
    assert float(metrics["duration"]) < 1e-6
    assert float(metrics["binarisation"]) < 1e-3
    without, _ = text_to_frames(Knowing(), BATCH, None, binarised=0.0)
    whole = sum(float(metrics[name]) for name in ("error", "duration", "forward_sum"))
    np.testing.assert_allclose(without, whole, rtol=1e-5)
    assert Binarised(0.5, 1.0)(0.5) == {"binarised": 0.0}


@pytest.mark.slow
def test_texts_become_frames_by_their_durations() -> None:
    made, count = frames_of_text(Knowing(), TOKENS, jnp.zeros((2, 5)), 6)
    assert count.tolist() == COUNT.tolist()
    np.testing.assert_array_equal(made[0], FRAMES[0])
    np.testing.assert_array_equal(made[1, :4], FRAMES[1, :4])  # padding has no frames


@pytest.mark.slow
def test_units_count_where_they_are_hidden_alone() -> None:
    seen = []

    def model(frames: Any, real: Any, hidden: Any, key: Any) -> Any:
        seen.append(hidden)
        return jnp.zeros((2, 30, 4))

    batch = {"frames": jnp.zeros((2, 30, 3)), "real": jnp.arange(30) < jnp.array([[30], [20]])}
    batch["units"] = jnp.zeros((2, 30), int)
    loss, metrics = masked_units(model, batch, jax.random.key(0))
    hidden = seen[0]
    assert 0 < int(hidden.sum()) < 50
    assert not hidden[1, 20:].any()  # beyond the utterance
    np.testing.assert_allclose(loss, np.log(4), rtol=1e-6)
    assert float(metrics["loss"][1]) == int(hidden.sum())
    others = masked_units(model, batch | {"units": jnp.where(hidden, 0, 3)}, jax.random.key(0))[1]
    assert float(others["accuracy"][0]) == float(metrics["accuracy"][0]) == int(hidden.sum())
    again = [masked_units(model, batch, None) and seen[-1] for _ in range(2)]
    assert (again[0] == again[1]).all()  # in evaluation

"""CTC against the sum over all paths, and what the likeliest path says."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.sound.recognition import collapsed, ctc


def said(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k, _ in itertools.groupby(path) if k)


@pytest.mark.slow
def test_the_loss_is_the_sum_over_all_paths_that_say_the_words() -> None:
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 3)), jnp.float32)
    real = jnp.arange(4) < jnp.array([[4], [3]])
    words = jnp.array([[1, 2], [2, 0]])
    batch = {"frames": logits, "real": real, "words": words}
    loss, metrics = ctc(lambda frames, real, key: (frames, real), batch, None)
    p = np.asarray(jax.nn.softmax(logits))
    wanted = []
    for row, (steps, target) in enumerate(((4, (1, 2)), (3, (2,)))):
        paths = (path for path in itertools.product(range(3), repeat=steps) if said(path) == target)
        wanted.append(-np.log(sum(np.prod([p[row, t, k] for t, k in enumerate(path)]) for path in paths)))
    np.testing.assert_allclose(loss, np.mean(wanted), rtol=1e-4)
    np.testing.assert_allclose(metrics["loss"][0], np.sum(wanted), rtol=1e-4)


def test_paths_collapse_as_they_are_read() -> None:
    paths = np.random.default_rng(1).integers(0, 3, (20, 6))
    found = np.asarray(collapsed(jnp.eye(3)[paths], jnp.ones((20, 6), bool)))
    for path, own in zip(paths, found, strict=True):
        assert tuple(own[own > 0].tolist()) == said(tuple(path.tolist()))

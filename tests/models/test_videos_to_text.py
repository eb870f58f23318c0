"""A captioner of several videos: what it sees, and what it does not."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import Axes, axes_of
from stagejax.models import Transformer
from stagejax.models.multimodal.videos_to_text import VideosToText
from stagejax.models.vision.cnn import CNN, ConvLayer

NET = Transformer(vocab=12, length=9, embed=16, layers=1, heads=2, mlp=16, causal=False, init_std=0.3)
CONFIG = VideosToText(CNN((8, 8, 6), (ConvLayer(4, stride=2),), (8,)), ("hidden.1", 8), NET, NET, videos=3)
ROWS = np.array([[[3, 3, 3, 7, 8], [3, 3, 0, 0, 0], [0, 0, 0, 0, 0]]], np.int32)


@pytest.fixture(scope="module")
def model() -> nnx.Module:
    return CONFIG.build(nnx.Rngs(0))


@pytest.fixture(scope="module")
def videos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (1, 3, 3, 8, 8, 3)).astype(np.uint8)


TOKENS = jnp.array([[2, 5, 6]])


@pytest.mark.slow
def test_what_a_row_hides_is_not_seen(model: nnx.Module, videos: np.ndarray) -> None:
    logits = model(jnp.asarray(videos), TOKENS, rows=jnp.asarray(ROWS))
    hidden = videos.copy()
    hidden[0, 1, 2:], hidden[0, 2] = 0, 0
    np.testing.assert_allclose(model(jnp.asarray(hidden), TOKENS, rows=jnp.asarray(ROWS)), logits, rtol=1e-5, atol=1e-5)
    for video, frame in ((0, 0), (0, 2), (1, 1)):
        seen = videos.copy()
        seen[0, video, frame] = 255 - seen[0, video, frame]
        assert np.abs(model(jnp.asarray(seen), TOKENS, rows=jnp.asarray(ROWS)) - logits).max() > 1e-4
    other = ROWS.copy()
    other[0, 0, 3] = 9
    assert np.abs(model(jnp.asarray(videos), TOKENS, rows=jnp.asarray(other)) - logits).max() > 1e-4


@pytest.mark.slow
def test_rows_are_encoded_alone_and_bear_their_number(model: nnx.Module, videos: np.ndarray) -> None:
    rows = np.repeat(ROWS[:, :1], 2, 1)
    same = jnp.asarray(np.repeat(videos[:, :1], 2, 1))
    memory = np.asarray(model.encode(same, rows=jnp.asarray(rows))).reshape(2, 5, 16)
    numbers = np.asarray(model.numbers.table[...])
    np.testing.assert_allclose(memory[1] - memory[0], np.tile(numbers[1] - numbers[0], (5, 1)), rtol=1e-4, atol=1e-5)
    alone = np.asarray(model.encode(same[:, :1], rows=jnp.asarray(rows[:, :1])))
    np.testing.assert_allclose(memory[0], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_decoding_steps_give_the_same_logits(model: nnx.Module, videos: np.ndarray) -> None:
    rows = jnp.asarray(ROWS)
    logits = model(jnp.asarray(videos), TOKENS, rows=rows)
    reading = model.reading(jnp.asarray(videos), rows)
    cache, found = reading.init_cache(1, 3), []
    for at in range(3):
        step, cache = reading.step(TOKENS[:, at : at + 1], cache)
        found.append(step)
    np.testing.assert_allclose(jnp.concatenate(found, 1), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_without_frames_texts_are_read(model: nnx.Module) -> None:
    rows = jnp.array([[[7, 8, 0], [9, 0, 0]]])
    logits = model(jnp.zeros((1, 2, 0, 8, 8, 3), jnp.uint8), TOKENS, rows=rows)
    assert logits.shape == (1, 3, 12)
    assert np.isfinite(logits).all()


def test_axes_are_those_of_its_parts() -> None:
    sizes = CONFIG.sizes()
    assert (sizes["videos"], sizes["hidden.1"], sizes["vocab.encoder"], sizes["vocab.decoder"]) == (3, 8, 12, 12)
    assert not any(name.startswith("classes") for name in sizes)
    named = axes_of(nnx.eval_shape(lambda: CONFIG.build(nnx.Rngs(0))))
    named = {name for own in jax.tree.leaves(named, is_leaf=lambda own: isinstance(own, Axes)) for name in own.names}
    assert named <= set(sizes)


def test_two_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="one width"):
        replace(CONFIG, decoder=replace(NET, embed=32))
    with pytest.raises(ValueError, match="one width"):
        replace(CONFIG, videos=0)

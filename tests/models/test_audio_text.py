"""The dual encoder of sounds: unit vectors, padding that says nothing, and pooling with and without order."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.multimodal.audio_text import AudioText
from stagejax.models.multimodal.dual_encoder import Tower

TOWER = Tower(1, 32, 64)
NET = AudioText(frames=32, bands=16, channels=(8, 16), audio=TOWER, text=TOWER, joint=16, vocab=20, length=6)
RNG = np.random.RandomState(0)


@pytest.mark.slow
def test_similarities_are_scaled_cosines() -> None:
    model = NET.build(nnx.Rngs(0))
    frames, tokens = jnp.asarray(RNG.normal(size=(3, 32, 16)), jnp.float32), jnp.asarray(RNG.randint(4, 20, (4, 6)))
    clips, texts = model.encode_audio(frames), model.encode_text(tokens)
    np.testing.assert_allclose(jnp.linalg.norm(clips, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(model(frames, tokens), clips @ texts.T / 0.07, rtol=1e-4)
    model.log_scale[...] = jnp.float32(99.0)
    np.testing.assert_allclose(model(frames, tokens), 100 * clips @ texts.T, rtol=1e-4)


@pytest.mark.slow
def test_padding_is_no_part_of_a_text() -> None:
    model = NET.build(nnx.Rngs(0))
    texts = model.encode_text(jnp.array([[5, 6, 7, 0, 0, 0], [5, 6, 7, 8, 0, 0]]))
    short = model.encode_text(jnp.array([[5, 6, 7]]))
    np.testing.assert_allclose(texts[0], short[0], atol=1e-5)
    assert np.abs(texts[1] - texts[0]).max() > 1e-3
    swapped = model.encode_text(jnp.array([[7, 6, 5]]))
    assert np.abs(swapped - short).max() > 1e-4  # words have an order


@pytest.mark.slow
def test_a_bag_cannot_hear_order_and_pieces_can() -> None:
    sounds = np.pad(RNG.normal(size=(2, 8, 16)), ((0, 0), (4, 4), (0, 0)))  # no convolution sees both
    first, second = sounds[:1], sounds[1:]
    clips = jnp.asarray(np.concatenate([np.concatenate(order, 1) for order in ((first, second), (second, first))]))
    bag, whole = (net.build(nnx.Rngs(0)) for net in (replace(NET, pieces=1, positions=False), NET))

    def moved(model: nnx.Module) -> float:
        a, b = model.encode_audio(clips.astype(jnp.float32))
        return float(jnp.abs(a - b).max())

    assert moved(bag) < 1e-5
    assert moved(whole) > 1e-2
    assert "position.audio" not in replace(NET, positions=False).sizes()


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="pieces=17: 16 time steps"):
        replace(NET, pieces=17)
    with pytest.raises(ValueError, match="must divide its embed"):
        replace(NET, text=Tower(1, 40, 64))
    model = NET.build(nnx.Rngs(0))
    with pytest.raises(ValueError, match="frames=32, bands=16"):
        model.encode_audio(jnp.zeros((1, 30, 16)))
    with pytest.raises(ValueError, match="length=6"):
        model.encode_text(jnp.ones((1, 7), int))

"""A speech translator: its sizes, padding, decoding with a cache, and what it takes from a recognizer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import Transformer
from stagejax.models.speech.recognizer import Recognizer
from stagejax.models.speech.speech_translator import SpeechTranslator

NET = Transformer(vocab=9, embed=16, layers=1, heads=2, mlp=24, causal=False, length=8)
CONFIG = SpeechTranslator(Recognizer(bands=8, embed=16, layers=2, heads=2, mlp=24, words=3), NET, NET)


@pytest.fixture(scope="module")
def model() -> nnx.Module:
    return CONFIG.build(nnx.Rngs(0))


@pytest.mark.slow
def test_padding_changes_nothing(model: nnx.Module) -> None:
    frames = jax.random.normal(jax.random.key(0), (1, 8, 8))
    tokens, mask = jnp.array([[1, 4, 5]]), jnp.ones((1, 4), bool)
    short = model(frames, tokens, mask=mask)
    longer = jnp.pad(frames, ((0, 0), (0, 4), (0, 0)), constant_values=7.0)
    np.testing.assert_allclose(short, model(longer, tokens, mask=jnp.pad(mask, ((0, 0), (0, 2)))), atol=1e-4)


@pytest.mark.slow
def test_steps_are_the_whole(model: nnx.Module) -> None:
    frames, mask = jax.random.normal(jax.random.key(1), (2, 8, 8)), jnp.ones((2, 4), bool)
    tokens = jnp.array([[1, 4, 5], [1, 6, 7]])
    read = model.reading(frames, mask)
    cache, found = read.init_cache(2, 3), []
    for at in range(3):
        logits, cache = read.step(tokens[:, at : at + 1], cache)
        found.append(logits)
    np.testing.assert_allclose(jnp.concatenate(found, 1), model(frames, tokens, mask=mask), atol=1e-4)


@pytest.mark.slow
def test_the_recognizers_head_is_inside(model: nnx.Module) -> None:
    frames = jax.random.normal(jax.random.key(1), (1, 8, 8))
    logits, real = model.speech(frames, jnp.ones((1, 8), bool))
    assert logits.shape == (1, 4, 4)
    assert real.all()
    sizes = CONFIG.sizes()
    assert (sizes["layers"], sizes["layers.upper"], sizes["layers.decoder"]) == (2, 1, 1)


def test_one_width_for_all() -> None:
    with pytest.raises(ValueError, match="one width"):
        SpeechTranslator(Recognizer(embed=32), NET, NET)

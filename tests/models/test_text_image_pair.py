"""The causal tower and its partner: what a state knows, and where a text is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import Transformer
from stagejax.models.multimodal.text_image_pair import TextImagePair
from stagejax.models.vision.cnn import CNN, ConvLayer

pytestmark = pytest.mark.slow  # compiles the model

TEXT = Transformer(vocab=9, embed=8, layers=2, heads=2, mlp=8, length=6, init_std=0.3, positions="rotary")
CONFIG = TextImagePair(TEXT, CNN((4, 4, 3), (ConvLayer(4, pool=True),), heads=(("label", (5,)),)))


@pytest.fixture(scope="module")
def model() -> Any:
    return CONFIG.build(nnx.Rngs(0))


def test_states_know_what_stands_before_them_and_ends_know_all(model: Any) -> None:
    one, two = jnp.array([[1, 4, 5, 6, 2, 2]]), jnp.array([[1, 4, 5, 7, 2, 2]])
    first, second = (np.asarray(model.states(tokens))[0] for tokens in (one, two))
    np.testing.assert_allclose(first[:3], second[:3], atol=1e-6)
    assert (np.abs(first - second)[3:].max(-1) > 1e-3).all()
    np.testing.assert_allclose((first**2).sum(-1), 8, rtol=1e-4)


def test_a_text_is_read_at_its_first_end(model: Any) -> None:
    images, tokens = jnp.ones((2, 4, 4, 3)), jnp.array([[1, 4, 2, 2, 2, 2], [1, 4, 2, 8, 8, 8], [1, 5, 2, 2, 2, 2]])
    found = np.asarray(model(images, tokens))
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=1e-5)
    assert (np.abs(found[:, 0] - found[:, 2]) > 1e-3).all()
    assert (np.abs(found) <= 1 / CONFIG.temperature + 1e-3).all()


def test_a_tower_that_sees_what_comes_or_is_too_low_is_refused() -> None:
    with pytest.raises(ValueError, match="causal"):
        replace(CONFIG, text=replace(TEXT, causal=False))
    with pytest.raises(ValueError, match="two or more"):
        replace(CONFIG, text=replace(TEXT, layers=1))
    assert CONFIG.joint == 5
    assert CONFIG.sizes()["classes"] == 5

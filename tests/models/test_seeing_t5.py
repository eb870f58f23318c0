"""A T5 that sees: its fusion is that of the formula, without an image it is the plain T5, and it decodes as it runs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.decode import Prompts, sample
from stagejax.models.multimodal.seeing_t5 import SeeingT5
from stagejax.models.t5 import T5
from stagejax.models.text.reading import Read

PLAIN = T5(vocab=13, embed=8, encoder_layers=1, decoder_layers=1, heads=2, head_dim=4, mlp=8)
TEXT = jnp.array([[5, 6, 7, 8], [9, 10, 0, 0]])
IMAGE = jax.random.normal(jax.random.key(1), (2, 4, 6))
SAID = jnp.array([[1, 5, 6], [1, 7, 8]])


@pytest.fixture(scope="module")
def model() -> Any:
    return SeeingT5.of(PLAIN, 6).build(nnx.Rngs(0))


@pytest.mark.slow
def test_fusion_is_attention_and_a_gate(model: Any) -> None:
    text, sight = np.asarray(model.encode(TEXT)), model.sight

    def dense(layer: Any, x: np.ndarray) -> np.ndarray:
        return x @ np.asarray(layer.kernel[...]) + (0 if layer.bias is None else np.asarray(layer.bias[...]))

    places = dense(sight.image, np.asarray(IMAGE))
    scores = np.einsum("bse,bme->bsm", dense(sight.query, text), dense(sight.key, places)) / np.sqrt(8)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    seen = dense(sight.out, np.einsum("bsm,bme->bse", shares, dense(sight.value, places)))
    gate = 1 / (1 + np.exp(-dense(sight.gate_text, text) - dense(sight.gate_image, seen)))
    np.testing.assert_allclose(model.encode(TEXT, image=IMAGE), (1 - gate) * text + gate * seen, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_without_an_image_it_is_the_t5_that_it_was_made_of(model: Any) -> None:
    plain = PLAIN.build(nnx.Rngs(0))
    nnx.update(plain, nnx.state({name: getattr(model, name) for name in vars(plain) if name != "config"}))
    np.testing.assert_array_equal(model(TEXT, SAID), plain(TEXT, SAID))
    assert float(jnp.abs(model(TEXT, SAID, image=IMAGE) - plain(TEXT, SAID)).max()) > 1e-3


@pytest.mark.slow
def test_a_row_sees_its_own_image_and_what_is_drawn_is_what_the_decoder_says(model: Any) -> None:
    mask = TEXT > 0
    whole = model(TEXT, SAID, image=IMAGE, mask=mask)
    other = model(TEXT, SAID, image=IMAGE.at[1].set(0), mask=mask)
    np.testing.assert_array_equal(whole[0], other[0])
    assert float(jnp.abs(whole[1] - other[1]).max()) > 1e-4
    starts = Prompts(jnp.ones((2, 1), jnp.int32), jnp.ones(2, jnp.int32))
    read = Read(model, TEXT, mask, {"image": IMAGE})
    drawn = sample(read, starts, jax.random.key(0), length=4, temperature=0.0).tokens_BNS[:, 0]
    likeliest = model(TEXT, drawn[:, :-1], image=IMAGE, mask=mask).argmax(-1)
    np.testing.assert_array_equal(drawn[:, 1:], likeliest)


@pytest.mark.slow
def test_gradients_reach_every_part_of_the_sight(model: Any) -> None:
    grads = nnx.grad(lambda own: (own(TEXT, SAID, image=IMAGE) ** 2).sum())(model)
    for path, leaf in nnx.to_flat_state(grads["sight"] if isinstance(grads, dict) else grads.sight):
        if path != ("key", "bias"):  # which softmax does not see
            assert float(jnp.abs(leaf[...]).max()) > 1e-7, path


def test_an_image_without_features_is_refused() -> None:
    with pytest.raises(ValueError, match="features=0"):
        SeeingT5(features=0)

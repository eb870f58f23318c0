"""Eyes for a language model: patches stand in the places of the marker, and all parts are trained."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import ViT, bert, llama
from stagejax.models.multimodal.vision_language import VisionLanguage

NET = VisionLanguage(
    ViT(image=8, patch=4, embed=12, layers=1, heads=2, mlp=16, classes=1), llama(vocab=20, embed=16, layers=1, heads=2)
)
TOKENS = jnp.array([[1, 4, 4, 4, 4, 9, 8, 0], [1, 4, 4, 4, 4, 7, 6, 5]])
AT = jnp.array([6, 7])


@pytest.mark.slow
def test_answers_are_the_logits_at_the_last_token_and_come_from_the_image() -> None:
    model = NET.build(nnx.Rngs(0))
    images = jax.random.uniform(jax.random.key(0), (2, 8, 8, 1))
    whole, answers = model(TOKENS, images), model.answers(TOKENS, images, AT)
    np.testing.assert_allclose(answers, whole[jnp.arange(2), AT], rtol=1e-4, atol=1e-6)
    other = model.answers(TOKENS, images.at[1].set(0), AT)
    np.testing.assert_array_equal(answers[0], other[0])
    assert float(jnp.abs(answers[1] - other[1]).max()) > 1e-4


@pytest.mark.slow
def test_the_gradient_reaches_everything_but_the_head_of_the_vision_transformer() -> None:
    images = jax.random.uniform(jax.random.key(0), (2, 8, 8, 1))
    grads = nnx.grad(lambda model: (model.answers(TOKENS, images, AT) ** 2).sum())(NET.build(nnx.Rngs(0)))
    still = {"/".join(map(str, path)) for path, leaf in nnx.to_flat_state(grads) if not np.abs(leaf[...]).max() > 0}
    assert {path.split("/")[0] + "/" + path.split("/")[1] for path in still} == {"vision/head"}


@pytest.mark.slow
def test_images_of_a_row_stand_one_behind_the_other() -> None:
    model, images = NET.build(nnx.Rngs(0)), jax.random.uniform(jax.random.key(0), (2, 3, 8, 8, 1))
    np.testing.assert_allclose(model.seen(images)[:, 4:8], model.seen(images[:, 1]), rtol=1e-5, atol=1e-6)
    tokens = jnp.array([[1, 4, 4, 4, 4, 9, 4, 4, 4, 4]] * 2)
    np.testing.assert_array_equal(model(tokens, images[:, :2]), model(tokens, images.at[:, 2].set(0)))
    assert float(jnp.abs(model(tokens, images) - model(tokens, images.at[:, 1].set(0)))[:, -1].max()) > 1e-5


def test_an_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match="causal"):
        VisionLanguage(ViT(), bert())

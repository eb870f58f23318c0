"""A masked autoencoder: its encoder sees what is shown, and is an ordinary vision transformer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of
from stagejax.models.vision.masked_autoencoder import MaskedAutoencoder
from stagejax.models.vit import ViT
from stagejax.objectives.pictures.autoencoding import masked_pixels

ENCODER = ViT(image=8, channels=3, patch=2, embed=8, layers=1, heads=2, mlp=16)
CONFIG = MaskedAutoencoder(ENCODER, embed=4, heads=1)
IMAGES = jax.random.uniform(jax.random.key(0), (3, 8, 8, 3))


@pytest.mark.slow
def test_hidden_patches_change_nothing_and_seen_ones_do() -> None:
    model = CONFIG.build(nnx.Rngs(0))
    seen = jnp.tile(jnp.array([0, 3, 10, 12]), (3, 1))
    completed = jax.jit(lambda images: model.completed(images, seen))
    plain = completed(IMAGES)
    assert plain.shape == model.pixels_of(IMAGES).shape == (3, 16, 12)
    np.testing.assert_array_equal(plain, completed(IMAGES.at[:, :2, 2:4].set(0.0)))  # patch 1
    assert float(jnp.abs(plain - completed(IMAGES.at[:, :2, 6:8].set(0.0))).max()) > 1e-6  # patch 3


@pytest.mark.slow
def test_the_loss_is_of_hidden_patches_alone() -> None:
    class Known:
        """A model that knows all patches but some."""

        config = CONFIG

        def __init__(self, wrong: jax.Array) -> None:
            self.wrong = wrong

        def pixels_of(self, images: jax.Array) -> jax.Array:
            return CONFIG.build(nnx.Rngs(0)).pixels_of(images)

        def completed(self, images: jax.Array, seen: jax.Array) -> jax.Array:
            true = self.pixels_of(images)
            true = (true - true.mean(-1, keepdims=True)) / jnp.sqrt(true.var(-1, keepdims=True) + 1e-6)
            at = jnp.zeros(true.shape[:2]).at[jnp.arange(len(images))[:, None], seen].set(1.0)
            return true + jnp.where(at == 1, *self.wrong)[:, :, None]

    loss, _ = masked_pixels(Known(jnp.array([5.0, 0.0])), {"image": IMAGES}, jax.random.key(1))
    assert float(loss) == pytest.approx(0.0, abs=1e-9)
    loss, _ = masked_pixels(Known(jnp.array([0.0, 2.0])), {"image": IMAGES}, jax.random.key(1))
    assert float(loss) == pytest.approx(4.0, rel=1e-5)


def test_its_encoder_is_a_vision_transformer() -> None:
    model = CONFIG.build(nnx.Rngs(0))
    assert jax.eval_shape(model.encoder.dense, IMAGES).shape == (3, 16, 8)
    own = nnx.to_pure_dict(nnx.state(model.encoder, nnx.Param))
    plain = nnx.to_pure_dict(nnx.state(ENCODER.build(nnx.Rngs(0)), nnx.Param))
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, plain)
    names = {
        name for axes in jax.tree.leaves(axes_of(model), is_leaf=lambda x: hasattr(x, "names")) for name in axes.names
    }
    assert names <= set(CONFIG.sizes())


def test_sizes_that_show_all_or_nothing() -> None:
    with pytest.raises(ValueError, match="seen="):
        MaskedAutoencoder(ENCODER, seen=1.0)
    with pytest.raises(ValueError, match="class token"):
        MaskedAutoencoder(ViT(pool="class"))

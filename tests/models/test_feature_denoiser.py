"""The denoiser is a block behind positions of its own, which can be resized to another grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.growth import Growth, Resample, grow
from stagejax.models.vision.feature_denoiser import FeatureDenoiser

SMALL = FeatureDenoiser(grid=3, embed=8, heads=2)
MAPS = jax.random.normal(jax.random.key(0), (2, 9, 8))


@pytest.mark.slow
def test_a_block_that_adds_nothing_leaves_features_and_positions() -> None:
    model = SMALL.build(nnx.Rngs(0))
    for out in (model.block.attention.out, model.block.mlp.down):
        out.kernel[...] = jnp.zeros_like(out.kernel[...])
    np.testing.assert_allclose(model(MAPS), MAPS + model.positions.table[...], atol=1e-6)


def test_its_positions_are_what_tells_patches_apart() -> None:
    model = SMALL.build(nnx.Rngs(0))
    turned = lambda maps: jnp.roll(maps, 1, axis=1)  # noqa: E731
    assert float(jnp.abs(model(turned(MAPS)) - turned(model(MAPS))).max()) > 1e-3
    model.positions.table[...] = jnp.zeros((9, 8))
    np.testing.assert_allclose(model(turned(MAPS)), turned(model(MAPS)), atol=1e-5)


def test_another_grid_is_a_growth() -> None:
    params = nnx.to_pure_dict(nnx.state(SMALL.build(nnx.Rngs(0)), nnx.Param))
    large = grow(Growth(Resample(grid=True), SMALL, FeatureDenoiser(grid=6, embed=8, heads=2)), params)
    table = params["positions"]["table"].reshape(3, 3, 8)
    np.testing.assert_allclose(
        large["positions"]["table"].reshape(6, 6, 8), jax.image.resize(table, (6, 6, 8), "linear"), atol=1e-6
    )


def test_a_head_gives_logits_and_heads_divide() -> None:
    head = FeatureDenoiser(grid=3, embed=8, classes=5).build(nnx.Rngs(0))
    assert jax.eval_shape(head, MAPS).shape == (2, 9, 5)
    with pytest.raises(ValueError, match="heads=3"):
        FeatureDenoiser(grid=3, embed=8, heads=3)

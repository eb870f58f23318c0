"""A pyramid is its parts in a row; smaller images in a corner are what a network of their size sees."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.vision.pyramid import PyramidViT

SIZES: dict[str, Any] = {"embed": (16, 24), "layers": (1, 2), "mlp": (32, 24), "head_dim": 8}
PYRAMID = PyramidViT(image=12, patch=2, stem=4, **SIZES)


def test_the_grid_of_tokens_is_halved_and_rounded_up() -> None:
    assert PYRAMID.sides == (3, 2)
    assert PyramidViT(image=256, patch=4, embed=(16,) * 4, layers=(1,) * 4, mlp=(16,) * 4).sides == (32, 16, 8, 4)


def test_every_stage_names_its_own_axes() -> None:
    sizes = PYRAMID.sizes()
    assert [sizes[f"{axis}.2"] for axis in ("embed", "kv_heads", "mlp", "layers")] == [24, 3, 24, 2]
    assert sizes["position"] == 9
    model = nnx.eval_shape(lambda: PYRAMID.build(nnx.Rngs(0)))
    for _, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        own = leaf.get_metadata()["axes"]
        assert tuple(sizes[name.removesuffix("_out")] for name in own.names) == leaf.shape, own


@pytest.mark.slow
def test_looping_over_layers_changes_nothing() -> None:
    images = jax.random.normal(jax.random.key(0), (2, 12, 12, 1))
    scanned = PyramidViT(image=12, patch=2, stem=4, scan=True, **SIZES)
    one, other = (jax.jit(lambda c=c: c.build(nnx.Rngs(0))(images))() for c in (PYRAMID, scanned))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.slow
def test_what_lies_beyond_a_small_image_is_not_seen() -> None:
    """Tokens that are masked may hold anything."""
    model, images = PYRAMID.build(nnx.Rngs(0)), jnp.ones((2, 12, 12, 1))
    line = jnp.arange(3) < 2  # of an image of 8 pixels
    masks = {"tokens.1": (line[:, None] & line).ravel().astype(jnp.float32), "tokens.2": jnp.array([1.0, 0, 0, 0])}
    one, other = (model(images.at[:, 8:].set(x).at[:, :, 8:].set(x), masks=masks) for x in (0.0, 7.0))
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.abs(one - model(images)).max() > 1e-6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": 10}, "image=10 is no multiple of 2 patch=4"),
        ({"layers": (1,)}, "give one number of each for every stage"),
        ({"embed": (12, 24)}, r"head_dim=8 does not divide embed=\(12, 24\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PyramidViT(**({"image": 12, "patch": 2} | SIZES | fields))


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images of shape \(8, 8, 1\), but the model has image=12"):
        PYRAMID.build(nnx.Rngs(0))(jnp.ones((1, 8, 8, 1)))

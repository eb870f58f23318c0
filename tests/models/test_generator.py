"""Generator and discriminator: shapes, scaled kernels, and what the deviation over a batch is for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.generative.gan import Discriminator, Generator

G = Generator(latent=6, start=2, channels=(8, 6, 4), pixels=3)
D = Discriminator(G.size, (4, 8), hidden=5, pixels=3)


@pytest.mark.slow
def test_images_have_the_announced_size_and_values_from_0_to_1() -> None:
    images = G.build(nnx.Rngs(0)).sample(jax.random.key(0), 5)
    assert images.shape == (5, 8, 8, 3)
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    assert D.build(nnx.Rngs(0))(images).shape == (5,)


@pytest.mark.parametrize("config", [G, D])
def test_every_axis_has_its_size(config: Generator | Discriminator) -> None:
    model, sizes = config.build(nnx.Rngs(0)), config.sizes()
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    for axes, leaf in zip(jax.tree.leaves(axes_of(model), is_leaf=is_axes), leaves, strict=True):
        assert tuple(sizes[name] for name in axes.names) == leaf.shape


def test_kernels_have_unit_variance_and_layers_keep_that_of_their_input() -> None:
    model = Generator(latent=64, channels=(64, 64)).build(nnx.Rngs(0))
    for kernel in (model.first.dense.kernel, model.levels["2"].kernel):
        assert float(kernel[...].std()) == pytest.approx(1.0, abs=0.03)
    x = jax.random.normal(jax.random.key(0), (16, 8, 8, 64))
    y = model.levels["2"](x)[:, 1:-1, 1:-1]  # zeros lie beyond the border
    assert float(y.std()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
def test_a_logit_depends_on_the_variety_of_the_batch() -> None:
    model = D.build(nnx.Rngs(0))
    images = G.build(nnx.Rngs(1)).sample(jax.random.key(0), 4)
    same = jnp.broadcast_to(images[:1], images.shape)
    assert abs(float(model(images)[0] - model(same)[0])) > 1e-4
    slope = jax.grad(lambda x: model(x).sum())(same)
    assert np.isfinite(np.asarray(slope)).all()


def test_an_image_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ValueError, match="size=6 cannot be halved 2 times"):
        Discriminator(6, (4, 4))

"""StyleGAN2: kernels of unit norm, equalised learning rates, smoothing, mixing, and the variety of a group."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.generative.equalised import smoothed
from stagejax.models.generative.gan import ScaledDense
from stagejax.models.generative.stylegan2 import Modulated, StyleGenerator
from stagejax.models.generative.stylegan2_discriminator import ScaledKernel, StyleDiscriminator, variety

G = StyleGenerator(latent=3, style=5, mapping=2, channels=(6, 4), pixels=2)
D = StyleDiscriminator(G.size, (4, 6), pixels=2)
RNG = np.random.default_rng(0)


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.fixture(scope="module")
def generator() -> nnx.Module:
    return G.build(nnx.Rngs(0))


@pytest.mark.slow
@pytest.mark.parametrize("config", [G, D])
def test_every_axis_has_its_size(config: StyleGenerator | StyleDiscriminator) -> None:
    model, sizes = config.build(nnx.Rngs(0)), config.sizes() | {"tap_row": 1, "tap_column": 1}
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    for axes, leaf in zip(jax.tree.leaves(axes_of(model), is_leaf=is_axes), leaves, strict=True):
        assert tuple(sizes[name] for name in axes.names) == leaf.shape


@pytest.mark.slow
def test_at_1024_pixels_it_has_as_many_parameters_as_the_published_one() -> None:
    channels = (512, 512, 512, 512, 512, 256, 128, 64, 32)
    for config, count in (
        (StyleGenerator(channels=channels), 30_370_060),
        (StyleDiscriminator(1024, channels[::-1]), 29_012_513),
    ):
        shapes = nnx.state(nnx.eval_shape(lambda config=config: config.build(nnx.Rngs(0))), nnx.Param)
        assert sum(x.size for x in jax.tree.leaves(nnx.to_pure_dict(shapes))) == count


def modulated(up: bool) -> Modulated:
    layer = Modulated(("style", 5), ("channels.1", 4), ("channels.2", 3), up=up, rngs=nnx.Rngs(1))
    layer.bias[...] = normal(3)
    return layer


def own_kernels(layer: Modulated, style_BS: jax.Array) -> jax.Array:
    """Equations 1 and 3 written out: a kernel for each image, of unit norm over what it reads."""
    scale_BR = style_BS @ layer.affine.dense.kernel[...] * 5**-0.5 + layer.affine.bias[...]
    kernels = layer.kernel[...] * scale_BR[:, None, None, :, None] * (9 * 4) ** -0.5
    return kernels / jnp.sqrt(jnp.square(kernels).sum((1, 2, 3), keepdims=True) + 1e-8)


def test_demodulated_kernels_have_unit_norm_whatever_the_style() -> None:
    layer, style = modulated(up=False), normal(6, 5) * 3
    before_BR, behind_BW = layer.scales(style)
    kernels = layer.kernel[...] * 36**-0.5 * before_BR[:, None, None, :, None] * behind_BW[:, None, None, None]
    np.testing.assert_allclose(jnp.square(kernels).sum((1, 2, 3)), 1.0, rtol=1e-4)
    np.testing.assert_allclose(kernels, own_kernels(layer, style), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("up", [False, True])
def test_scaling_channels_is_convolving_each_image_with_its_own_kernel(up: bool) -> None:
    layer, x, style = modulated(up), normal(3, 4, 4, 4), normal(3, 5)
    kernels = own_kernels(layer, style)
    wanted = []
    for image, kernel in zip(x, kernels, strict=True):
        if up:  # holes between pixels, a convolution, then smoothing by hand
            wide = np.zeros((13, 13, 4), np.float32)
            wide[3:10:2, 3:10:2] = image
        else:
            wide = np.pad(image, ((1, 1), (1, 1), (0, 0)))
        size = len(wide) - 2
        y = sum(wide[i : i + size, j : j + size] @ kernel[i, j] for i in range(3) for j in range(3))
        if up:
            taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
            y = sum(taps[i, j] * y[i : i + 8, j : j + 8] for i in range(4) for j in range(4))
        y = y + layer.bias[...]
        wanted.append(np.where(y > 0, y, 0.2 * y) * 2**0.5)
    np.testing.assert_allclose(layer(x, style, None), np.stack(wanted), rtol=1e-4, atol=1e-5)


def test_noise_enters_by_its_strength_and_each_image_has_its_own() -> None:
    layer, x = modulated(up=False), jnp.broadcast_to(normal(1, 4, 4, 4), (2, 4, 4, 4))
    style = jnp.ones((2, 5))
    still = layer(x, style, jax.random.key(1))
    np.testing.assert_allclose(still[0], still[1], rtol=1e-5, atol=1e-6)  # a batch is cut among threads
    layer.noise[...] = jnp.float32(0.5)
    one, other = layer(x, style, jax.random.key(1))
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(*layer(x, style, None), rtol=1e-5, atol=1e-6)


def test_of_half_as_many_pixels_each_is_a_smoothed_one() -> None:
    """A 1 x 1 kernel of value 1 without bias is the smoothing alone."""
    layer = ScaledKernel(("channels.1", 1), ("channels.2", 1), size=1, down=True, bias=False, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.ones((1, 1, 1, 1))
    x = normal(1, 6, 6, 1)
    taps, wide = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64, np.pad(x[0, ..., 0], 1)
    wanted = [[(taps * wide[i : i + 4, j : j + 4]).sum() for j in (0, 2, 4)] for i in (0, 2, 4)]
    np.testing.assert_allclose(layer(x)[0, ..., 0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("pad", "up", "down", "size"), [((2, 2), 2, 1, 12), ((1, 1), 1, 2, 3), ((2, 1), 1, 1, 6)])
def test_smoothing_keeps_constants_and_gives_the_announced_size(
    pad: tuple[int, int], up: int, down: int, size: int
) -> None:
    y = smoothed(jnp.ones((1, 6, 6, 3)), pad, up=up, down=down)
    assert y.shape == (1, size, size, 3)
    np.testing.assert_allclose(y[:, 2:-2, 2:-2], 1.0, rtol=1e-6)


def test_a_rate_changes_how_fast_a_layer_learns_and_not_what_it_starts_with() -> None:
    x = normal(256, 64)
    for rate in (1.0, 0.01):
        layer = ScaledDense({"latent": 64}, {"style": 64}, bias=1.0, rate=rate, rngs=nnx.Rngs(0))
        assert float(layer.dense.kernel[...].std()) == pytest.approx(1 / rate, rel=0.05)
        assert float(layer(x).std()) == pytest.approx(1.0, abs=0.1)
        assert float(layer(x).mean()) == pytest.approx(1.0, abs=0.1)
        before = layer(x)
        layer.dense.kernel[...] = layer.dense.kernel[...] + 1.0  # as a step of a given size
        np.testing.assert_allclose(layer(x) - before, rate * x.sum(-1, keepdims=True) / 8 + 0 * before, atol=1e-5)


def test_at_the_start_features_have_a_mean_square_of_1_in_every_level() -> None:
    wide = Modulated(("style", 64), ("channels.1", 64), ("channels.2", 64), rngs=nnx.Rngs(0))
    y = wide(normal(8, 16, 16, 64), normal(8, 64), None)[:, 1:-1, 1:-1]
    assert float(jnp.square(y).mean()) == pytest.approx(1.04, abs=0.15)  # (1 + 0.2²) / 2 · 2


@pytest.mark.slow
def test_a_share_of_samples_has_the_styles_of_two_latents() -> None:
    def borders(mixing: float) -> np.ndarray:
        model = replace(G, mixing=mixing).build(nnx.Rngs(0))
        w = np.asarray(model.styles(jax.random.key(2), 400))
        return (w == w[:, :1]).all(-1).sum(-1)  # layers with the first one's style

    assert (borders(0.0) == G.layers).all()
    found = borders(0.9)
    assert (found < G.layers).mean() == pytest.approx(0.9, abs=0.05)
    assert set(found) == {1, 2, 3, 4}
    counts = np.bincount(found, minlength=5)[1:4] / (found < 4).sum()
    np.testing.assert_allclose(counts, 1 / 3, atol=0.08)


@pytest.mark.slow
def test_every_layer_is_moved_by_its_own_style(generator: nnx.Module) -> None:
    w = normal(1, G.layers, G.style)
    image = generator.synthesised(w)
    assert image.shape == (1, 8, 8, 2)
    for at in range(G.layers):
        assert np.abs(generator.synthesised(w.at[:, at].add(1.0)) - image).max() > 1e-4
    z = normal(2, G.latent)
    np.testing.assert_array_equal(generator(z), generator(z))
    np.testing.assert_allclose(generator(z), generator(3 * z), atol=1e-4)  # latents count by direction


@pytest.mark.slow
def test_a_logit_depends_on_the_variety_of_its_group() -> None:
    model, images = D.build(nnx.Rngs(0)), normal(4, 8, 8, 2)
    same = jnp.broadcast_to(images[:1], images.shape)
    assert abs(float(model(images)[0] - model(same)[0])) > 1e-4
    assert np.isfinite(np.asarray(jax.grad(lambda x: model(x).sum())(same))).all()
    x = normal(6, 2, 2, 3)
    members = np.asarray(x)[[1, 3, 5]]  # six images in groups of three
    found = variety(x, group=4)
    np.testing.assert_allclose(found[1], members.std(0).mean(), rtol=1e-3)
    np.testing.assert_array_equal(found[1], found[3])


def test_an_image_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ValueError, match="size=6 cannot be halved 2 times"):
        StyleDiscriminator(6, (4, 4, 4))

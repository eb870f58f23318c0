"""Convolutional networks: against plain formulas, and what training leaves in the running statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.conv import BatchNorm, Conv, max_pool
from stagejax.models.convnet import ConvNet, ResNet, resnet50

X = jnp.asarray(np.random.RandomState(0).randn(4, 6, 5, 3), jnp.float32)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (5, 2)])
def test_both_convolutions_equal_the_sum_over_taps(size, stride) -> None:
    conv = Conv(("pixel", 3), ("channels.1", 2), size=size, stride=stride, rngs=nnx.Rngs(0))
    kernel, reach = np.asarray(conv.kernel[...]), size // 2
    padded = np.pad(np.asarray(X), ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    rows, columns = range(0, 6, stride), range(0, 5, stride)
    expected = np.array(
        [[np.einsum("byxr,yxrw->bw", padded[:, i : i + size, j : j + size], kernel) for j in columns] for i in rows]
    )
    for conv.implementation in ("conv", "patches"):
        np.testing.assert_allclose(conv(X), np.moveaxis(expected, 2, 0), rtol=1e-4, atol=1e-5)


def test_batch_norm_by_hand() -> None:
    norm = BatchNorm("channels.1", 3, eps=1e-3, momentum=0.75)
    norm.gain[...], norm.shift[...] = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0, -1.0])
    x = np.asarray(X)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    plain = lambda m, v: (x - m) / np.sqrt(v + 1e-3) * np.array([1, 2, 3]) + np.array([0, 1, -1])  # noqa: E731
    np.testing.assert_allclose(norm(X, train=False), plain(0, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm(X, train=True), plain(mean, var), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.mean[...], 0.25 * mean, rtol=1e-4)
    np.testing.assert_allclose(norm.var[...], 0.75 + 0.25 * var, rtol=1e-4)
    np.testing.assert_allclose(norm(X, train=False), plain(norm.mean[...], norm.var[...]), rtol=1e-4, atol=1e-5)


def test_max_pool_drops_the_odd_column() -> None:
    y = np.asarray(max_pool(X))
    assert y.shape == (4, 3, 2, 3)
    np.testing.assert_array_equal(y[:, 1, 1], np.asarray(X)[:, 2:4, 2:4].max((1, 2)))


@pytest.mark.parametrize(
    "config",
    [ConvNet(image=8, channels=(4, 6)), ResNet(image=8, blocks=(1, 2, 1)), resnet50(image=32)],
    ids=["convnet", "resnet", "resnet50"],
)
def test_every_axis_has_a_size(config) -> None:
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    sizes: dict[str, int] = {}
    for axes, leaf in zip(jax.tree.leaves(axes_of(model), is_leaf=is_axes), leaves, strict=True):
        for name, size in zip(axes.names, leaf.shape, strict=True):
            assert sizes.setdefault(name, size) == size
    assert sizes == config.sizes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [ConvNet(image=8, channels=(4, 6)), ResNet(image=8, channels_in=1, blocks=(1, 2, 1))]
)
@pytest.mark.parametrize("train", [False, True])
def test_a_network_goes_on_from_a_state_of_its_own(config, train) -> None:
    images, last = jnp.asarray(np.random.RandomState(0).rand(4, 8, 8, 1), jnp.float32), len(config.channels)
    model, other = (config.build(nnx.Rngs(0)) for _ in range(2))
    state = images
    for level in range(last):
        state = model.run(state, level, level + 1, train)
        assert state.shape[-1] == config.channels[level]
    np.testing.assert_allclose(state, other.pixels(images, train), rtol=1e-5, atol=1e-6)


def test_resnet50_has_its_published_number_of_parameters() -> None:
    model = nnx.eval_shape(lambda: resnet50().build(nnx.Rngs(0)))
    assert sum(np.prod(x.shape) for x in jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))) == 25_557_032


def test_training_moves_the_statistics_and_evaluation_does_not() -> None:
    model = ConvNet(image=6, channels_in=3, channels=(4,), convolution="patches").build(nnx.Rngs(0))
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def run(params, rest, images):
        model = nnx.merge(graphdef, params, rest)
        still = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        evaluated = model(images)
        unmoved = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        return (
            still,
            evaluated,
            unmoved,
            model(images, jax.random.key(0)),
            nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)),
        )

    images = jnp.asarray(np.random.RandomState(0).rand(4, 6, 6, 3), jnp.float32)
    still, evaluated, unmoved, trained, moved = run(params, rest, images)
    assert jax.tree.all(jax.tree.map(np.array_equal, still, unmoved))
    assert not np.allclose(moved["blocks"]["1"]["norm"]["mean"], 0)
    assert np.abs(evaluated - trained).max() > 1e-3
    with pytest.raises(ValueError, match="halved 3 times"):
        ConvNet(image=7)


def test_the_gradient_through_pooling_behind_a_norm() -> None:
    """Which XLA gets wrong without optimization, as these tests run it, where the maximum is one over axes."""
    with jax.enable_x64(True):
        x, gain, step = (
            jnp.asarray(np.random.RandomState(i).normal(size=s)) for i, s in enumerate([(2, 8, 8, 4), 4, 4])
        )
        pooled = jax.jit(lambda g: jnp.sum(max_pool(x * g + g**2).mean((1, 2)) ** 2))
        slope = (pooled(gain + 1e-5 * step) - pooled(gain - 1e-5 * step)) / 2e-5
        assert float(jax.jit(jax.grad(pooled))(gain) @ step) == pytest.approx(float(slope), rel=1e-6)

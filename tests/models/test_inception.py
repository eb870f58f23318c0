"""Inception and Xception: published sizes, blocks against plain formulas, and what is not between two convolutions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.conv import Conv, Depthwise, pool
from stagejax.models.vision.inception import Inception, Parallel, Pool, Unit, block_a, inception_v3, small_inception
from stagejax.models.vision.xception import Separable, Xception, small_xception

X = jnp.asarray(np.random.RandomState(0).randn(2, 6, 5, 3), jnp.float32)


def numbers(config: Any) -> int:
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "size", "pixels"),
    [(inception_v3(), 23_834_568, (8, 8)), (Xception(), 22_855_952, (10, 10))],
    ids=["inception", "xception"],
)
def test_networks_have_their_published_sizes(config: Any, size: int, pixels: tuple[int, int]) -> None:
    assert numbers(config) == size
    images = jnp.zeros((1, 299, 299, 3))
    assert nnx.eval_shape(lambda: config.build(nnx.Rngs(0)).pixels(images, False)).shape == (1, *pixels, 2048)


@pytest.mark.slow
@pytest.mark.parametrize("config", [small_inception(), small_xception(), inception_v3(), Xception(classes=4)])
def test_every_axis_has_a_size(config: Any) -> None:
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    sizes: dict[str, int] = {}
    for axes, leaf in zip(jax.tree.leaves(axes_of(model), is_leaf=is_axes), leaves, strict=True):
        for name, size in zip(axes.names, leaf.shape, strict=True):
            assert sizes.setdefault(name, size) == size
    assert sizes.items() <= config.sizes().items()


def test_groups_in_the_middle_add_to_one_stream() -> None:
    model = nnx.eval_shape(lambda: small_xception(middle=2).build(nnx.Rngs(0)))
    groups = axes_of(model)["base"]["groups"]
    last = [groups[i]["separable"]["3"]["pointwise"]["dense"]["kernel"].names[-1] for i in ("2", "3")]
    assert last == ["channels.1", "channels.1"]


@pytest.mark.parametrize("pad", [True, False])
def test_a_kernel_of_one_row_is_the_sum_over_its_taps(pad: bool) -> None:
    conv = Conv(("pixel", 3), ("channels.1", 2), size=(1, 3), pad=pad, taps=None, rngs=nnx.Rngs(0))
    kernel, x = np.asarray(conv.kernel[...]), np.asarray(X)
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0))) if pad else x
    expected = sum(x[:, :, j : x.shape[2] - 2 + j] @ kernel[0, j] for j in range(3))
    for conv.implementation in ("conv", "patches"):
        np.testing.assert_allclose(conv(X), expected, rtol=1e-4, atol=1e-5)


def test_depthwise_channels_see_only_themselves() -> None:
    depthwise = Depthwise(("channels.1", 3), rngs=nnx.Rngs(0))
    kernel, padded = np.asarray(depthwise.kernel[...]), np.pad(np.asarray(X), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(padded[:, i : i + 6, j : j + 5] * kernel[i, j] for i in range(3) for j in range(3))
    for depthwise.implementation in ("conv", "patches"):
        np.testing.assert_allclose(depthwise(X), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "stride", "pad"), [("max", 2, True), ("mean", 1, True), ("max", 2, False)])
def test_both_poolings_look_at_the_pixels_in_the_image(kind: Any, stride: int, pad: bool) -> None:
    x = np.asarray(X)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=np.nan) if pad else x
    rows, columns = (range(0, size - 2, stride) for size in padded.shape[1:3])
    reduce = np.nanmax if kind == "max" else np.nanmean
    expected = np.stack(
        [np.stack([reduce(padded[:, i : i + 3, j : j + 3], (1, 2)) for j in columns], 1) for i in rows], 1
    )
    for implementation in ("conv", "patches"):
        found = pool(X, kind, stride=stride, pad=pad, implementation=implementation)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_branches_are_side_by_side_in_their_order() -> None:
    steps = (Unit(4, (3, 3)), Parallel(((), (Pool("max"),), (Unit(2),))))
    model = Inception(6, steps, convolution="patches").build(nnx.Rngs(0))
    x = np.asarray(model.pixels(X, False))
    assert x.shape == (2, 6, 5, 10)
    np.testing.assert_allclose(x[..., 4:8], pool(jnp.asarray(x[..., :4]), "max"), rtol=1e-5)
    kinds = [[type(step).__name__ for step in branch] for branch in block_a(1, (2, 3), (4, 5), 6).branches]
    assert kinds == [["Unit"], ["Unit", "Unit"], ["Unit"] * 3, ["Pool", "Unit"]]


def test_nothing_lies_between_depthwise_and_pointwise() -> None:
    config = small_xception()
    layer = Separable(config, ("channels.1", 3), ("channels.2", 4), nnx.Rngs(0))
    linear = lambda x: layer.pointwise.dense(layer.depthwise(x))  # noqa: E731
    np.testing.assert_allclose(linear(X) + linear(-2 * X), linear(-X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [small_inception(), small_xception()], ids=["inception", "xception"])
def test_masks_are_refused(config: Any) -> None:
    masks = {"channels.1": jnp.ones(config.sizes()["channels.1"])}
    with pytest.raises(ValueError, match="takes no masks"):
        nnx.eval_shape(lambda: config.build(nnx.Rngs(0))(jnp.zeros((1, 16, 16, 3)), masks=masks))

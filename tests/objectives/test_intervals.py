"""Interval bounds: never crossed by random inputs of the box, exact where they must be, and losses by hand."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.objectives.certified import attacked, balance, certified, smoothed, tightness
from stagejax.objectives.intervals import Interval, margins, propagate
from stagejax.transforms.redraw import Redrawn, bound_preserving

RNG = np.random.RandomState(0)


def net(norm: bool = True, **fields: Any) -> CNN:
    layers = (ConvLayer(3, pool=True), ConvLayer(4, stride=2))
    return CNN((6, 6, 1), layers, (5,), heads=(("label", (3,)),), norm=norm, mean=0.3, std=0.5, **fields)


@pytest.mark.parametrize("convolution", ["conv", "patches"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.slow
def test_no_input_of_the_box_leaves_the_bounds_of_a_model(convolution: Any, activation: Any) -> None:
    model = net(convolution=convolution, activation=activation).build(nnx.Rngs(1))
    model(jnp.asarray(RNG.rand(8, 6, 6, 1), jnp.float32), jax.random.key(0))  # running statistics of some data
    centre = jnp.asarray(RNG.rand(4, 6, 6, 1), jnp.float32)
    box = Interval(centre - 0.1, centre + 0.1)
    bounds, relus = propagate(model, box)
    assert len(relus) == (3 if activation == "relu" else 0)
    assert (bounds.lower <= bounds.upper).all()
    for sample in RNG.uniform(-1, 1, (40, *centre.shape)):
        x = centre + 0.1 * jnp.asarray(np.sign(sample) if sample[0, 0, 0, 0] > 0 else sample, jnp.float32)
        value = model(x)
        assert (bounds.lower - 1e-5 <= value).all()
        assert (value <= bounds.upper + 1e-5).all()
    point, _ = propagate(model, Interval(centre, centre))
    np.testing.assert_allclose(point.lower, model(centre), rtol=1e-4, atol=1e-5)


def test_bounds_of_a_linear_map_are_its_extremes_over_the_corners() -> None:
    kernel, low = RNG.randn(3, 2).astype(np.float32), RNG.randn(3).astype(np.float32)
    high = low + np.array([0.5, 0.0, 2.0], np.float32)
    bounds, _ = propagate(lambda x: 1 - (2 * x - 1) @ kernel / 3, Interval(jnp.asarray(low), jnp.asarray(high)))
    corners = [1 - (2 * np.array(x) - 1) @ kernel / 3 for x in itertools.product(*zip(low, high, strict=True))]
    np.testing.assert_allclose(bounds.lower, np.min(corners, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bounds.upper, np.max(corners, 0), rtol=1e-4, atol=1e-5)


def test_a_product_of_two_intervals_has_no_rule() -> None:
    with pytest.raises(NotImplementedError, match="'mul' with 2 operands"):
        propagate(lambda x: x * x[::-1], Interval(jnp.zeros(2), jnp.ones(2)))


def test_merged_margins_are_exact_and_tighter_than_two_bounds() -> None:
    kernel, bias = jnp.asarray(RNG.randn(4, 3), jnp.float32), jnp.asarray(RNG.randn(3), jnp.float32)
    low, labels = jnp.asarray(RNG.randn(2, 4), jnp.float32), jnp.array([2, 0])
    box = Interval(low, low + 0.5)
    found = margins(box, kernel, bias, labels)
    corners = np.stack([low + 0.5 * np.array(c, np.float32) for c in itertools.product((0, 1), repeat=4)])
    logits = corners @ np.asarray(kernel) + np.asarray(bias)
    own = np.take_along_axis(logits, np.asarray(labels)[None, :, None], 2)
    np.testing.assert_allclose(found, (own - logits).min(0), rtol=1e-4, atol=1e-5)
    plain, _ = propagate(lambda x: x @ kernel + bias, box)
    apart = plain.lower[jnp.arange(2), labels][:, None] - plain.upper
    assert (found + 1e-5 >= apart).all()


@pytest.mark.slow
def test_bounds_use_the_statistics_of_the_clean_batch() -> None:
    images, labels = jnp.asarray(RNG.rand(6, 6, 6, 1), jnp.float32), jnp.arange(6) % 3
    model, twin = net().build(nnx.Rngs(0)), net().build(nnx.Rngs(0))
    expected = twin(images, jax.random.key(0))
    measured = model.measured(images, jax.random.key(0))
    np.testing.assert_allclose(measured(images), expected, rtol=1e-4, atol=1e-5)
    for own, other in zip(jax.tree.leaves(nnx.state(model)), jax.tree.leaves(nnx.state(twin)), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-6)  # running ones moved as by training
    loss, metrics = certified(
        net().build(nnx.Rngs(0)), {"image": images, "label": labels}, jax.random.key(0), radius=0.0
    )
    clean = -jax.nn.log_softmax(expected)[jnp.arange(6), labels].mean()
    assert float(loss) == pytest.approx(float(clean), rel=1e-2)  # up to the tiny radius
    assert float(metrics["error"][0]) == float((expected.argmax(-1) != labels).sum())


@pytest.mark.slow
def test_verified_error_bounds_attacked_error_on_every_example() -> None:
    model, images = net().build(nnx.Rngs(3)), jnp.asarray(RNG.rand(32, 6, 6, 1), jnp.float32)
    labels = model(images).argmax(-1)
    for radius in (0.005, 0.05):
        adversarial = attacked(model, images, labels, jax.random.key(1), radius=radius)
        assert float(jnp.abs(adversarial - images).max()) <= radius + 1e-6
        assert float(adversarial.min()) >= 0
        assert float(adversarial.max()) <= 1
        for i in range(4):
            one = {"image": images[8 * i : 8 * i + 8], "label": labels[8 * i : 8 * i + 8]}
            _, metrics = certified(model, one, None, radius=radius)
            wrong = (model(adversarial[8 * i : 8 * i + 8]).argmax(-1) != one["label"]).sum()
            assert float(wrong) <= float(metrics["verified_error"][0])


def test_regularisers_by_hand() -> None:
    lower = jnp.array([[1.0, -3.0, -1.0, 0.5]])
    box = Interval(lower, lower + 1.0)  # centres 1.5, -2.5, -0.5, 1.0; active first and last, inactive only the second
    c = np.array([1.5, -2.5, -0.5, 1.0])
    spread = (c - c.mean()) ** 2
    r, v = 2.5 / 2.5, spread[[0, 3]].sum() / spread[1]
    expected = (max(0, 0.5 - r) + max(0, 0.5 - min(v, 1 / v))) / 0.5
    assert float(balance([box])) == pytest.approx(expected, rel=1e-5)
    assert float(balance([Interval(lower, lower + 100)])) == 0  # no inactive unit: the terms are left out
    gradient = jax.grad(lambda x: balance([Interval(x, x + 100)]))(lower)
    assert np.isfinite(gradient).all()
    assert float(tightness([box, box], jnp.float32(0.2))) == pytest.approx((0.5 - 0.4) / 0.5, rel=1e-5)


def test_the_smoothed_radius_is_continuous_with_its_slope() -> None:
    p = np.linspace(0, 1, 2001)
    values = np.array(jax.vmap(smoothed)(jnp.asarray(p, jnp.float32)), np.float64)
    slopes = np.diff(values) / np.diff(p)
    assert values[0] == 0
    assert values[-1] == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(slopes[501:], slopes[-1], rtol=0.02)
    assert abs(slopes[499] - slopes[502]) < 0.03 * slopes[-1]


@pytest.mark.slow
def test_redrawn_kernels_keep_the_width_of_bounds() -> None:
    wide = CNN((8, 8, 1), (ConvLayer(32), ConvLayer(32), ConvLayer(32)), (256,), heads=(("label", (3,)),))
    x = jnp.asarray(RNG.rand(8, 8, 8, 1), jnp.float32)
    box, widths = Interval(x - 0.1, x + 0.1), {}
    for name, config in (("usual", wide), ("redrawn", Redrawn(wide, bound_preserving))):
        model = config.build(nnx.Rngs(0))
        widths[name] = float(propagate(model.features, box)[0].radius.mean()) / 0.1
        fan_in = 32 * 9
        std = float(model.convolutions["2"].conv.kernel[...].std())
        assert std == pytest.approx((2 * np.pi) ** 0.5 / fan_in if name == "redrawn" else (2 / fan_in) ** 0.5, rel=0.05)
        assert float(model.heads["label"].output.kernel[...].std()) == pytest.approx(256**-0.5, rel=0.1)
    assert 0.2 < widths["redrawn"] < 5
    assert widths["usual"] > 20 * widths["redrawn"]

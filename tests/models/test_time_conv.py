"""Convolutions along time against XLA's, and against sums written out."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.speech.conditional_norm import ConditionalBatchNorm
from stagejax.models.speech.time_conv import TimeConv, TimeUpsample

X = jnp.asarray(np.random.default_rng(1).normal(size=(2, 11, 3)), jnp.float32)
READS, WRITES = ("channels.0", 3), ("channels.1", 4)


@pytest.mark.parametrize(("taps", "stride", "dilation"), [(3, 1, 3), pytest.param(4, 2, 1, marks=pytest.mark.slow)])
def test_patches_are_the_convolution(taps: int, stride: int, dilation: int) -> None:
    how = {"taps": taps, "stride": stride, "dilation": dilation}
    one, other = (TimeConv(READS, WRITES, **how, implementation=i, rngs=nnx.Rngs(0)) for i in ("patches", "conv"))
    assert one(X).shape == (2, -(-11 // stride), 4)
    np.testing.assert_allclose(one(X), other(X), atol=1e-5)


@pytest.mark.parametrize("rate", [3])
def test_every_place_spreads_its_kernel_over_the_places_around_it(rate: int) -> None:
    up = TimeUpsample(READS, WRITES, rate=rate, rngs=nnx.Rngs(0))
    kernel = np.asarray(up.kernel[...])
    whole = np.zeros((2, 12 * rate, 4))
    for t in range(11):
        whole[:, rate * t : rate * (t + 2)] += np.einsum("br,krw->bkw", X[:, t], kernel)
    np.testing.assert_allclose(up(X), whole[:, rate // 2 : rate // 2 + 11 * rate], atol=1e-5)


def test_vectors_tell_gain_and_bias_and_the_running_statistics_rest() -> None:
    norm = ConditionalBatchNorm(READS, ("speaker", 2), rngs=nnx.Rngs(0))
    v = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    normal = (X - X.mean((0, 1))) / jnp.sqrt(X.var((0, 1)) + 1e-5)
    gain, shift = 1 + norm.gain.kernel[...], norm.shift.kernel[...]
    np.testing.assert_allclose(norm(X, v, train=True, still=True), normal * gain[:, None] + shift[:, None], atol=1e-5)
    assert not norm.mean[...].any()  # still
    before = norm(X, v, train=False)
    norm(X, v, train=True)
    np.testing.assert_allclose(norm.mean[...], 0.1 * X.mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * X.var((0, 1)), atol=1e-6)
    assert not jnp.allclose(before, norm(X, v, train=False))

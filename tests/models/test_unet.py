"""The U-Net: sizes are those of the parameters, groups are normalised alone, a pixel sees its surroundings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.conv import Conv, GroupNorm
from stagejax.models.vision.unet import UNet, Unit

CONFIG = UNet((8, 16, 3), (4, 6), classes=5, stride=2, groups=2)


def test_sizes_are_those_of_the_parameters() -> None:
    module = CONFIG.build(nnx.Rngs(0))
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    names = {}
    for axes, leaf in zip(jax.tree.leaves(axes_of(module), is_leaf=is_axes), jax.tree.leaves(params), strict=True):
        names |= dict(zip(axes.names, leaf.shape, strict=True))
    assert names == CONFIG.sizes()


def test_group_norm_is_that_of_each_image_and_group() -> None:
    x = np.random.RandomState(0).randn(2, 3, 4, 6).astype(np.float32)
    norm = GroupNorm("channels", 6, groups=2, eps=1e-5)
    norm.gain[...], norm.shift[...] = jnp.arange(6.0), jnp.arange(6.0) / 10
    wanted = np.empty_like(x)
    for b in range(2):
        for g in (slice(0, 3), slice(3, 6)):
            own = x[b, :, :, g]
            wanted[b, :, :, g] = (own - own.mean()) / np.sqrt(own.var() + 1e-5)
    np.testing.assert_allclose(norm(jnp.asarray(x)), wanted * np.arange(6) + np.arange(6) / 10, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="3 groups"):
        GroupNorm("channels", 4, groups=3)


def test_a_unit_of_two_inputs_is_a_convolution_of_their_channels_side_by_side() -> None:
    unit = Unit(CONFIG, (("a", 3), ("b", 2)), ("c", 4), 1, nnx.Rngs(0))
    both = Conv(("ab", 5), ("c", 4), size=3, rngs=nnx.Rngs(0))
    both.kernel[...] = jnp.concatenate([unit.convolutions[name].kernel[...] for name in ("1", "2")], axis=2)
    a, b = (jax.random.normal(jax.random.key(i), (2, 4, 4, i)) for i in (3, 2))
    wanted = jax.nn.relu(unit.norm(both(jnp.concatenate([a, b], -1))))
    np.testing.assert_allclose(unit(a, b), wanted, rtol=1e-4, atol=1e-5)


def test_shapes_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValueError, match="divided by 8"):
        UNet((12, 16, 3), (4, 4, 4))

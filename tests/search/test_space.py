"""A subnet as masks is the network that is cut out, costs what XLA's products say, and is one of a space."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.growth import Growth, Subset
from stagejax.growth.apply import grow
from stagejax.growth.resample import Resample
from stagejax.ledger import count_flops
from stagejax.models.vision.pyramid import PyramidViT
from stagejax.search.space import Space

LARGEST = PyramidViT(image=8, patch=1, stem=8, embed=(16, 16), layers=(2, 1), mlp=(32, 32), head_dim=8, scan=True)
SPACE = Space(LARGEST, (6, 8), (4, 8), ((8, 16), (8, 16)), ((1, 2), (1,)), ratios=(1, 2))  # 9 or 16 tokens, then 4


@pytest.fixture(scope="module")
def params() -> Any:
    """Those of the largest network, with noise on what begins as zeros and ones."""
    whole = nnx.to_pure_dict(nnx.state(LARGEST.build(nnx.Rngs(0)), nnx.Param))
    noise = np.random.default_rng(0)
    return jax.tree.map(lambda p: np.asarray(p) + 0.1 * noise.normal(size=p.shape).astype(np.float32), whole)


@jax.jit
def masked(params: Any, images: jax.Array, code: jax.Array) -> jax.Array:
    """The logits of a subnet."""
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: LARGEST.build(nnx.Rngs(0))))
    return nnx.merge(graphdef, params)(SPACE.resized(images, code), masks=SPACE.masks(code))


CUT = (0, 0, 1, 1, 0, 0, 1, 0, 1)  # small images, a narrow stem and second stage; blocks of 16 and 32 hidden units


@pytest.mark.slow
@pytest.mark.parametrize("code", [CUT, (1, 1, 0, 0, 1, 0, 1, 0, 0)])
def test_a_masked_supernet_is_the_network_that_is_cut_out(code: tuple[int, ...], params: Any) -> None:
    net, images = SPACE.network(code), jax.random.normal(jax.random.key(1), (3, 8, 8, 1))

    @jax.jit
    def cut(params: Any) -> jax.Array:
        graphdef, _ = nnx.split(nnx.eval_shape(lambda: net.build(nnx.Rngs(0))))
        kept = Growth(Subset.of(**SPACE.kept(code)), LARGEST, replace(net, image=8))
        small = grow(Growth(Resample(grid=True), replace(net, image=8), net), grow(kept, params))
        return nnx.merge(graphdef, small)(SPACE.own_images(images, code), masks=SPACE.own_masks(code))

    np.testing.assert_allclose(masked(params, images, jnp.array(code)), cut(params), atol=1e-5)
    assert (net.image, net.stem, net.embed, net.layers) == (
        (6, 8)[code[0]], (4, 8)[code[1]], (8 + 8 * code[2], 8 + 8 * code[4]), (1 + code[3], 1),
    )  # fmt: skip


@pytest.mark.parametrize("code", [(0, 0, 1, 0, 0, 0, 1, 0, 0), (1, 1, 1, 1, 0, 0, 1, 1, 1), SPACE.most])
def test_flops_are_those_of_the_network_that_is_cut_out(code: tuple[int, ...]) -> None:
    """Where all blocks of a stage have as many hidden units, the formula is what its products are counted to be."""
    net = SPACE.network(code)
    graphdef, state = nnx.split(nnx.eval_shape(lambda: net.build(nnx.Rngs(0))))
    one = jax.ShapeDtypeStruct((1, net.image, net.image, 1), jnp.float32)
    assert float(SPACE.flops(np.array(code))) == count_flops(lambda s, x: nnx.merge(graphdef, s)(x), state, one)


def test_a_block_that_is_not_there_costs_nothing_whatever_its_ratio() -> None:
    absent, there = np.array((0, 1, 1, 0, 1, 0, 1, 1, 0)), np.array((0, 1, 1, 0, 1, 0, 1, 0, 0))
    assert SPACE.flops(absent) == SPACE.flops(there)
    np.testing.assert_array_equal(SPACE.plain(absent), there)
    absent[3] = there[3] = 1
    assert SPACE.flops(absent) > SPACE.flops(there)
    np.testing.assert_array_equal(SPACE.plain(absent), absent)


def test_images_are_resized_as_jax_does_and_lie_in_a_corner() -> None:
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 1))
    small = SPACE.resized(images, jnp.array(CUT))
    np.testing.assert_allclose(small[:, :6, :6], jax.image.resize(images, (2, 6, 6, 1), "linear"), atol=1e-5)
    assert not small[:, 6:].any()
    assert not small[:, :, 6:].any()
    np.testing.assert_array_equal(SPACE.resized(images, jnp.array(SPACE.most)), images)


@pytest.mark.slow
def test_gradients_reach_the_subnet_alone(params: Any) -> None:
    code = jnp.array((0, 0, 0, 0, 0, 0, 0, 0, 0))
    loss = lambda p: jnp.square(masked(p, jnp.ones((3, 8, 8, 1)), code)).sum()  # noqa: E731
    grads = jax.jit(jax.grad(loss))(params)
    up = np.asarray(grads["blocks"]["1"]["mlp"]["up"]["kernel"])
    assert up.shape == (2, 16, 32)
    assert not up[1].any()
    assert not up[:, 8:].any()
    assert not up[:, :, 8:].any()
    assert up[0, :8, :8].all()
    halving = np.asarray(grads["halvings"]["1"]["kernel"])
    assert not halving[:, :, 8:].any()
    assert not halving[..., 8:].any()
    assert not np.asarray(grads["patches"]["kernel"])[:, :, 4:].any()


def test_a_list_that_does_not_rise_to_the_largest_network_is_refused() -> None:
    two = ((8, 16), (8, 16))
    with pytest.raises(ValueError, match=r"widths\[1\]=\(8, 12\) must rise to 16"):
        Space(LARGEST, (6, 8), (4, 8), ((8, 16), (8, 12)), ((1, 2), (1,)), (1, 2))
    with pytest.raises(ValueError, match=r"head_dim=8 does not divide embed=\(4, 8\)"):
        Space(LARGEST, (6, 8), (4, 8), ((4, 16), (8, 16)), ((1, 2), (1,)), (1, 2))
    with pytest.raises(ValueError, match="image=5 is no multiple of 2 patch=2"):
        Space(LARGEST, (5, 8), (4, 8), two, ((1, 2), (1,)), (1, 2))
    with pytest.raises(ValueError, match="one list for each of 2 stages"):
        Space(LARGEST, (6, 8), (4, 8), two[:1], ((1, 2), (1,)), (1, 2))

"""A subnet as masks is the network that is cut out, costs what XLA's products say, and is one of a space."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.growth import Growth, Subset
from stagejax.growth.apply import grow
from stagejax.ledger import count_flops
from stagejax.models.vit import ViT
from stagejax.search.space import Space

LARGEST = ViT(image=8, patch=4, embed=16, heads=2, layers=3, mlp=32, scan=True)
SPACE = Space(LARGEST, widths=(8, 16), depths=(1, 2, 3), ratios=(1, 2))


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
    return nnx.merge(graphdef, params)(images, masks=SPACE.masks(code))


@pytest.mark.parametrize("code", [(0, 1, 1, 0, 1), (1, 2, 0, 1, 0)])
def test_a_masked_supernet_is_the_network_that_is_cut_out(code: tuple[int, ...], params: Any) -> None:
    net, images = SPACE.network(code), jax.random.normal(jax.random.key(1), (3, 8, 8, 1))

    @jax.jit
    def cut(params: Any) -> jax.Array:
        graphdef, _ = nnx.split(nnx.eval_shape(lambda: net.build(nnx.Rngs(0))))
        small = grow(Growth(Subset.of(**SPACE.kept(code)), LARGEST, net), params)
        return nnx.merge(graphdef, small)(images, masks=SPACE.own_masks(code))

    np.testing.assert_allclose(masked(params, images, jnp.array(code)), cut(params), atol=1e-5)
    assert net.sizes()["embed"] == (8, 16)[code[0]]
    assert net.sizes()["layers"] == code[1] + 1


@pytest.mark.parametrize("code", [(0, 1, 1, 1, 0), (1, 2, 0, 0, 0), (1, 2, 1, 1, 1)])
def test_flops_are_those_of_the_network_that_is_cut_out(code: tuple[int, ...]) -> None:
    """Where all blocks have as many hidden units, the formula is what its products are counted to be."""
    module = nnx.eval_shape(lambda: SPACE.network(code).build(nnx.Rngs(0)))
    graphdef, state = nnx.split(module)
    one = jax.ShapeDtypeStruct((1, 8, 8, 1), jnp.float32)
    assert float(SPACE.flops(np.array(code))) == count_flops(lambda s, x: nnx.merge(graphdef, s)(x), state, one)


def test_a_block_that_is_not_there_costs_nothing_whatever_its_ratio() -> None:
    assert SPACE.flops(np.array((0, 1, 1, 0, 1))) == SPACE.flops(np.array((0, 1, 1, 0, 0)))
    assert SPACE.flops(np.array((0, 1, 1, 1, 0))) > SPACE.flops(np.array((0, 1, 1, 0, 0)))


def test_gradients_reach_the_subnet_alone(params: Any) -> None:
    loss = lambda p: jnp.square(masked(p, jnp.ones((3, 8, 8, 1)), jnp.array((0, 1, 0, 0, 0)))).sum()  # noqa: E731
    up = np.asarray(jax.jit(jax.grad(loss))(params)["blocks"]["mlp"]["up"]["kernel"])
    assert up.shape == (3, 16, 32)
    assert not up[2].any()
    assert not up[:, 8:].any()
    assert not up[:, :, 8:].any()
    assert up[:2, :8, :8].all()


def test_a_list_that_does_not_rise_to_the_largest_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"widths=\(8, 12\) must rise to 16"):
        Space(LARGEST, (8, 12), (1, 3), (1, 2))
    with pytest.raises(ValueError, match=r"widths=\(4, 16\) must be multiples of the head size 8"):
        Space(LARGEST, (4, 16), (1, 3), (1, 2))

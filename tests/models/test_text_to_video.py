"""Words reach the velocity, padding does not, and a dropped text is as good as any."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.generative.dit import DiT
from stagejax.models.generative.text_to_video import TextToVideo

NET = DiT(channels=2, embed=8, layers=1, heads=1, head_dim=8, mlp=8, text=6, split=(2, 1, 1))
CONFIG = TextToVideo(NET, vocab=9, heads=2)
VIDEO, TIMES = jax.random.normal(jax.random.key(0), (1, 2, 2, 2, 2)), jnp.array([0.4])


@pytest.fixture(scope="module")
def velocity():
    model = CONFIG.build(nnx.Rngs(0))
    output = model.net.output.kernel
    output[...] = jax.random.normal(jax.random.key(1), output[...].shape)  # it is zero at first
    run = nnx.jit(lambda model, tokens, drop: model(VIDEO, TIMES, tokens, drop=drop))
    return lambda tokens, drop=False: np.asarray(run(model, jnp.array([tokens]), jnp.array([drop])))


@pytest.mark.slow
def test_words_and_their_order_count_and_padding_does_not(velocity) -> None:
    first = velocity([4, 5, 6, 0])
    assert np.abs(velocity([4, 5, 7, 0]) - first).max() > 1e-4
    assert np.abs(velocity([5, 4, 6, 0]) - first).max() > 1e-5
    short = CONFIG.build(nnx.Rngs(0)).encode(jnp.array([[4, 5, 6, 0]]))[:, :3]
    np.testing.assert_allclose(CONFIG.build(nnx.Rngs(0)).encode(jnp.array([[4, 5, 6]])), short, atol=1e-5)


@pytest.mark.slow
def test_a_dropped_text_is_not_seen(velocity) -> None:
    np.testing.assert_allclose(velocity([4, 5, 6, 0], True), velocity([7, 8, 4, 0], True), atol=1e-6)
    assert np.abs(velocity([4, 5, 6, 0], True) - velocity([4, 5, 6, 0])).max() > 1e-4


def test_sizes_are_those_of_the_parameters() -> None:
    model, sizes = CONFIG.build(nnx.Rngs(0)), CONFIG.sizes() | {"embed_out": 8, "waves": 128, "modulation": 6}
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    for own, leaf in zip(jax.tree.leaves(axes_of(model), is_leaf=is_axes), leaves, strict=True):
        found = tuple(sizes[name] for name in own.names)
        assert found == leaf.shape or (own.names[0] == "modulation" and found[1:] == leaf.shape[1:])
    with pytest.raises(ValueError, match="no text"):
        TextToVideo(DiT(), vocab=9)

"""The video autoencoder: what sees what in time, its two paths, its convolution, and depth that is added later."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of
from stagejax.models.generative.video_vae import CausalConv, Down, Up, VideoVAE, shuffle, unshuffle

CONFIG = VideoVAE(channels=(4, 8, 8), deep=((2, 1, 1),))
VIDEO = jax.random.uniform(jax.random.key(0), (1, 9, 8, 8, 1))
encode = nnx.jit(lambda model, video: model.encode(video))
decode = nnx.jit(lambda model, latents: model.decode(latents))


@functools.cache
def network() -> nnx.Module:
    return CONFIG.build(nnx.Rngs(0))


@pytest.mark.slow
def test_no_latent_frame_sees_a_later_frame() -> None:
    before = encode(network(), VIDEO)
    assert before.shape == (1, *CONFIG.compressed((9, 8, 8))) == (1, 3, 2, 2, 4)
    for frame in (0, 1, 4, 5, 8):
        changed = np.abs(encode(network(), VIDEO.at[:, frame].add(1.0)) - before).max((0, 2, 3, 4))
        own = -(-frame // 4)  # frame 0 alone, then fours
        assert not changed[:own].any()
        assert changed[own] > 1e-5


def test_no_frame_sees_a_later_latent_frame() -> None:
    latents = jax.random.normal(jax.random.key(1), (1, 3, 2, 2, 4))
    before = decode(network(), latents)
    for own, first in ((1, 1), (2, 5)):
        changed = np.abs(decode(network(), latents.at[:, own].add(1.0)) - before).max((0, 2, 3, 4))
        assert not changed[:first].any()
        assert (changed[first : first + 4] > 1e-5).all()


def test_an_image_is_a_video_of_one_frame() -> None:
    np.testing.assert_allclose(encode(network(), VIDEO[:, :1]), encode(network(), VIDEO)[:, :1], atol=1e-5)


def test_the_convolution_is_the_causal_one_in_three_dimensions() -> None:
    conv = CausalConv(("pixel", 2), ("channels.0", 3), nnx.Rngs(1))
    x = jax.random.normal(jax.random.key(2), (1, 3, 4, 4, 2))
    padded = np.pad(np.asarray(x), ((0, 0), (2, 0), (1, 1), (1, 1), (0, 0)))
    padded[:, :2, 1:-1, 1:-1] = np.asarray(x)[:, :1]
    kernel, expected = np.asarray(conv.kernel[...]), np.zeros((1, 3, 4, 4, 3))
    for f, i, j in itertools.product(range(3), repeat=3):
        expected += padded[:, f : f + 3, i : i + 4, j : j + 4] @ kernel[f, i, j]
    np.testing.assert_allclose(conv(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_shortcuts_alone_keep_what_is_constant_in_a_block() -> None:
    """With kernels of zero, down is the mean of a block (channels as before it) and up repeats it: up(down(x)) = x."""
    factors, width = (2, 2, 2), ("channels.0", 8)
    down, up = (kind(width, ("channels.1", 8), factors, CONFIG, nnx.Rngs(2)) for kind in (Down, Up))
    for module in (down, up):
        module.conv.kernel[...] = jnp.zeros_like(module.conv.kernel[...])
    coarse = jnp.broadcast_to(jax.random.normal(jax.random.key(3), (1, 2, 2, 2, 1)), (1, 2, 2, 2, 8))
    fine = shuffle(coarse.repeat(8, -1), factors)
    assert fine.shape == (1, 3, 4, 4, 8)
    np.testing.assert_allclose(down(fine), coarse, rtol=1e-5)
    np.testing.assert_allclose(up(down(fine)), fine, rtol=1e-5)
    x = jax.random.normal(jax.random.key(4), (1, 3, 4, 4, 8))
    pieces = np.asarray(unshuffle(x, factors))
    for group in range(8):  # group g averages the rearranged channels 8 g ... 8 g + 7
        np.testing.assert_allclose(
            down(x)[..., group], pieces[..., 8 * group : 8 * group + 8].mean(-1), rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
def test_deeper_levels_are_the_only_new_parameters() -> None:
    def leaves(config: VideoVAE) -> dict[str, tuple[int, ...]]:
        flat = nnx.to_flat_state(nnx.state(config.build(nnx.Rngs(0)), nnx.Param))
        return {"/".join(map(str, path)): leaf[...].shape for path, leaf in flat}

    shallow, deep = leaves(CONFIG.shallow), leaves(CONFIG)
    assert {path for path in deep if "/deep/" not in path} == set(shallow)
    assert all(deep[path] == shape for path, shape in shallow.items())
    sizes = CONFIG.sizes()
    for axes, leaf in zip(
        jax.tree.leaves(axes_of(network()), is_leaf=lambda x: hasattr(x, "names")),
        jax.tree.leaves(nnx.to_pure_dict(nnx.state(network(), nnx.Param))),
        strict=True,
    ):
        assert tuple(sizes[name] for name in axes.names) == leaf.shape


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"1 \+ a multiple of 4 frames"):
        CONFIG.compressed((8, 8, 8))
    with pytest.raises(ValueError, match="give 2 numbers"):
        VideoVAE(channels=(8,))
    with pytest.raises(ValueError, match="8 channels become 64"):
        VideoVAE(channels=(8, 24))

"""One network read by families: what a prefix lets it see, what padding does not, and networks of equal size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import bert, gpt
from stagejax.models.readout import Readout
from stagejax.models.text.as_encoder_decoder import as_encoder_decoder

SMALL = gpt(vocab=40, layers=2, embed=16, heads=2, mlp=32, positions="rotary", norm="rms", use_bias=False)
FIRST, OTHER = jnp.array([[1, 9, 8, 7, 2, 0]]), jnp.array([[1, 9, 8, 5, 2, 0]])


def test_an_encoder_and_no_classes_are_refused() -> None:
    for config in (lambda: Readout(bert(), 2), lambda: Readout(SMALL, 0)):
        with pytest.raises(ValueError, match="give a decoder"):
            config()


@pytest.mark.parametrize("bad", [{"layers": 3}, {"mlp": 16}])
def test_an_encoder_decoder_of_equal_size_needs_even_layers_and_a_wide_mlp(bad: dict[str, int]) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="give an even number"):
        as_encoder_decoder(replace(SMALL, **bad))


@pytest.mark.slow
def test_decoder_and_encoder_decoder_have_equally_many_kernel_parameters() -> None:
    def kernels(config: object) -> int:
        shapes = jax.eval_shape(lambda: nnx.state(config.build(nnx.Rngs(0)), nnx.Param))  # type: ignore[attr-defined]
        leaves = jax.tree_util.tree_leaves_with_path(shapes)
        return sum(leaf.size for path, leaf in leaves if "kernel" in str(path))

    assert kernels(SMALL) == kernels(as_encoder_decoder(SMALL)) == 2 * (4 * 16 * 16 + 2 * 16 * 32)


@pytest.mark.slow
def test_a_prefix_lets_earlier_tokens_see_later_ones_and_nothing_else_does() -> None:
    model = Readout(SMALL, 3).build(nnx.Rngs(0))
    everything = jnp.ones((1, 6), bool)
    alone, seen = ([model.features(tokens, prefix) for tokens in (FIRST, OTHER)] for prefix in (None, everything))
    np.testing.assert_array_equal(alone[0][:, :3], alone[1][:, :3])
    assert (jnp.abs(seen[0][:, :3] - seen[1][:, :3]).max(-1) > 1e-6).all()
    np.testing.assert_array_equal(alone[0], model.features(FIRST, ~everything))


@pytest.mark.slow
def test_the_encoder_decoder_sees_both_ways_and_no_family_sees_padding() -> None:
    model = Readout(as_encoder_decoder(SMALL), 3).build(nnx.Rngs(0))
    first, other = (model.states(tokens) for tokens in (FIRST, OTHER))
    assert (jnp.abs(first - other)[:, :3].max(-1) > 1e-6).all()
    for config in (SMALL, as_encoder_decoder(SMALL)):
        model = Readout(config, 3).build(nnx.Rngs(0))
        longer = jnp.pad(FIRST, ((0, 0), (0, 3)))
        short, long = (model.answers(tokens, tokens > 0) for tokens in (FIRST, longer))
        np.testing.assert_allclose(short[:, :5], long[:, :5], atol=1e-5)
        np.testing.assert_allclose(short[:, -1], long[:, -1], atol=1e-5)


@pytest.mark.slow
def test_a_text_is_read_by_the_mean_of_its_states() -> None:
    model = Readout(SMALL, 3).build(nnx.Rngs(0))
    np.testing.assert_allclose(model.features(FIRST)[:, -1], model.states(FIRST)[:, :5].mean(1), atol=1e-6)
    np.testing.assert_allclose(model.answers(FIRST)[:, -1], model.answers(FIRST)[:, :5].mean(1), atol=1e-6)

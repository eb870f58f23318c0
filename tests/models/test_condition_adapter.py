"""What a transformer is told: blended states through an adapter, captions through an encoder, and dropped prompts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import Transformer
from stagejax.models.generative.condition_adapter import CaptionEncoder, ConditionAdapter, mean_of, visual_blend

RNG = np.random.default_rng(0)
SEEN = jnp.array([[False, True, True], [False, False, False]])
THERE = jnp.array([[True, True, True], [True, True, False]])
PROMPT = {
    "states": jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32),
    "visual": jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32),
    "seen": SEEN,
}


def test_the_blend_is_of_patches_alone() -> None:
    h, v = PROMPT["states"], PROMPT["visual"]
    np.testing.assert_array_equal(visual_blend(h, v, SEEN, jnp.zeros(2)), h)
    whole = visual_blend(h, v, SEEN, jnp.ones(2))
    np.testing.assert_array_equal(whole, np.where(SEEN[..., None], v, h))
    half = visual_blend(h, v, SEEN, jnp.array([0.5, 0.9]))
    np.testing.assert_allclose(half[0, 1], (h[0, 1] + v[0, 1]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(half[1], h[1])


def test_the_mean_leaves_out_what_is_not_there() -> None:
    np.testing.assert_allclose(mean_of(PROMPT["states"], THERE)[1], PROMPT["states"][1, :2].mean(0), rtol=1e-5)
    assert not mean_of(PROMPT["states"], jnp.zeros((2, 3), bool)).any()


@pytest.mark.slow
def test_an_adapter_is_two_networks_of_two_layers() -> None:
    model = ConditionAdapter(reads=4, hidden=5, writes=6).build(nnx.Rngs(0))
    told = model(PROMPT, THERE, jnp.array([0.25, 0.25]))
    h = np.asarray(visual_blend(PROMPT["states"], PROMPT["visual"], SEEN, jnp.full(2, 0.25)))

    def network(x: np.ndarray, inner: str, outer: str) -> np.ndarray:
        first, last = getattr(model, inner), getattr(model, outer)
        return jax.nn.silu(x @ first.kernel[...] + first.bias[...]) @ last.kernel[...] + last.bias[...]

    np.testing.assert_allclose(told["context"], network(h, "inner", "outer"), rtol=1e-4, atol=1e-5)
    pooled = network(np.stack([h[0].mean(0), h[1, :2].mean(0)]), "pooled_inner", "pooled_outer")
    np.testing.assert_allclose(told["pooled"], pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_an_encoder_reads_captions_in_both_directions_and_no_padding() -> None:
    net = Transformer(vocab=9, causal=False, embed=8, layers=1, heads=2, mlp=16, length=4, init_std=0.5)
    model, words = CaptionEncoder(net).build(nnx.Rngs(0)), jnp.array([[5, 6, 0], [5, 7, 8]])

    def told(words: jax.Array, there: jax.Array) -> dict[str, jax.Array]:
        return model({"words": words}, there, jnp.ones(2))

    first, there = told(words, words > 0), words > 0
    assert np.abs(told(words.at[0, 1].set(7), there)["context"][0, 0] - first["context"][0, 0]).max() > 1e-4
    padded = told(words.at[0, 2].set(3), there)
    np.testing.assert_allclose(padded["context"][0, :2], first["context"][0, :2], rtol=1e-5)
    np.testing.assert_allclose(padded["pooled"], first["pooled"], rtol=1e-5)
    nothing = told(words, jnp.zeros_like(there))
    assert np.isfinite(nothing["context"]).all()
    np.testing.assert_array_equal(nothing["pooled"][0], nothing["pooled"][1])


def test_a_decoder_is_refused() -> None:
    with pytest.raises(ValueError, match="causal"):
        CaptionEncoder(Transformer())

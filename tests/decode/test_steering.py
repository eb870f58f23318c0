"""Steering: the formula against numpy, its limits, caches in lock-step, and the model in the samplers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.decode import CausalModel, Steered, beam_search, padded_prompts, sample, steered
from stagejax.models import gpt, llama

V, S = 12, 10
LARGE = llama(layers=2, embed=24, heads=3, mlp=32, vocab=V, init_std=0.5).build(nnx.Rngs(0))
SMALL, TUNED, OTHER = (gpt(layers=1, embed=16, heads=2, mlp=16, vocab=V, length=S, init_std=0.7).build(nnx.Rngs(i)) for i in (1, 2, 3))  # fmt: skip  # noqa: E501
PROMPTS = padded_prompts([[1, 2, 4, 7], [8], [9, 1, 2]], 4)


def by_hand(base, reference, tuned, weights, clip=20.0):
    """The formula in float64."""

    def log_softmax(x):
        x = np.asarray(x, np.float64)
        return x - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) - x.max(-1, keepdims=True)

    deltas = (
        w * np.clip(log_softmax(t) - log_softmax(reference), -clip, clip) for w, t in zip(weights, tuned, strict=True)
    )
    return log_softmax(log_softmax(base) + sum(deltas))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.floats(0.1, 12.0))
def test_it_is_the_formula_and_a_distribution(seed: int, count: int, scale: float) -> None:
    base, reference, *tuned = np.random.default_rng(seed).normal(0, scale, (2 + count, 2, 3, V)).astype(np.float32)
    weights = np.random.default_rng(seed).random(count).astype(np.float32)
    found = steered(jnp.array(base), jnp.array(reference), list(map(jnp.array, tuned)), jnp.array(weights))
    np.testing.assert_allclose(found, by_hand(base, reference, tuned, weights), atol=2e-4)
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, atol=1e-5)


def test_limits() -> None:
    base, before, after = (jnp.array(x) for x in np.random.default_rng(0).normal(0, 2, (3, 4, V)))
    logp = jax.nn.log_softmax
    np.testing.assert_allclose(steered(base, before, [before]), logp(base), atol=1e-5)  # nothing was tuned
    np.testing.assert_allclose(steered(before, before, [after]), logp(after), atol=1e-5)  # the base is the reference
    np.testing.assert_allclose(steered(base, before, [after], (0.0,)), logp(base), atol=1e-5)
    mixed = steered(base, before, [after, base], jnp.array([0.3, 0.7]))
    np.testing.assert_allclose(mixed, by_hand(base, before, [after, base], [0.3, 0.7]), atol=1e-5)
    shifted = steered(base + 3, before - 2, [after + 5])  # constants cancel
    np.testing.assert_allclose(shifted, steered(base, before, [after]), atol=1e-4)
    with pytest.raises(ValueError, match="2 weights for 1"):
        steered(base, before, [after], (0.5, 0.5))


def test_differences_are_clipped_and_absent_tokens_stay_absent() -> None:
    none = -jnp.inf
    base, before = jnp.array([0.0, 0.0, none, 0.0]), jnp.array([0.0, -90.0, 0.0, 0.0])
    found = steered(base, before, [jnp.array([0.0, 0.0, 0.0, none])])
    np.testing.assert_allclose(found[:2], [-20, 0], atol=1e-3)  # by 90 nats otherwise, and by log 3
    assert np.isneginf(found[2:]).all()


def test_only_the_nucleus_of_the_tuned_model_is_left() -> None:
    base, before = jnp.zeros((1, 4)), jnp.log(jnp.array([[0.4, 0.5, 0.0999, 0.0001]]))
    after = jnp.log(jnp.array([[0.5, 0.44, 0.04, 0.02]]))
    free, held = (jnp.exp(steered(base, before, [after], top_p=p))[0] for p in (None, 0.93))
    assert free[3] > 0.9  # both find it unlikely, but one of them less so
    assert held[2:].tolist() == [0, 0]
    np.testing.assert_allclose(held[:2], np.array([0.5 / 0.4, 0.44 / 0.5]) / (0.5 / 0.4 + 0.44 / 0.5), rtol=1e-5)


@pytest.mark.slow
def test_caches_advance_in_lock_step() -> None:
    model = Steered(LARGE, SMALL, (TUNED, OTHER), jnp.array([0.4, 0.6]))
    assert isinstance(model, CausalModel)
    tokens = jax.random.randint(jax.random.key(0), (2, S), 1, V)
    whole = steered(LARGE(tokens), SMALL(tokens), [TUNED(tokens), OTHER(tokens)], (0.4, 0.6))
    at_once, _ = model.step(tokens, model.init_cache(2, S))
    np.testing.assert_allclose(at_once, whole, atol=1e-4)
    cache, found = model.init_cache(2, S), []
    for t in range(S):
        logits, cache = model.step(tokens[:, t : t + 1], cache)
        found.append(logits[:, 0])
    np.testing.assert_allclose(jnp.stack(found, 1), whole, atol=1e-4)
    assert [c.lengths_B.tolist() for c in cache.each] == [[S, S]] * 4
    back = cache.moved(jnp.array([-3, -5]))  # as if the last tokens had not been said
    logits, _ = model.step(jnp.array([[tokens[0, S - 3]], [tokens[1, S - 5]]]), back)
    np.testing.assert_allclose(logits[:, 0], jnp.stack([whole[0, S - 3], whole[1, S - 5]]), atol=1e-4)


@pytest.mark.slow
def test_samplers_take_it_for_a_model() -> None:
    model = Steered(LARGE, SMALL, (TUNED,))
    drawn = sample(model, PROMPTS, jax.random.key(0), length=S, n=2)
    tokens = drawn.tokens_BNS.reshape(-1, S)
    logp = steered(LARGE(tokens), SMALL(tokens), [TUNED(tokens)])[:, :-1]
    own = np.take_along_axis(np.asarray(logp), np.asarray(tokens)[:, 1:, None], -1)[..., 0].reshape(3, 2, S - 1)
    where = drawn.drawn_BNS[..., 1:]
    np.testing.assert_allclose(drawn.logprobs_BNS[..., 1:][where], own[where], atol=1e-4)
    best = beam_search(model, PROMPTS, length=S, beams=1, stops=())
    likeliest = sample(model, PROMPTS, jax.random.key(0), length=S, temperature=0.0)
    np.testing.assert_array_equal(best.tokens_BKS, likeliest.tokens_BNS)

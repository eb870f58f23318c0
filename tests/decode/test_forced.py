"""Given tokens stand where they are given, and draws between them are those behind what really stands there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.decode import padded_prompts, sample
from stagejax.decode.forced import Forced
from stagejax.models import gpt

V, L = 12, 6
MODEL = gpt(layers=1, embed=16, heads=2, mlp=32, vocab=V, length=10, init_std=0.5).build(nnx.Rngs(0))
PROMPTS = padded_prompts([[1, 7, 4], [8]], 3)
GOLD = jnp.array([[5, 6, 7, 8, 9, 5], [9, 8, 7, 6, 5, 4]])
GIVEN = jnp.array([[1, 0, 1, 0, 0, 1], [0, 1, 1, 0, 1, 0]], bool)


def drawn(given, n=1, temperature=1.0):
    rule = Forced(GOLD, given, jnp.arange(V) >= 4)
    how = {"length": 9, "n": n, "limit": L, "allowed": rule, "temperature": temperature}
    return sample(MODEL, PROMPTS, jax.random.key(3), **how)


@pytest.fixture(scope="module")
def some():
    return drawn(GIVEN, n=2)


def said(found, row, k=0):
    start = int(found.starts_BN[row, k])
    return np.asarray(found.tokens_BNS[row, k, start : start + L])


def test_given_tokens_stand_in_every_sample_and_others_are_drawn_among_the_allowed(some) -> None:
    for row in range(2):
        for k in range(2):
            np.testing.assert_array_equal(said(some, row, k)[GIVEN[row]], GOLD[row][GIVEN[row]])
            assert (said(some, row, k) >= 4).all()


def test_log_probabilities_are_those_behind_the_mixed_context_and_not_behind_gold(some) -> None:
    for row in range(2):
        start, tokens = int(some.starts_BN[row, 0]), np.asarray(some.tokens_BNS[row, 0])
        own = jax.nn.log_softmax(MODEL(jnp.asarray(tokens[None, : start + L]))[0])
        expected = [own[start + t - 1, tokens[start + t]] for t in range(L)]
        np.testing.assert_allclose(some.logprobs_BNS[row, 0, start : start + L], expected, atol=1e-4)


def test_the_likeliest_token_follows_what_stands_there() -> None:
    found = drawn(GIVEN, temperature=0.0)
    for row in range(2):
        start, tokens = int(found.starts_BN[row, 0]), np.asarray(found.tokens_BNS[row, 0])
        logits = np.array(MODEL(jnp.asarray(tokens[None, : start + L]))[0])
        logits[:, :4] = -np.inf
        for t in range(L):
            if not GIVEN[row, t]:
                assert tokens[start + t] == logits[start + t - 1].argmax()


def test_all_given_is_the_reference() -> None:
    found = drawn(jnp.ones((2, L), bool))
    for row in range(2):
        np.testing.assert_array_equal(said(found, row), GOLD[row])

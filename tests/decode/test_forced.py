"""Given tokens stand where they are given, and draws between them are those behind what really stands there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.decode import Recomputed, padded_prompts, sample
from stagejax.decode.forced import Forced

V, L = 12, 6
LAST, EARLIER = (2 * np.random.default_rng(seed).normal(size=(V, V)) for seed in (0, 1))


def logits_of(tokens_BS):
    """They depend on the last token and on all before it."""
    return jnp.asarray(LAST)[tokens_BS] + jnp.cumsum(jnp.asarray(EARLIER)[tokens_BS], axis=1)


MODEL = Recomputed(lambda tokens, _: logits_of(tokens).astype(jnp.float32))
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


@pytest.mark.slow
def test_given_tokens_stand_in_every_sample_and_others_are_drawn_among_the_allowed(some) -> None:
    for row in range(2):
        for k in range(2):
            np.testing.assert_array_equal(said(some, row, k)[GIVEN[row]], GOLD[row][GIVEN[row]])
            assert (said(some, row, k) >= 4).all()


def test_log_probabilities_are_those_behind_the_mixed_context_and_not_behind_gold(some) -> None:
    for row in range(2):
        start, tokens = int(some.starts_BN[row, 0]), np.asarray(some.tokens_BNS[row, 0])
        own = jax.nn.log_softmax(logits_of(jnp.asarray(tokens[None, : start + L]))[0])
        expected = [own[start + t - 1, tokens[start + t]] for t in range(L)]
        np.testing.assert_allclose(some.logprobs_BNS[row, 0, start : start + L], expected, atol=1e-4)


def test_the_likeliest_token_follows_what_stands_there() -> None:
    found = drawn(GIVEN, temperature=0.0)
    for row in range(2):
        start, tokens = int(found.starts_BN[row, 0]), np.asarray(found.tokens_BNS[row, 0])
        logits = np.array(logits_of(jnp.asarray(tokens[None, : start + L]))[0])
        logits[:, :4] = -np.inf
        for t in range(L):
            if not GIVEN[row, t]:
                assert tokens[start + t] == logits[start + t - 1].argmax()


def test_all_given_is_the_reference() -> None:
    found = drawn(jnp.ones((2, L), bool))
    for row in range(2):
        np.testing.assert_array_equal(said(found, row), GOLD[row])

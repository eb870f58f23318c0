"""Speculative sampling: the target's distribution exactly, its greedy tokens, its stops, and what it counts."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from stagejax.decode import Recomputed, Steered, Together, padded_prompts, sample, speculative_sample, steered
from stagejax.models import gpt

RANDOM = np.random.default_rng(0)
P, Q = (np.log(RANDOM.dirichlet(np.ones(3) * 0.7, 4) + 0.02) for _ in range(2))  # what follows each of four tokens


def table(logits: np.ndarray) -> Recomputed:
    """A model of pairs of tokens, which never says token 0."""
    full = jnp.concatenate([jnp.full((4, 1), -jnp.inf), jnp.array(logits, jnp.float32)], axis=1)
    return Recomputed(lambda tokens, _: full[tokens])


def exact(length: int) -> dict[tuple[int, ...], float]:
    """The probability of each sequence behind token 1."""
    rows = np.exp(P) / np.exp(P).sum(1, keepdims=True)
    found = {}
    for tokens in itertools.product((1, 2, 3), repeat=length):
        steps = zip((1, *tokens), tokens, strict=False)
        found[tokens] = float(np.prod([rows[a, b - 1] for a, b in steps]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 2, 5])
def test_sequences_are_distributed_as_the_target_draws_them(block: int) -> None:
    count = 20_000
    prompts = padded_prompts([[1]] * count, 1)
    found = jax.jit(lambda key: speculative_sample(table(P), table(Q), prompts, key, length=4, block=block))(
        jax.random.key(block)
    )
    drawn = [tuple(row) for row in np.asarray(found.samples.tokens_BNS[:, 0, 1:]).tolist()]
    wanted = exact(3)
    seen = [drawn.count(tokens) for tokens in wanted]
    assert stats.chisquare(seen, np.array(list(wanted.values())) * count).pvalue > 0.01
    assert 0.2 < found.accepted_B.sum() / found.judged_B.sum() < 0.99


@pytest.mark.slow
def test_a_token_is_kept_as_often_as_two_distributions_overlap() -> None:
    p, q = (np.exp(x[0]) / np.exp(x[0]).sum() for x in (P[1:], Q[1:]))  # what follows token 1
    prompts = padded_prompts([[1]] * 20_000, 1)
    found = speculative_sample(table(P), table(Q), prompts, jax.random.key(7), length=2, block=1)
    np.testing.assert_allclose(found.accepted_B.mean(), np.minimum(p, q).sum(), atol=0.015)


def test_without_correction_the_distribution_would_be_another() -> None:
    wanted = exact(3)
    drawn = sample(table(Q), padded_prompts([[1]] * 20_000, 1), jax.random.key(0), length=4)
    seen = [tuple(row) for row in np.asarray(drawn.tokens_BNS[:, 0, 1:]).tolist()]
    counts = [seen.count(tokens) for tokens in wanted]
    assert stats.chisquare(counts, np.array(list(wanted.values())) * 20_000).pvalue < 1e-6


S, V, STOPS = 12, 9, ((3,), (5, 6))
LARGE, SMALL, TUNED = (gpt(layers=1, embed=16, heads=2, mlp=16, vocab=V, length=S, init_std=0.6).build(nnx.Rngs(i)) for i in range(3))  # fmt: skip  # noqa: E501
PROMPTS = padded_prompts([[1, 2, 4, 7], [8], [8, 1, 2], [1, 1]], 4)


def emulated(key: jax.Array, **options: float) -> object:
    """The tuned small model drafts for what it steers."""
    how = {"length": S, "block": 3, "stops": STOPS, "score": lambda pair, own: steered(*pair, [own])}
    return speculative_sample(Together((LARGE, SMALL)), TUNED, PROMPTS, key, **how, **options)


@pytest.mark.parametrize("limit", [S, 5])
@pytest.mark.slow
def test_at_temperature_0_they_are_the_greedy_tokens(limit: int) -> None:
    model = Steered(LARGE, SMALL, (TUNED,))
    wanted = sample(model, PROMPTS, jax.random.key(0), length=S, temperature=0.0, stops=STOPS, limit=limit)
    found = emulated(jax.random.key(1), temperature=0.0, limit=limit)
    for name in ("tokens_BNS", "ends_BN", "stop_sizes_BN"):
        np.testing.assert_array_equal(getattr(found.samples, name), getattr(wanted, name))
    np.testing.assert_allclose(found.samples.logprobs_BNS, wanted.logprobs_BNS, atol=1e-4)


@pytest.mark.slow
def test_logprobs_are_those_of_the_target_and_rounds_are_counted() -> None:
    found = emulated(jax.random.key(3))
    tokens = found.samples.tokens_BNS[:, 0]
    logp = np.asarray(steered(LARGE(tokens), SMALL(tokens), [TUNED(tokens)]))[:, :-1]
    own = np.take_along_axis(logp, np.asarray(tokens)[:, 1:, None], -1)[..., 0]
    where = found.samples.drawn_BNS[:, 0, 1:]
    np.testing.assert_allclose(found.samples.logprobs_BNS[:, 0, 1:][where], own[where], atol=1e-4)
    new = found.samples.ends_BN[:, 0] - found.samples.starts_BN[:, 0]
    assert (found.accepted_B <= found.judged_B).all()
    assert (found.accepted_B <= new).all()
    assert (found.rounds_B * 4 >= new).all()
    assert (found.rounds_B <= new).all()


@pytest.mark.slow
def test_a_perfect_draft_is_never_rejected() -> None:
    found = speculative_sample(LARGE, LARGE, PROMPTS, jax.random.key(0), length=S, block=3)
    np.testing.assert_array_equal(found.accepted_B, found.judged_B)
    new = found.samples.ends_BN[:, 0] - found.samples.starts_BN[:, 0]
    np.testing.assert_array_equal(found.rounds_B, -(-new // 4))


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="block=0"):
        speculative_sample(LARGE, SMALL, PROMPTS, jax.random.key(0), length=S, block=0)

"""Beam search against all sequences there are, and against greedy decoding."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.decode import Recomputed, beam_search, padded_prompts, sample
from stagejax.models import gpt

V, NEW, STOPS = 4, 3, ((0,), (2, 3))
MODEL = gpt(layers=1, embed=8, heads=1, mlp=16, vocab=V, length=8, init_std=0.8).build(nnx.Rngs(3))
PROMPTS = padded_prompts([[1, 2, 3], [3]], 3)


@jax.jit
def logprobs_of(tokens):
    return jax.nn.log_softmax(MODEL(tokens))


@partial(jax.jit, static_argnames="beams")
def search(prompts, penalty, allowed, beams):
    return beam_search(MODEL, prompts, length=6, beams=beams, stops=STOPS, limit=NEW, penalty=penalty, allowed=allowed)


ALL = jnp.ones((NEW, V), bool)


def ending(y):
    """Where a sequence ends: behind its first stop string, or at the limit."""
    ends = [i + len(s) for s in STOPS for i in range(len(y)) if tuple(y[i : i + len(s)]) == s]
    return min(ends, default=len(y))


def every_hypothesis(prompt, penalty=0.0, allowed=ALL):
    grid = np.array(list(itertools.product(range(V), repeat=NEW)))
    tokens = np.pad(np.concatenate([np.tile(prompt, (len(grid), 1)), grid], 1), ((0, 0), (0, 6 - len(prompt) - NEW)))
    logp = np.asarray(logprobs_of(tokens))
    found = {}
    for row, y in enumerate(grid):
        y = y[: ending(y)]
        if all(allowed[t, token] for t, token in enumerate(y)):
            total = sum(logp[row, len(prompt) + t - 1, token] for t, token in enumerate(y))
            found[tuple(y.tolist())] = total / ((5 + len(y)) / 6) ** penalty
    return sorted(found.items(), key=lambda pair: -pair[1])


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_the_best_of_all_sequences(penalty) -> None:
    beams = V**NEW
    found = jax.tree.map(np.asarray, search(PROMPTS, jnp.float32(penalty), ALL, beams))
    for row, prompt in enumerate(([1, 2, 3], [3])):
        expected = every_hypothesis(prompt, penalty)
        for k, (y, score) in enumerate(expected):
            assert found.tokens_BKS[row, k, len(prompt) : found.ends_BK[row, k]].tolist() == list(y)
            assert found.scores_BK[row, k] == pytest.approx(score, abs=1e-5)
            assert (found.stop_sizes_BK[row, k] == 0) == (ending(y) == NEW and tuple(y[-2:]) != (2, 3) and y[-1] != 0)
        assert np.isneginf(found.scores_BK[row, len(expected) :]).all()  # there are no others


def test_few_beams_find_true_scores_and_the_first_is_among_the_best() -> None:
    found = search(PROMPTS, jnp.float32(0.0), ALL, 3)
    for row, prompt in enumerate(([1, 2, 3], [3])):
        known = dict(every_hypothesis(prompt))
        got = [
            tuple(y[len(prompt) : e].tolist()) for y, e in zip(found.tokens_BKS[row], found.ends_BK[row], strict=True)
        ]
        assert len(set(got)) == 3
        np.testing.assert_allclose(found.logprobs_BK[row], [known[y] for y in got], atol=1e-5)
        assert (np.diff(found.scores_BK[row]) <= 0).all()
        assert got[0] == every_hypothesis(prompt)[0][0]


def test_forbidden_tokens_are_in_no_hypothesis() -> None:
    allowed = ALL.at[0].set(jnp.arange(V) == 1).at[1:, 3].set(False)
    found = jax.tree.map(np.asarray, search(PROMPTS, jnp.float32(0.0), allowed, 3))
    for row, prompt in enumerate(([1, 2, 3], [3])):
        expected = every_hypothesis(prompt, allowed=np.asarray(allowed))[:3]
        np.testing.assert_allclose(found.scores_BK[row], [score for _, score in expected], atol=1e-5)


@pytest.mark.slow
def test_one_beam_without_stops_is_greedy() -> None:
    one = jax.jit(partial(beam_search, MODEL, length=8, beams=1, stops=()))(PROMPTS)
    greedy = jax.jit(partial(sample, MODEL, length=8, temperature=0.0))(PROMPTS, jax.random.key(0))
    np.testing.assert_array_equal(one.tokens_BKS, greedy.tokens_BNS)
    np.testing.assert_allclose(one.logprobs_BK, greedy.logprobs_BNS.sum(-1), atol=1e-5)
    assert one.ends_BK.tolist() == [[8], [8]]


def test_a_search_ends_when_nothing_can_become_better() -> None:
    steps = []
    sure = jnp.log(jnp.array([0.98, 0.01, 0.01]))

    def model(tokens, _):
        jax.debug.callback(lambda: steps.append(1))
        return jnp.broadcast_to(sure, (*tokens.shape, 3))

    found = beam_search(Recomputed(model), padded_prompts([[1]], 1), length=50, beams=2, stops=((0,),))
    jax.effects_barrier()
    assert found.tokens_BKS[0, 0, :2].tolist() == [1, 0]
    assert len(steps) <= 4


def test_a_beam_needs_a_place() -> None:
    with pytest.raises(ValueError, match="beams=0"):
        beam_search(MODEL, PROMPTS, length=6, beams=0, stops=())

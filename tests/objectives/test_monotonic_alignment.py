"""Alignments against every monotonic path, against CTC, and against the prior's formula."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import betabinom

from stagejax.objectives.sound import monotonic_alignment as alignment
from stagejax.objectives.sound.monotonic_alignment import regulated

slow = pytest.mark.slow

# One program each compiles sooner than their many operations one by one.
forward_sum, monotonic_path, binarisation = map(
    jax.jit, (alignment.forward_sum, alignment.monotonic_path, alignment.binarisation)
)
beta_binomial_prior = jax.jit(alignment.beta_binomial_prior, static_argnums=(2, 3))
durations = jax.jit(alignment.durations, static_argnums=2)

SIZES = np.array([[3, 5], [1, 4], [4, 4], [2, 6]])  # tokens and frames of each row
TOKENS, FRAMES = jnp.asarray(SIZES[:, 0]), jnp.asarray(SIZES[:, 1])
DRAWN = np.random.default_rng(0).dirichlet(np.full(4, 0.5), (4, 6)) + 1e-3
LOG_P = np.log(DRAWN / DRAWN.sum(-1, keepdims=True)).astype(np.float32)


def paths(tokens: int, frames: int) -> list[list[int]]:
    """Every monotonic path, by the frames at which it goes on."""
    moves = itertools.combinations(range(1, frames), tokens - 1)
    return [[sum(t >= m for m in own) for t in range(frames)] for own in moves]


def scores(row: int) -> dict[tuple[int, ...], float]:
    log_p, (tokens, frames) = np.asarray(LOG_P[row], np.float64), SIZES[row]
    return {tuple(path): sum(log_p[t, n] for t, n in enumerate(path)) for path in paths(tokens, frames)}


@pytest.mark.parametrize("row", range(4))
def test_the_forward_sum_is_over_all_monotonic_paths(row: int) -> None:
    found = forward_sum(LOG_P, TOKENS, FRAMES)[row]
    np.testing.assert_allclose(found, -np.log(np.exp(list(scores(row).values())).sum()), rtol=1e-5)


@slow
def test_the_forward_sum_is_ctc_without_blanks() -> None:
    blank = jnp.full((4, 6, 1), -1e5)
    logits = jnp.concatenate([blank, LOG_P], -1)
    labels = jnp.tile(jnp.arange(1, 5), (4, 1))
    gone = (
        (jnp.arange(6) >= FRAMES[:, None]).astype(jnp.float32),
        (jnp.arange(4) >= TOKENS[:, None]).astype(jnp.float32),
    )
    np.testing.assert_allclose(
        forward_sum(LOG_P, TOKENS, FRAMES), optax.ctc_loss(logits, gone[0], labels, gone[1]), rtol=1e-4
    )


@pytest.mark.parametrize("row", range(4))
def test_the_path_is_the_likeliest_of_all(row: int) -> None:
    found = monotonic_path(LOG_P, TOKENS, FRAMES)[row]
    all_of = scores(row)
    frames = SIZES[row, 1]
    assert tuple(found[:frames].tolist()) == max(all_of, key=all_of.get)  # type: ignore[arg-type]
    assert (found[frames:] == SIZES[row, 0] - 1).all()


def test_durations_and_the_regulator_undo_each_other() -> None:
    path = monotonic_path(LOG_P, TOKENS, FRAMES)
    counts = durations(path, FRAMES, 4)
    assert counts.sum(1).tolist() == FRAMES.tolist()
    assert (counts > 0).sum(1).tolist() == TOKENS.tolist()  # every token has a frame
    again, frames = regulated(counts, 6)
    assert frames.tolist() == FRAMES.tolist()
    real = np.arange(6) < SIZES[:, 1:]
    assert (np.asarray(again)[real] == np.asarray(path)[real]).all()
    assert regulated(jnp.array([[3, 3]]), 4)[1].tolist() == [4]  # what is longer is cut off


def test_the_prior_is_beta_binomial() -> None:
    found = np.exp(beta_binomial_prior(TOKENS, FRAMES, (6, 4), 1.5))
    for row, (tokens, frames) in enumerate(SIZES):
        for t in range(frames):
            wanted = betabinom(tokens - 1, 1.5 * (t + 1), 1.5 * (frames - t)).pmf(np.arange(4))
            np.testing.assert_allclose(found[row, t], wanted, atol=1e-4)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-4)


def test_binarisation_is_zero_of_a_hard_alignment_alone() -> None:
    path = monotonic_path(LOG_P, TOKENS, FRAMES)
    hard = jax.nn.log_softmax(50 * jax.nn.one_hot(path, 4))
    assert binarisation(hard, path, FRAMES) < 1e-6
    on_path = [LOG_P[row, t, int(path[row, t])] for row in range(4) for t in range(SIZES[row, 1])]
    np.testing.assert_allclose(binarisation(LOG_P, path, FRAMES), -np.mean(on_path), rtol=1e-5)


@slow
def test_gradients_are_finite_where_rows_end() -> None:
    slope = jax.grad(lambda x: forward_sum(jax.nn.log_softmax(x), TOKENS, FRAMES).sum())(jnp.zeros((4, 6, 4)))
    assert bool(jnp.isfinite(slope).all())
    assert not slope[1, 4:].any()  # frames that are not real

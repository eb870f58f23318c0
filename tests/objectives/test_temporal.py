"""Temporal contrast against its formula, and the exam against models that know everything, or nothing of order."""

from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from stagejax.objectives.contrastive import info_nce
from stagejax.objectives.sound.temporal import OrderExam, TemporalContrast, tnce

RNG = np.random.RandomState(0)


def by_hand(logits: np.ndarray, same: float, cross: float, beta: float, present: np.ndarray) -> float:
    """The sum of the definition, term by term."""
    rows = len(logits)
    half = rows // 2
    total, weight = 0.0, 0.0
    for r in range(rows):
        if not present[r]:
            continue
        own = 1.0 if r < half else beta
        for score in (logits[r], logits[:, r]):
            below = 0.0
            for c in range(rows):
                if present[c]:
                    apart = (r < half) != (c < half)
                    factor = 1.0 if not apart else same if r % half == c % half else cross
                    below += factor * np.exp(score[c])
            total -= own * (score[r] - np.log(below)) / 2
        weight += own
    return total / weight


weights = st.sampled_from([0.0, 0.3, 1.0, 4.0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), weights, weights, weights)
def test_the_loss_is_its_formula(seed: int, same: float, cross: float, beta: float) -> None:
    rng = np.random.RandomState(seed)
    logits = rng.normal(size=(8, 8)).astype(np.float32)
    present = np.concatenate([np.ones(4, bool), rng.random_sample(4) < 0.7])
    how = {"same": same, "cross": cross, "reversed_weight": beta, "present_R": jnp.asarray(present)}
    loss, metrics = tnce(jnp.asarray(logits), **how)
    np.testing.assert_allclose(loss, by_hand(logits.astype(float), same, cross, beta, present), rtol=2e-5)
    np.testing.assert_allclose(metrics["loss"][0] / metrics["loss"][1], loss, rtol=1e-5)


def test_its_limits_are_info_nce() -> None:
    logits = jnp.asarray(RNG.normal(size=(8, 8)).astype(np.float32))
    halves = [info_nce(logits[:4, :4])[0], info_nce(logits[4:, 4:])[0]]
    np.testing.assert_allclose(tnce(logits)[0], info_nce(logits)[0], rtol=1e-6)
    np.testing.assert_allclose(tnce(logits, same=0.0, cross=0.0)[0], np.mean(halves), rtol=1e-6)
    np.testing.assert_allclose(tnce(logits, same=0.0, cross=0.0, reversed_weight=0.0)[0], halves[0], rtol=1e-6)


def test_gradients_reach_the_reversed_pair_alone_where_it_counts() -> None:
    logits = jnp.asarray(RNG.normal(size=(6, 6)).astype(np.float32))
    present = jnp.array([True, True, True, True, False, True])
    grad = jax.grad(lambda x: tnce(x, same=3.0, cross=0.0, present_R=present)[0])(logits)
    assert np.isfinite(grad).all()
    assert grad[0, 3] > 0 == grad[0, 5]
    assert not np.asarray(grad[4]).any()
    assert not np.asarray(grad[:, 4]).any()
    with pytest.raises(ValueError, match="as many of each"):
        tnce(jnp.zeros((3, 3)))


def test_rows_of_a_batch_are_first_halves_and_then_reversals() -> None:
    frames = RNG.normal(size=(3, 2, 5)).astype(np.float32)
    tokens = RNG.normal(size=(3, 2, 5)).astype(np.float32)
    batch = {"frames": frames, "tokens": tokens, "present": np.ones((3, 2), bool)}
    batch["present"][1, 1] = False
    on_device = {name: jnp.asarray(leaf) for name, leaf in batch.items()}
    loss, _ = TemporalContrast(same=2.0)(lambda u, v, key: u @ v.T, on_device, None)
    u, v = (np.concatenate([x[:, 0], x[:, 1]]).astype(float) for x in (frames, tokens))
    present = np.array([True, True, True, True, False, True])
    np.testing.assert_allclose(loss, by_hand(u @ v.T, 2.0, 1.0, 1.0, present), rtol=1e-5)


# --- the exam, by models whose clips are (first, second, at a time?) and whose captions are (word, i, j) ---

EVENTS = 5
WORDS = {"before": 0, "after": 1, "while": 2, "then": 3, "followed": 4}


def captions() -> dict[str, np.ndarray]:
    i, j = np.meshgrid(np.arange(EVENTS), np.arange(EVENTS), indexing="ij")
    pairs = {name: np.stack([np.full_like(i, word), i, j], -1) for name, word in WORDS.items()}
    names = np.arange(EVENTS)
    return {"single": np.stack([np.stack([np.full_like(names, 9), names, names], -1)] * 2)} | pairs


def vectors(first: Any, second: Any, apart: Any, order: float) -> jax.Array:
    """One place for each event, first and second, as far as `order` tells them apart, and one for "at a time"."""
    one, two = (jax.nn.one_hot(jnp.asarray(event, int), EVENTS) for event in (first, second))
    both = jnp.concatenate([one + (1 - order) * two, two + (1 - order) * one, 0.3 * apart[..., None]], -1)
    return both / jnp.linalg.norm(both, axis=-1, keepdims=True)


def model(order: float, reversed_words: tuple[int, ...] = (1,)) -> Any:
    def encode_text(tokens: jax.Array) -> jax.Array:
        word, i, j = tokens.T
        swapped = jnp.isin(word, jnp.array(reversed_words))
        told = jnp.where(word == 2, 0.0, order)[:, None]
        first, second = jnp.where(swapped, j, i), jnp.where(swapped, i, j)
        return vectors(first, second, (word == 2).astype(float), told)

    def encode_audio(frames: jax.Array) -> jax.Array:
        first, second, apart = frames.T
        told = jnp.where(apart == 1, 0.0, order)[:, None]
        return vectors(first, second, apart, told)

    return SimpleNamespace(encode_text=encode_text, encode_audio=encode_audio)


def batch() -> dict[str, jax.Array]:
    pairs = jnp.array([(i, j) for i in range(EVENTS) for j in range(EVENTS) if i != j])
    i, j = pairs.T

    def clips(*rows: tuple[Any, Any, float]) -> jax.Array:
        return jnp.stack([jnp.stack([a, b, jnp.full(len(i), c)], -1) for a, b, c in rows], 1)

    made = {"single": clips((i, i, 0.0), (j, j, 0.0)), "while": clips((i, j, 1.0), (i, j, 1.0))}
    made |= {name: clips((i, j, 0.0), (j, i, 0.0)) for name in ("seen", "held")}
    return {f"{name}/frames": x for name, x in made.items()} | {f"{name}/events": pairs for name in made}


def shares(net: Any) -> dict[str, float]:
    _, metrics = OrderExam(captions)(net, batch(), None)
    return {name: float(right / asked) for name, (right, asked) in metrics.items()}


@pytest.mark.slow
def test_who_knows_all_passes_everything() -> None:
    assert set(shares(model(1.0, (1,))).values()) == {1.0}


def test_who_is_blind_to_order_passes_what_needs_none() -> None:
    found = shares(model(0.0))
    assert found["single"] == found["while"] == found["relation_while"] == 1.0
    assert found["order_held"] == found["then_seen"] == 0.0  # ties never help
    assert found["both_held"] == found["first_held"] == 0.5


def test_who_takes_after_for_before_is_right_half_of_the_time() -> None:
    found = shares(model(1.0, ()))
    assert found["order_held"] == found["order_seen"] == 0.5
    assert found["then_held"] == 1.0


@pytest.mark.slow
def test_an_unseen_word_read_backwards_is_wrong() -> None:
    found = shares(model(1.0, (1, 3)))
    assert (found["then_held"], found["followed_held"], found["order_held"]) == (0.0, 1.0, 1.0)

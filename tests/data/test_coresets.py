"""Scores against gradients and counts, choices against brute force, and label noise."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Digits
from stagejax.data.selection.coresets import around_median, by_class, herding, highest, in_proportion, k_center
from stagejax.data.selection.mislabelled import Mislabelled
from stagejax.data.selection.scores import (
    distance_to_prototype,
    el2n,
    entropy,
    forgetting,
    grand_of_head,
    least_confidence,
    margin,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(20, 5)).astype(np.float32)
FEATURES = RANDOM.normal(size=(20, 7)).astype(np.float32)
ANSWERS = RANDOM.integers(0, 5, 20)


def test_el2n_is_the_gradient_by_the_logits_and_grand_that_by_the_head() -> None:
    def loss(head, features, label):
        return -jax.nn.log_softmax(features @ head["kernel"] + head["bias"])[label]

    head = {"kernel": jnp.asarray(RANDOM.normal(size=(7, 5)), jnp.float32), "bias": jnp.ones(5)}
    logits = np.asarray(FEATURES @ head["kernel"] + head["bias"])
    grads = jax.vmap(jax.grad(loss), (None, 0, 0))(head, FEATURES, ANSWERS)
    np.testing.assert_allclose(el2n(logits, ANSWERS), np.linalg.norm(grads["bias"], axis=1), rtol=1e-4)
    both = np.concatenate([grads["bias"], grads["kernel"].reshape(20, -1)], axis=1)
    np.testing.assert_allclose(grand_of_head(logits, FEATURES, ANSWERS), np.linalg.norm(both, axis=1), rtol=1e-4)


def test_uncertainties_are_largest_where_nothing_is_known() -> None:
    flat, sure = np.zeros((1, 5), np.float32), np.array([[30.0, 0, 0, 0, 0]], np.float32)
    for score in (margin, entropy, least_confidence):
        assert score(flat)[0] > score(LOGITS).max()
        assert score(sure)[0] == pytest.approx(0.0, abs=1e-5)
        np.testing.assert_allclose(score(LOGITS + 3), score(LOGITS), rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8))
def test_forgetting_counts_what_was_known_and_then_was_not(passes) -> None:
    wanted = [sum(a and not b for a, b in itertools.pairwise(own)) for own in zip(*passes, strict=True)]
    assert forgetting(np.array(passes)).tolist() == wanted


def test_prototypes_are_means_of_classes() -> None:
    found = distance_to_prototype(FEATURES, ANSWERS)
    for i in range(20):
        own = FEATURES[[answer == ANSWERS[i] for answer in ANSWERS]].mean(0)
        assert found[i] == pytest.approx(np.linalg.norm(FEATURES[i] - own), rel=1e-4)
    order = np.argsort(found)
    middle = np.median(found)
    assert np.abs(found[around_median(found, 6)] - middle).max() <= np.abs(found[order[[0, -1]]] - middle).min()


def test_k_center_covers_at_most_twice_as_far_as_is_possible() -> None:
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(12, 2))
        gaps = np.linalg.norm(x[:, None] - x, axis=-1)
        best = min(gaps[:, list(own)].min(1).max() for own in itertools.combinations(range(12), 3))
        chosen = k_center(x, 3)
        assert len(set(chosen.tolist())) == 3
        assert gaps[:, chosen].min(1).max() <= 2 * best + 1e-9
        naive = [int(chosen[0])]
        while len(naive) < 3:
            naive.append(int(gaps[:, naive].min(1).argmax()))
        assert chosen.tolist() == naive


def test_herding_takes_what_brings_the_mean_nearest() -> None:
    x = FEATURES.astype(np.float64)
    chosen: list[int] = []
    for _ in range(8):
        rest = [i for i in range(20) if i not in chosen]
        chosen.append(min(rest, key=lambda i: np.linalg.norm(x.mean(0) - x[[*chosen, i]].mean(0))))
    assert herding(FEATURES, 8).tolist() == chosen


@pytest.mark.parametrize("choose", [k_center, herding])
def test_all_records_can_be_chosen_also_where_they_are_alike(choose) -> None:
    assert sorted(choose(np.zeros((5, 2)), 5).tolist()) == list(range(5))
    with pytest.raises(ValueError, match="lower it"):
        choose(np.zeros((5, 2)), 6)


@pytest.mark.slow
def test_draws_in_proportion_to_scores() -> None:
    scores = np.array([4.0, 3.0, 2.0, 1.0, 0.0])
    first = [int(in_proportion(scores, 1, seed)[0]) for seed in range(4000)]
    np.testing.assert_allclose(np.bincount(first, minlength=5) / 4000, scores / 10, atol=0.03)
    pairs = np.bincount(np.concatenate([in_proportion(scores, 2, seed) for seed in range(4000)]), minlength=5) / 4000
    one = [sum(scores[i] * scores[j] / (10 - scores[i]) / 10 for i in range(4) if i != j) for j in range(5)]
    np.testing.assert_allclose(pairs, scores / 10 + one, atol=0.03)


@pytest.mark.parametrize("k", [0, 1, 7, 20])
def test_classes_are_chosen_from_in_proportion(k: int) -> None:
    scores = RANDOM.normal(size=20)
    chosen = by_class(ANSWERS, k, lambda own, m: highest(scores[own], m)) if k else np.array([], int)
    assert len(set(chosen.tolist())) == k
    for c, size in enumerate(np.bincount(ANSWERS)):
        members = np.flatnonzero(np.equal(ANSWERS, c))
        own = set(chosen.tolist()) & set(members.tolist())
        assert abs(len(own) - k * size / 20) < 1
        assert own == set(members[highest(scores[members], len(own))].tolist())


def test_label_noise_is_symmetric_and_only_in_training() -> None:
    noisy, clean = Mislabelled(Digits(), share=0.4, classes=10, seed=3), Digits()
    pairs = np.array([(clean[i]["label"], noisy[i]["label"]) for i in range(len(clean))])
    wrong = pairs[:, 0] != pairs[:, 1]
    assert wrong.mean() == pytest.approx(0.4, abs=0.04)
    np.testing.assert_array_equal(wrong, noisy.wrong(np.arange(len(clean))))
    turns = (pairs[wrong, 1] - pairs[wrong, 0]) % 10
    assert np.bincount(turns, minlength=10)[1:] / wrong.sum() == pytest.approx(np.full(9, 1 / 9), abs=0.05)
    assert noisy.of_split("test") == clean.of_split("test")
    assert noisy.of_split("train") is noisy
    assert noisy[-1]["label"] == noisy[len(clean) - 1]["label"]
    assert noisy.digest() != clean.digest()
    with pytest.raises(ValueError, match="share from 0 to 1"):
        Mislabelled(Digits(), share=1.5, classes=10)

"""Losses of the matching detector against their formulas, and which regions are positive."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.pictures.box_deltas import deltas, moved
from stagejax.objectives.pictures.matching_detection import (
    NO_BOX,
    OTHER,
    SAME,
    Regions,
    head_losses,
    proposals,
    proposer_losses,
    sampled,
)

KEY = jax.random.key(0)


def spans(*pairs: tuple[float, float]) -> jax.Array:
    """Boxes of full height."""
    return jnp.array([(0.0, left, 1.0, right) for left, right in pairs])


BOXES = spans((0.1, 0.3), (0.5, 0.7), (0.0, 0.0))
KINDS = jnp.array([SAME, OTHER, NO_BOX])


def test_deltas_of_a_box_lead_back_to_it() -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 0.5, (2, 20, 2))
    boxes, around = jnp.asarray(np.concatenate([low, low + rng.uniform(0.05, 0.5, low.shape)], -1), jnp.float32)
    np.testing.assert_allclose(moved(around, deltas(boxes, around)), boxes, atol=1e-5)
    assert bool((moved(around, jnp.full((20, 4), 9.0)) <= 1).all())


def test_no_more_than_a_share_of_what_is_sampled_is_positive() -> None:
    positive = jnp.arange(20) < 10
    for seed in range(5):
        weights = sampled(jax.random.key(seed), positive, ~positive, 8, 0.25)
        assert (float(weights[:10].sum()), float(weights[10:].sum())) == (2, 6)
    few = sampled(KEY, positive & (jnp.arange(20) < 1), ~positive, 8, 0.5)
    assert (float(few[:10].sum()), float(few[10:].sum())) == (1, 7)


@pytest.mark.slow
def test_the_proposer_should_find_every_box_whatever_its_symbol() -> None:
    anchors = spans((0.1, 0.3), (0.5, 0.7), (0.75, 0.95), (0.12, 0.3), (0.2, 0.35))
    said = jnp.array([1.0, -1.0, 0.5, 2.0, 9.0])
    loss, away = proposer_losses(
        said, deltas(BOXES[jnp.array([0, 1, 0, 0, 0])], anchors), anchors, BOXES, KINDS, KEY, 8
    )
    p = 1 / (1 + np.exp(-np.asarray(said)))
    # 0 and 3 overlap the first box by .7 or more, 1 the second; 2 is ground; 4 overlaps by .4 and is not counted
    expected = -(np.log(p[0]) + np.log(p[1]) + np.log(p[3]) + np.log(1 - p[2])) / 4
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert float(away) < 1e-5


def test_the_anchor_nearest_to_a_box_is_positive_however_little_they_overlap() -> None:
    anchors = spans((0.25, 0.45), (0.8, 0.9))
    loss, _ = proposer_losses(jnp.array([9.0, -9.0]), jnp.zeros((2, 4)), anchors, BOXES[:1], KINDS[:1], KEY, 8)
    assert float(loss) < 1e-3


@pytest.mark.slow
def test_regions_of_other_symbols_and_of_the_ground_are_negative() -> None:
    seen = spans((0.1, 0.28), (0.5, 0.7), (0.75, 0.95), (0.0, 1.0))
    real = jnp.array([True, True, True, False])
    match = jnp.array([2.0, 1.0, -1.0, 5.0])
    p = 1 / (1 + np.exp(-np.asarray(match)))
    loss, away = head_losses(match, jnp.zeros((4, 4)), seen, real, BOXES, KINDS, KEY, 12)
    np.testing.assert_allclose(loss, -(np.log(p[0]) + np.log(1 - p[1]) + np.log(1 - p[2])) / 3, rtol=1e-5)
    by = np.asarray(deltas(BOXES[0], seen[0])) / np.array([0.1, 0.1, 0.2, 0.2])
    np.testing.assert_allclose(away, np.where(abs(by) < 1, by**2 / 2, abs(by) - 0.5).sum() / 3, rtol=1e-4)


def test_a_pair_without_boxes_is_all_ground() -> None:
    none = jnp.full(3, NO_BOX)
    _, away = proposer_losses(jnp.zeros(2), jnp.ones((2, 4)), BOXES[:2], BOXES, none, KEY, 8)
    loss, _ = head_losses(jnp.zeros(2), jnp.ones((2, 4)), BOXES[:2], jnp.array([True, True]), BOXES, none, KEY, 8)
    assert float(away) == 0
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)


def test_proposals_are_the_likeliest_that_do_not_overlap_and_carry_no_gradient() -> None:
    anchors = spans((0.1, 0.3), (0.11, 0.3), (0.5, 0.7), (0.8, 0.9))
    said, by = jnp.array([1.0, 2.0, 0.5, -3.0]), jnp.zeros((4, 4))
    boxes, real = proposals(said, by, anchors, Regions(before=3, after=3))
    np.testing.assert_allclose(boxes[:2], anchors[jnp.array([1, 2])], atol=1e-6)
    assert real.tolist() == [True, True, False]
    slope = jax.grad(lambda by: proposals(said, by, anchors, Regions(before=3, after=3))[0].sum())(by)
    assert float(jnp.abs(slope).max()) == 0

"""Equal clusters, and the prefix of clusters that is nearest to a target."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.objectives.pictures.frechet import frechet_distance
from stagejax.search.likeness import equal_clusters, nearest_prefix


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_clusters_have_one_size_or_one_more(things, clusters, seed):
    clusters = min(things, clusters)
    x = np.random.default_rng(seed).normal(size=(things, 2))
    sizes = np.bincount(equal_clusters(x, clusters, seed), minlength=clusters)
    assert sizes.sum() == things
    assert set(sizes.tolist()) <= {things // clusters, -(-things // clusters)}


def test_clusters_far_apart_are_found():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(8, 3)) + 50 * i for i in range(4)])
    found = equal_clusters(x, 4, seed=1).reshape(4, 8)
    assert (found == found[:, :1]).all()
    assert len(set(found[:, 0].tolist())) == 4


def test_a_number_of_clusters_that_cannot_be():
    for clusters in (0, 4):
        with pytest.raises(ValueError, match=rf"clusters={clusters}: give 1 to 3"):
            equal_clusters(np.zeros((3, 2)), clusters, seed=0)


def test_unions_are_measured_as_they_grow_and_never_with_more_rows_than_the_target():
    rng = np.random.default_rng(0)
    clusters = [rng.normal(size=(60, 2)) + place for place in (7.0, 0.0, 1.0)]
    goal = rng.normal(size=(60, 2))
    found = nearest_prefix(clusters, goal, seed=3)
    assert found.order.tolist() == [1, 2, 0]
    assert found.own.tolist() == [frechet_distance(one, goal) for one in clusters]
    assert found.unions[0] == pytest.approx(found.own[1])  # the same rows in another order
    union = np.concatenate([clusters[1], clusters[2]])
    rng = np.random.default_rng(3)
    rng.permutation(60)
    assert found.unions[1] == frechet_distance(union[rng.permutation(120)[:60]], goal)
    assert found.best.tolist() == found.order[: 1 + int(np.argmin(found.unions))].tolist()

"""Soups: the mean of models, and which of them a greedy one keeps."""

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.transforms.soup import greedy, uniform


def test_a_uniform_soup_is_the_mean_of_every_leaf() -> None:
    rng = np.random.default_rng(0)
    models = [({"w": rng.normal(size=(2, 3)), "b": rng.normal(size=3)}, {}) for _ in range(3)]
    for leaf, *own in zip(*(jax.tree.leaves(tree) for tree in (uniform(None, *models), *models)), strict=True):
        np.testing.assert_allclose(leaf, np.mean(own, 0))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_a_greedy_soup_is_no_worse_than_its_best_member(values: list[float]) -> None:
    def score(chosen: tuple[int, ...]) -> float:
        return -abs(float(np.mean([values[k] for k in chosen])) - 0.5)

    kept, alone = greedy(len(values), score)
    assert score(kept) >= max(alone)
    assert len(set(kept)) == len(kept)
    assert kept[0] == int(np.argmax(alone))


def test_members_that_harm_are_left_out_and_the_others_kept() -> None:
    scores = {(0,): 1.0, (1,): 3.0, (2,): 2.0, (1, 2): 3.5, (1, 2, 0): 3.4}
    assert greedy(3, scores.__getitem__) == ((1, 2), [1.0, 3.0, 2.0])

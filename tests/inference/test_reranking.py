"""Search under a budget: what is scored exactly, that anchors are paid for, and the recall of the exact top."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.inference.retrieval import cur
from stagejax.inference.retrieval.reranking import Budgets, best, best_split, even_split, recalls, scored

RANDOM = np.random.default_rng(0)
EXACT = RANDOM.normal(size=(5, 40))


@settings(max_examples=25, deadline=None)
@given(calls=st.integers(0, 60), known=st.integers(0, 20), seed=st.integers(0, 99))
def test_exactly_the_calls_are_spent_and_none_on_what_is_known(calls: int, known: int, seed: int) -> None:
    own = np.random.default_rng(seed).permutation(40)[:known]
    found = scored(EXACT, calls, own)
    assert (found.sum(1) == min(40, known + calls)).all()
    assert found[:, own].all()
    left = np.where(np.isin(np.arange(40), own), -np.inf, EXACT)
    for row, mine in zip(left, found, strict=True):
        rest = mine & (row > -np.inf)
        assert not rest.any() or row[rest].min() >= row[~mine].max(initial=-np.inf)


def test_recall_is_of_the_exact_top_and_counts_the_found_ones() -> None:
    top = best(EXACT, 10)
    assert recalls(top, scored(EXACT, 10), (1, 5, 10)).tolist() == [1, 1, 1]
    assert recalls(top, scored(EXACT, 4), (1, 5, 10)).tolist() == [1, 0.8, 0.4]
    blind = scored(-EXACT, 20)
    expected = np.mean([len(set(np.argsort(-row)[:10]) & set(np.flatnonzero(own))) / 10
                        for row, own in zip(EXACT, blind, strict=True)])  # fmt: skip
    assert np.isclose(recalls(top, blind, (10,))[0], expected)


def test_anchors_are_part_of_the_budget_and_their_draws_repeat() -> None:
    plan, asked = Budgets(calls=(5, 10), ks=(1, 10), shares=(0.2, 0.5, 1.0), draws=3), []

    def estimate(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(own)
        return own, np.zeros_like(EXACT)

    found = plan.recalls(best(EXACT, 10), 40, estimate)
    assert found.shape == (2, 3, 3, 2)
    assert sorted({len(own) for own in asked}) == [1, 2, 5, 10]  # shares of the budgets, none scored beside them
    assert all((np.diff(own) > 0).all() for own in asked)
    assert len(asked) == 3 * 4
    perfect = plan.recalls(best(EXACT, 10), 40, lambda own: (own, EXACT))
    assert (perfect[1, 0, :, 0] == 1).all()
    assert (perfect[1, 0, :, 1] <= 1).all()
    assert perfect[0, :, :, 1].max() <= 0.5  # five calls find at most five of ten
    assert np.array_equal(best_split(perfect), perfect.mean(2).max(1))
    assert np.array_equal(even_split(perfect), perfect[:, 1].mean(1))


def test_a_low_rank_matrix_is_searched_without_a_miss() -> None:
    S = RANDOM.normal(size=(30, 4)) @ RANDOM.normal(size=(4, 100))
    plan = Budgets(calls=(16,), ks=(1, 8), shares=(0.5,), draws=2)
    top = best(S[20:], 8)
    found = plan.recalls(top, 100, lambda own: (own, S[20:, own] @ cur.item_embeddings(S[:20], own)))
    assert (found == 1).all()
    assert plan.plain(top, RANDOM.normal(size=(10, 100)))[0, 1] < 0.6

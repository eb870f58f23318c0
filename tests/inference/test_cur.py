"""CUR against matrices of known rank, numpy's pseudo-inverse and the optimality of the best core."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.inference.retrieval import cur


def of_rank(rank: int, seed: int, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(shape[0], rank)) @ random.normal(size=(rank, shape[1]))


@settings(max_examples=25, deadline=None)
@given(rank=st.integers(1, 6), anchors=st.integers(6, 12), seed=st.integers(0, 1000))
def test_as_many_anchors_as_the_rank_recover_every_score(rank: int, anchors: int, seed: int) -> None:
    S = of_rank(rank, seed)
    own = np.random.default_rng(seed).permutation(30)[:anchors]
    np.testing.assert_allclose(S[10:, own] @ cur.item_embeddings(S[:10], own), S[10:], atol=1e-7)
    np.testing.assert_allclose(cur.query_embeddings(S[:, :15], np.arange(10)) @ S[:10, 15:], S[:, 15:], atol=1e-7)
    np.testing.assert_allclose(cur.best_core(S, np.arange(10), own), S, atol=1e-7)
    assert max(cur.errors(S[:10], S[10:], own)) < 1e-7
    assert cur.error_at_rank(S, (rank,))[0] < 1e-7


def test_an_index_is_the_pseudo_inverse_times_the_rows_in_float64() -> None:
    rows = np.random.default_rng(0).normal(size=(8, 20)).astype(np.float32)
    own = np.array([3, 5, 11])
    wide = rows.astype(np.float64)
    expected = np.linalg.inv(wide[:, own].T @ wide[:, own]) @ wide[:, own].T @ wide  # full column rank
    found = cur.item_embeddings(rows, own)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_no_core_is_better_than_the_best() -> None:
    S = np.random.default_rng(1).normal(size=(15, 12))
    queries, items = np.arange(6), np.array([0, 4, 7, 9])
    best = cur.relative_error(cur.best_core(S, queries, items), S)
    plain = cur.relative_error(S[:, items] @ cur.item_embeddings(S[queries], items), S)
    assert cur.error_at_rank(S, (4,))[0] <= best <= plain


def test_as_many_anchor_items_as_queries_are_ill_conditioned() -> None:
    S = of_rank(5, 2, (60, 200)) + np.random.default_rng(3).normal(size=(60, 200))
    errors = {count: np.mean([cur.errors(S[:30], S[30:], np.random.default_rng(draw).permutation(200)[:count])[0]
                              for draw in range(10)]) for count in (10, 30, 90)}  # fmt: skip
    assert errors[30] > 2 * errors[10]
    assert errors[30] > 2 * errors[90]


def test_the_cut_off_leaves_out_small_singular_values() -> None:
    noisy = of_rank(2, 4, (10, 8)) + 1e-9 * np.random.default_rng(0).normal(size=(10, 8))
    assert np.abs(cur.pseudo_inverse(noisy)).max() < 1e3 < np.abs(cur.pseudo_inverse(noisy, 1e-14)).max()


def test_errors_by_rank_are_those_of_the_truncated_svd() -> None:
    S = np.random.default_rng(5).normal(size=(7, 9))
    U, sigma, V = np.linalg.svd(S, full_matrices=False)
    truncated = [(U[:, :rank] * sigma[:rank]) @ V[:rank] for rank in (0, 3, 7)]
    expected = [cur.relative_error(own, S) for own in truncated]
    assert cur.error_at_rank(S, (0, 3, 7)) == pytest.approx(expected, abs=1e-12)

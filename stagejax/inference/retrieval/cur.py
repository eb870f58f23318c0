"""CUR factorisation of a matrix of scores: all scores of a query from those of a few items, without a model of either.

Letters: N queries, Q anchor queries, I items, A anchor items. S (N, I) are exact scores, R (Q, I) the rows of the
anchor queries and C (N, A) the columns of the anchor items. Everything is computed in float64, on the host: with about
as many anchor items as anchor queries the pseudo-inverse is ill-conditioned, and float32 makes that worse.

Reference: Mahoney and Drineas, CUR matrix decompositions for improved data analysis, PNAS 2009; of cross-encoders:
Yadav et al. 2022 (ANNCUR), https://arxiv.org/abs/2210.12579.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

Scores = Float[np.ndarray, "_ _"]
Numbers = Int[np.ndarray, " _"]

#: Singular values below this share of the largest one count as zero.
CUT_OFF = 1e-6


def pseudo_inverse(matrix_MN: Scores, cut_off: float = CUT_OFF) -> Scores:
    """The Moore-Penrose inverse without the singular values below `cut_off` times the largest.

    >>> pseudo_inverse(np.diag([2.0, 1e-9])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    return np.linalg.pinv(np.asarray(matrix_MN, np.float64), rcond=cut_off)


def item_embeddings(rows_QI: Scores, items_A: Numbers, cut_off: float = CUT_OFF) -> Float[np.ndarray, "A I"]:
    """`pinv(R[:, A]) R`: a vector for each item, so that `c @` them estimates all scores of a query with scores c (A,).

    This is the index, made once. An unseen query costs A exact scores.

    >>> S = np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 2.0])
    >>> (S[2:, [1]] @ item_embeddings(S[:2], np.array([1]))).round(6).tolist()
    [[3.0, 3.0, 6.0]]
    """
    rows_QI = np.asarray(rows_QI, np.float64)
    return pseudo_inverse(rows_QI[:, items_A], cut_off) @ rows_QI


def query_embeddings(columns_NA: Scores, queries_Q: Numbers, cut_off: float = CUT_OFF) -> Float[np.ndarray, "N Q"]:
    """`C pinv(C[Q])`: a vector for each query; `@ r` estimates all queries' scores of an item with the scores r (Q,).

    The same for unseen items, which cost Q exact scores each.

    >>> S = np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 2.0])
    >>> (query_embeddings(S[:, :2], np.array([0])) @ S[:1, 2]).round(6).tolist()
    [2.0, 4.0, 6.0]
    """
    columns_NA = np.asarray(columns_NA, np.float64)
    return columns_NA @ pseudo_inverse(columns_NA[queries_Q], cut_off)


def best_core(scores_NI: Scores, queries_Q: Numbers, items_A: Numbers, cut_off: float = CUT_OFF) -> Scores:
    """`C pinv(C) S pinv(R) R`: the best estimate from these columns and rows. It reads all of S, so it only diagnoses.

    >>> best_core(np.eye(2), np.array([0]), np.array([0])).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    scores_NI = np.asarray(scores_NI, np.float64)
    columns_NA, rows_QI = scores_NI[:, items_A], scores_NI[queries_Q]
    return columns_NA @ (pseudo_inverse(columns_NA, cut_off) @ scores_NI @ pseudo_inverse(rows_QI, cut_off)) @ rows_QI


def relative_error(estimate_NI: Scores, exact_NI: Scores) -> float:
    """`||estimate - exact|| / ||exact||` in Frobenius norms.

    >>> relative_error(np.zeros((2, 2)), np.eye(2))
    1.0
    """
    exact_NI = np.asarray(exact_NI, np.float64)
    return float(np.linalg.norm(estimate_NI - exact_NI) / np.linalg.norm(exact_NI))


def error_at_rank(matrix_NI: Scores, ranks: tuple[int, ...]) -> list[float]:
    """The relative error of the best approximation of each rank: `√(Σ_{i>r} σ_i² / Σ σ_i²)` of the singular values σ.

    Reference: Eckart and Young 1936. It reads all scores: a floor, no rival.

    >>> error_at_rank(np.diag([2.0, 2.0, 1.0]), (0, 2, 3))
    [1.0, 0.3333333333333333, 0.0]
    """
    energy = np.square(np.linalg.svd(np.asarray(matrix_NI, np.float64), compute_uv=False))
    return [float(np.sqrt(energy[rank:].sum() / energy.sum())) for rank in ranks]


def errors(
    rows_QI: Scores, others_NI: Scores, items_A: Numbers, cut_off: float = CUT_OFF
) -> tuple[float, float, float]:
    """Relative errors of estimates from these anchor items: of other queries, of the anchor queries, and of other
    queries with the best core.

    >>> S = np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 2.0])
    >>> [round(error, 6) for error in errors(S[:2], S[2:], np.array([1]))]
    [0.0, 0.0, 0.0]
    """
    both, Q = np.concatenate([rows_QI, others_NI]).astype(np.float64), len(rows_QI)
    estimate = both[:, items_A] @ item_embeddings(rows_QI, items_A, cut_off)
    best = best_core(both, np.arange(Q), items_A, cut_off)
    pairs = ((estimate[Q:], both[Q:]), (estimate[:Q], both[:Q]), (best[Q:], both[Q:]))
    return tuple(relative_error(*pair) for pair in pairs)  # type: ignore[return-value]

"""How easy a document of a first-stage list is told from the others, by its score alone: D from 0 to 1.

A relevant document that the first stage ranks high is easy, and so is a non-relevant one that it ranks low. The
heuristics say how high a document is ranked; `easiness` turns that round for what is not relevant. No label and no
trained model has a part in a heuristic.

Letters: Q queries, K places of their lists, best first.

Reference: MacAvaney et al. 2020, Training Curricula for Open Domain Answer Re-Ranking, https://arxiv.org/abs/2004.14269.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr

Lists = Float[np.ndarray, "Q K"]
Heuristic = Callable[[Lists], Lists]
FLOOR = 1e-8  #: added to every easiness, so that no sample is ever excluded


def reciprocal_rank(scores_QK: Lists) -> Lists:
    """1 / rank.

    >>> reciprocal_rank(np.array([[9.0, 5.0]])).tolist()
    [[1.0, 0.5]]
    """
    return np.broadcast_to(1 / np.arange(1, scores_QK.shape[1] + 1), scores_QK.shape)


def normalised_score(scores_QK: Lists) -> Lists:
    """(s - min) / (max - min) over the query's list; 0 where all scores are equal.

    >>> normalised_score(np.array([[9.0, 6.0, 5.0]])).tolist()
    [[1.0, 0.25, 0.0]]
    """
    low_Q1, high_Q1 = scores_QK.min(1, keepdims=True), scores_QK.max(1, keepdims=True)
    return (scores_QK - low_Q1) / np.maximum(high_Q1 - low_Q1, 1e-12)


def kde(scores_QK: Lists) -> Lists:
    """The share below s of a Gaussian kernel density of the query's scores: `mean_j Phi((s - s_j) / h)`.

    The bandwidth is Scott's: h = K^(-1/5) times the standard deviation (K - 1) of the scores.

    >>> kde(np.array([[2.0, 1.0, 0.0]])).round(3).tolist()
    [[0.796, 0.5, 0.204]]
    """
    count = scores_QK.shape[1]
    width_Q1 = np.maximum(count ** (-1 / 5) * scores_QK.std(1, ddof=1, keepdims=True), 1e-12)
    found_QK = np.zeros(scores_QK.shape)
    for place in range(count):
        found_QK += ndtr((scores_QK - scores_QK[:, place, None]) / width_Q1) / count
    return found_QK


@dataclass(frozen=True)
class Reversed:
    """1 - D: hard samples first, the anti-curriculum.

    >>> Reversed(reciprocal_rank)(np.array([[9.0, 5.0]])).tolist()
    [[0.0, 0.5]]
    """

    heuristic: Heuristic

    def __call__(self, scores_QK: Lists) -> Lists:
        return 1 - self.heuristic(scores_QK)


def easiness(ranked_QK: Lists, relevant_QK: Bool[np.ndarray, "Q K"]) -> Lists:
    """D of a relevant document, 1 - D of another, each with a floor of 1e-8.

    >>> easiness(np.array([[1.0, 0.5]]), np.array([[False, True]])).round(6).tolist()
    [[0.0, 0.5]]
    """
    return np.where(relevant_QK, ranked_QK, 1 - ranked_QK) + FLOOR

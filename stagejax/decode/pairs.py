"""Pairs of answers for preference learning, out of several to each prompt that a verifier judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int


def ordered_pairs(samples: Any, right_BN: Float[np.ndarray, "B N"]) -> Iterator[tuple[int, int, int]]:
    """(prompt, chosen, rejected): the shortest right answer before a wrong one; or, of right ones only, the longest.

    Prompts without a right answer, or whose answers are all right and equally long, give no pair.

    >>> from types import SimpleNamespace
    >>> made = SimpleNamespace(ends_BN=np.array([[9, 7, 8], [5, 6, 6], [5, 5, 5]]))
    >>> right = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    >>> list(ordered_pairs(made, right))
    [(0, 1, 2), (1, 0, 1)]
    """
    ends_BN: Int[np.ndarray, "B N"] = np.asarray(samples.ends_BN)
    for b, (right, ends) in enumerate(zip(right_BN, ends_BN, strict=True)):
        good = sorted(np.flatnonzero(right > 0).tolist(), key=lambda i: ends[i])
        bad = np.flatnonzero(right == 0).tolist()
        if good and bad:
            yield b, good[0], bad[0]
        elif good:
            longest = next(i for i in good if ends[i] == ends[good[-1]])
            if ends[longest] > ends[good[0]]:
                yield b, good[0], longest


def gapped_pairs(scores: Sequence[float], gap: float, most: int) -> list[tuple[int, int]]:
    """(chosen, rejected) of one prompt's answers: the best before the worst, the second before the second worst, ...

    Args:
      gap: by which the score of the chosen one must be larger than that of the rejected one; of less there is no pair.
      most: pairs.

    >>> gapped_pairs([0.0, 1.0, 0.5, 0.25], gap=0.2, most=4), gapped_pairs([1.0, 1.0], gap=0.2, most=4)
    ([(1, 0), (2, 3)], [])
    """
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    both = list(zip(order[: len(order) // 2], reversed(order), strict=False))
    return [(i, j) for i, j in both if scores[i] - scores[j] > gap][:most]

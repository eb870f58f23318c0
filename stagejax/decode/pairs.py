"""Pairs of answers for preference learning, out of several to each prompt that a verifier judged."""

from __future__ import annotations

from collections.abc import Iterator
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

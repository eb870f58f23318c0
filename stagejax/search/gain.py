"""Which step of growth to take: what gains most for what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping


def steepest(scores: Mapping[str, tuple[float, int | float]], stay: str) -> str:
    """Of (loss, cost) by candidate, the one with the largest (loss of `stay` - loss) / (cost - cost of `stay`).

    `stay` itself where no candidate has a lower loss. Where nothing was measured, as in a plan, the dearest.

    Args:
      scores: candidates that cost more than `stay`, and `stay`.

    >>> steepest({"none": (2.0, 10), "image": (1.9, 15), "width": (1.8, 40)}, "none")
    'image'
    >>> steepest({"none": (2.0, 10), "image": (2.1, 15)}, "none")
    'none'
    """
    loss, cost = scores[stay]
    if math.isnan(loss):
        return max(scores, key=lambda candidate: scores[candidate][1])
    gains = {c: (loss - own) / (dear - cost) for c, (own, dear) in scores.items() if c != stay and own < loss}
    return max(gains, key=gains.__getitem__, default=stay)

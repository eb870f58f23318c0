"""How well a judge of pairs judges: each pair in both orders, by category, and what it leans to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

from stagejax.report.tables import Table, table_of_means

#: Measures of `judged_in_both_orders` beside accuracy, by their columns.
LEANINGS = {
    "both orders agree": "consistent",
    "right in both": "both right",
    "first": "first",
    "parsed": "parsed",
    "worse is longer": "worse longer",
    "worse is shorter": "worse shorter",
}


def judged_in_both_orders(
    said_N2: Int[np.ndarray, "N 2"], kinds: Sequence[str], longer: Int[np.ndarray, " N"]
) -> dict[str, float]:
    """Measures of verdicts on pairs, each shown twice: the better answer first, and second.

        accuracy      right verdicts over both orders, the mean of the means by kind (as RewardBench's categories)
        KIND          the same of one kind
        consistent    pairs whose two verdicts name the same answer
        both right    pairs that are judged right in both orders
        first         verdicts for the answer that stands first; 1/2 without a preference for a place
        parsed        verdicts that are there
        worse longer  right verdicts where the worse answer is the longer one; `worse shorter` where it is shorter

    A missing verdict is wrong, and never consistent. A measure of no pairs is NaN.

    Args:
      said_N2: 0 where the first answer is said to be better, 1 the second, -1 neither; the better one is the first of
        the first column, and the second of the second.
      kinds: the category of each pair.
      longer: by how much the worse answer is longer, in tokens.

    Reference: Lambert et al. 2024 (RewardBench, arXiv 2403.13787), section 4; swaps as in Zheng et al. 2023
    (arXiv 2306.05685), section 3.4.

    >>> said = np.array([[0, 1], [0, 0], [1, 0], [0, -1]])
    >>> found = judged_in_both_orders(said, ["a", "a", "b", "b"], np.array([2, -1, 0, 3]))
    >>> {name: round(value, 2) for name, value in found.items() if name in ("accuracy", "a", "b", "consistent")}
    {'accuracy': 0.5, 'consistent': 0.5, 'a': 0.75, 'b': 0.25}
    >>> round(found["first"], 2), found["worse longer"], found["worse shorter"]
    (0.71, 0.75, 0.5)
    """
    right, there = said_N2 == np.array([0, 1]), said_N2 >= 0
    names = np.array(kinds)
    by_kind = {kind: float(right[names == kind].mean()) for kind in sorted(set(kinds))}

    def share(rows: np.ndarray) -> float:
        return float(right[rows].mean()) if rows.any() else float("nan")

    return {
        "accuracy": float(np.mean(list(by_kind.values()))),
        "consistent": float((there.all(1) & (said_N2[:, 0] != said_N2[:, 1])).mean()),
        "both right": float(right.all(1).mean()),
        "first": float((said_N2[there] == 0).mean()) if there.any() else float("nan"),
        "parsed": float(there.mean()),
        "worse longer": share(longer > 0),
        "worse shorter": share(longer < 0),
        **by_kind,
    }


def leanings(judges: Sequence[str], measure: Callable[[str, str], Sequence[float]]) -> Table:
    """A table of what judges lean to; `measure(judge, name)` gives a measure of `judged_in_both_orders`, one a seed.

    >>> leanings(["a"], lambda judge, name: [0.5, 0.75] if name == "first" else [1.0]).rows[0][:4]
    ('a', '100.0', '100.0', '62.5 ± 17.7')
    """
    note = "In %: mean ± standard deviation over seeds. Right verdicts where the worse answer is longer, or shorter."
    return table_of_means(
        "What judges lean to", judges, list(LEANINGS), lambda judge, column: measure(judge, LEANINGS[column]), note=note
    )

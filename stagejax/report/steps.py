"""What the steps of answers are worth, as tables: Q along answers, and where wrong ones are lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stagejax.report.seeds import mean
from stagejax.report.tables import Table


def q_table(told: Mapping[str, tuple[Sequence[bool], Sequence[np.ndarray]]], low: float = 0.5) -> Table:
    """The mean of Q behind the first three steps, and how many right answers have a step of low Q.

    Args:
      told: by the name of the problems, whether each answer is right, and Q behind its steps.

    >>> q_table({"train": ([True, False], [np.array([0.25, 1.0]), np.array([0.75, 0.0])])}).cells()[0][:4]
    ['train', '50.0%', '0.500', '0.500']
    """
    rows = []
    for name, (right, q) in told.items():
        behind = [mean([float(own[k]) for own in q if len(own) > k]) for k in range(3)]
        spurious = [bool((own < low).any()) for own, good in zip(q, right, strict=True) if good]
        rows.append((name, mean(right), *behind, mean(spurious)))
    columns = ("problems", "right", "Q behind step 1", "2", "3", "spurious positives")
    note = f"One answer to each problem. Spurious positives: right answers with a step of Q below {low}."
    return Table("Q along answers", columns, tuple(rows), ("", ".1%", ".3f", ".3f", ".3f", ".1%"), note)


def pit_table(found: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> Table:
    """Where the first pits of wrong answers lie, and what the step there takes away.

    Args:
      found: by seed, of each wrong answer the number of that step, from 0, and its advantage.

    >>> pit_table({0: (np.array([0, 1, 1, 4]), np.array([-0.5, -0.5, -1.0, -1.0]))}).cells()
    [['0', '4', '25.0%', '50.0%', '0.0%', '25.0%', '-0.750']]
    """
    rows = []
    for seed, (places, costs) in found.items():
        share = [float(np.mean(places == k)) for k in range(3)]
        rows.append((seed, len(places), *share, 1 - sum(share), float(np.mean(costs))))
    columns = ("seed", "wrong answers", "pit at step 1", "2", "3", "later", "advantage there")
    return Table("First pits", columns, tuple(rows), ("", "", ".1%", ".1%", ".1%", ".1%", ".3f"))

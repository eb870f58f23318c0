"""What serving several tasks takes: a table of parameters and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stagejax.report.tables import Table


def serving_table(tasks: int, parameters: Mapping[str, int], seconds: Mapping[str, Sequence[float]] | None) -> Table:
    """Parameters of each kind of models, and the time in which one text is answered for all tasks.

    Args:
      parameters: by kind.
      seconds: median and least, by kind; None in a plan.

    >>> serving_table(5, {"one": 1000}, {"one": [0.002, 0.001]}).cells()
    [['one', '1,000', '4,000', '2.00', '1.00']]
    """
    times = {label: (seconds or {}).get(label, (float("nan"),) * 2) for label in parameters}
    rows = tuple((label, size, 4 * size, *(1e3 * t for t in times[label])) for label, size in parameters.items())
    note = "Of one text for all tasks, on the machine that ran this: median and least of its calls."
    columns = ("models", "parameters", "bytes", "ms, median", "ms, least")
    return Table(f"Serving {tasks} tasks", columns, rows, ("", ",", ",", ".2f", ".2f"), note)

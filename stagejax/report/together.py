"""Arms that share results: every cost counted once, and several arms as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from stagejax.report.curves import Arm


def charged_once(results: Sequence[Any], owed: Iterable[Any]) -> Arm:
    """An arm of these stages that is charged with what it owes, each once and none of its own stages.

    >>> from stagejax.result import Result
    >>> a, b = Result("a", "train", "", 1), Result("b", "train", "", 1)
    >>> [one.name for one in charged_once((a,), (b, a, b)).charged]
    ['b']
    """
    own = {result.name for result in results}
    named = {result.name: result for result in owed if result.name not in own}
    return Arm("", tuple(results), tuple(named.values()))


def together(arms: Sequence[Arm]) -> Arm:
    """The stages of the first of several arms, charged with what they all cost: an arm that does several tasks.

    >>> from stagejax.result import Result
    >>> start, a, b = (Result(name, "train", "", 1) for name in ("start", "a", "b"))
    >>> both = together([Arm("", (start, a)), Arm("", (start, b))])
    >>> [one.name for one in both.results], [one.name for one in both.charged]
    (['start', 'a'], ['b'])
    """
    return charged_once(arms[0].results, (result for arm in arms for result in (*arm.results, *arm.charged)))

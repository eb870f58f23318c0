"""Tests of long reports: what is asked for, what a model answers, how well that follows, and controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.data.prompts.asked_length import AskedLength
from stagejax.data.tables.line_reports import REPORT, WIDTH, Facts, checked, lines_of, prompt, told, unseen
from stagejax.inference.prompts.lengthening import Lengthening, Texts, role
from stagejax.result import Result

#: Makes other lines of the lines of a text, given how many were asked for at least.
Change = Callable[[list[str], int], list[str]]
MEASURES = ("following", "of all lines", "lines", "valid", "wrong", "repeated", "out of order")


@dataclass(frozen=True)
class LongTests:
    """Reports that are asked for in tests, on eight features of records that no training record agrees with.

    Args:
      split: of the records.
      count: of reports.
      sizes: lengths that are asked for, each about, from two below to two above, over and under; empty: none.

    >>> LongTests("test", 2, (8,)).asked[1][1]
    AskedLength(cue='from', low=6, high=10)
    """

    split: str
    count: int
    sizes: tuple[int, ...] = ()
    seed: int = 0

    @property
    def facts(self) -> tuple[Facts, ...]:
        """What is told of each record."""
        return unseen(self.split, self.count, self.seed)

    @property
    def asked(self) -> list[tuple[str, AskedLength | None]]:
        """Instructions with their lengths."""
        kinds = {"about": (0, 0), "from": (-2, 2), "over": (0, 0), "under": (0, 0)}
        lengths = [AskedLength(cue, n + a, n + b) for n in self.sizes for cue, (a, b) in kinds.items()]
        every = [f"{REPORT} {told(own)}" for own in self.facts]
        return [(own, lengths[at % len(lengths)] if lengths else None) for at, own in enumerate(every)]


def answered(trained: Result, how: Lengthening, tests: LongTests, seed: int, forced: bool = False) -> Texts:
    """The "texts" of responses to tests.

    Args:
      forced: no response ends before it has as many lines as its length is at least.
    """
    prompts = [prompt(instruction, asked=length) for instruction, length in tests.asked]
    least = [WIDTH * int(np.ceil(length.interval[0])) for _, length in tests.asked if length] if forced else None
    return {"texts": how.said(role(trained), prompts, int(np.int32(seed * 1009 + 700)), least)}


def measured(tests: LongTests, texts: Sequence[str], lines: Change | None = None) -> dict[str, float]:
    """Means over the texts of a test: scores of their valid and of all their lines, both numbers, and shares of lines.

    Args:
      lines: what is made of the lines of a text, given how many are asked for at least.

    >>> from stagejax.data.tables.line_reports import report
    >>> tests = LongTests("test", 1, (8,))
    >>> texts = [report(tests.facts[0], range(8))], [report(tests.facts[0], range(4))]
    >>> list(measured(tests, texts[0]).values())
    [1.0, 1.0, 8.0, 8.0, 0.0, 0.0, 0.0]
    >>> measured(tests, texts[1], again)["following"], measured(tests, texts[1], again)["of all lines"]
    (0.25, 1.0)
    """
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for facts, (_, length), text in zip(tests.facts, tests.asked, texts, strict=True):
        wanted = int(np.ceil(length.interval[0])) if length else 0
        own = checked(facts, " ".join(lines(lines_of(text), wanted)) if lines else text)
        size = max(own.lines, 1)
        score = (length.score(own.valid), length.score(own.lines)) if length else (np.nan, np.nan)
        parts = ((size - own.right) / size, own.repeated / size, (own.different - own.valid) / size)
        for name, value in zip(MEASURES, (*score, own.lines, own.valid, *parts), strict=True):
            found[name].append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


def again(own: list[str], wanted: int) -> list[str]:
    """Lines said again until they are enough."""
    return (own * (wanted // max(len(own), 1) + 1))[: max(wanted, len(own))]


def shuffled_lines(own: list[str], wanted: int) -> list[str]:
    """Lines in an order that is drawn."""
    return [own[at] for at in np.random.default_rng([wanted, len(own)]).permutation(len(own))]

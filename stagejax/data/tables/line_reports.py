"""Reports on records of a table: texts of any number of lines, each of which can be checked against the record.

An instruction names some features of a record with their levels. A report on it is lines in the order of the features,
and of the six aspects of each. What may be said follows from the record, so that for every line it is
known whether it is right, and for every text how many right lines stand in order.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.asked_length import CUES, AskedLength
from stagejax.data.sources import Record, Source
from stagejax.data.tables.tabular import Embedded
from stagejax.data.vocabulary.words import Words

#: The first columns of scikit-learn's `breast_cancer`: means over the nuclei of a sample.
FEATURES = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "points", "symmetry",
    "dimension",
)  # fmt: skip
LEVELS = ("low", "middling", "high")
#: What can be said of a feature, and the word for each of its levels.
ASPECTS = {
    "level": LEVELS,
    "above": ("few", "half", "most"),
    "below": ("most", "half", "few"),
    "rank": ("last", "midway", "first"),
    "risk": ("falls", "stays", "rises"),
    "size": ("small", "usual", "large"),
}
WIDTH = 3  # words of a line, its full stop with them
REPORT, STATE, EXTEND, INVENT, SUITS, ASK = "report", "state", "extend", "invent", "suits", "ask"
SO, PART = ":", ";"  # between prompt and response, and between the parts of a prompt
Facts = tuple[tuple[str, str], ...]  # features of a record with their levels


def line(feature: str, level: str, number: int) -> str:
    """What aspect number `number` says of a feature at a level.

    >>> line("area", "high", 1), line("area", "high", 4)
    ('area-above most .', 'area-risk rises .')
    """
    aspect, words = list(ASPECTS.items())[number]
    return f"{feature}-{aspect} {words[LEVELS.index(level)]} ."


@functools.cache
def _meanings() -> dict[str, tuple[str, str, int]]:
    every = [(feature, level, aspect) for feature in FEATURES for level in LEVELS for aspect in range(len(ASPECTS))]
    return {line(*own): own for own in every}


def lines_of(text: str) -> list[str]:
    """The lines of a text, each with its full stop; what follows the last one is a line without.

    >>> lines_of("area-level low . area-rank")
    ['area-level low .', 'area-rank']
    """
    parts = [" ".join(part.split()) for part in text.split(".")]
    return [f"{part} ." for part in parts[:-1]] + parts[-1:] * bool(parts[-1])


def told(facts: Facts) -> str:
    """Features and levels in words.

    >>> told((("area", "high"), ("points", "low")))
    'high-area low-points'
    """
    return " ".join(f"{level}-{feature}" for feature, level in facts)


def facts_of(instruction: str) -> Facts | None:
    """What an instruction "report ..." or "state ..." tells of a record; None if it tells nothing that can be.

    >>> facts_of("report high-area low-points"), facts_of("report high-area low-area"), facts_of("report area")
    ((('area', 'high'), ('points', 'low')), None, None)
    """
    kind, *words = instruction.split() or [""]
    pairs = tuple((word.partition("-")[2], word.partition("-")[0]) for word in words)
    known = all(feature in FEATURES and level in LEVELS for feature, level in pairs)
    once = len({feature for feature, _ in pairs}) == len(pairs) > 0
    return pairs if kind in (REPORT, STATE) and known and once else None


def report(facts: Facts, places: Sequence[int]) -> str:
    """The lines at some of the places 0 to 6 F - 1: place 6 i + j says aspect j of fact i.

    >>> report((("area", "high"), ("points", "low")), [0, 7])
    'area-level high . points-above few .'
    """
    return " ".join(line(*facts[place // len(ASPECTS)], place % len(ASPECTS)) for place in places)


class Checked(NamedTuple):
    """How many lines a text has; how many are right, different and right, repeated; and how many right ones stand in
    order: the longest chain of them in which each has its place behind that of the one before."""

    lines: int
    right: int
    different: int
    repeated: int
    valid: int


def checked(facts: Facts, text: str) -> Checked:
    """A text against a record. Neither repeated lines, nor wrong ones, nor right ones out of order make it more valid.

    >>> facts = (("area", "high"), ("points", "low"))
    >>> checked(facts, report(facts, [0, 1, 7, 4, 4]) + " area-level low .")
    Checked(lines=6, right=5, different=4, repeated=1, valid=3)
    """
    found, meanings, at = lines_of(text), _meanings(), {fact: place for place, fact in enumerate(facts)}
    known = [meanings[own] for own in found if own in meanings]
    places = [at[feature, level] * len(ASPECTS) + aspect for feature, level, aspect in known if (feature, level) in at]
    return Checked(len(found), len(places), len(set(places)), len(found) - len(set(found)), longest_chain(places))


def longest_chain(numbers: Sequence[int]) -> int:
    """Length of the longest strictly increasing subsequence.

    >>> longest_chain([3, 1, 2, 2, 5, 4]), longest_chain([])
    (3, 0)
    """
    ends: list[int] = []  # the least last number of a chain of each length
    for number in numbers:
        at = bisect_left(ends, number)
        ends[at : at + 1] = [number]
    return len(ends)


@functools.cache
def records_of(split: str) -> tuple[Facts, ...]:
    """The samples of a split of `breast_cancer`, their features in thirds of those of the training split.

    >>> len(records_of("train")), records_of("test")[0][:2]
    (341, (('radius', 'low'), ('texture', 'high')))
    """
    size = len(FEATURES)
    train, own = (Embedded("breast_cancer", name).table()[0][:, :size] for name in ("train", split))
    cuts = np.quantile(train, [1 / 3, 2 / 3], axis=0)
    levels = (own[:, None] > cuts).sum(1)
    return tuple(tuple(zip(FEATURES, (LEVELS[k] for k in row), strict=True)) for row in levels)


def some_facts(facts: Facts, count: int, draws: np.random.Generator) -> Facts:
    """So many of them, in order."""
    return tuple(facts[i] for i in sorted(draws.choice(len(facts), count, replace=False)))


@functools.cache
def unseen(split: str, count: int, seed: int, features: int = 8) -> tuple[Facts, ...]:
    """`count` different facts of records of a split, that no record of the training split agrees with in all of them.

    Raises:
      ValueError: there are not so many.

    >>> len(set(unseen("test", 40, seed=0)))
    40
    """
    draws, found, known = np.random.default_rng([seed, 5]), dict[Facts, None](), [set(r) for r in records_of("train")]
    records = records_of(split)
    for number in range(8 * count):
        own = some_facts(records[number % len(records)], features, draws)
        if not any(known_of.issuperset(own) for known_of in known):
            found[own] = None
        if len(found) == count:
            return tuple(found)
    raise ValueError(f"{split} has {len(found)} such facts in {8 * count} draws, not {count}: lower `count`")


def prompt(instruction: str, draft: str | None = None, asked: AskedLength | None = None) -> str:
    """What is read before a response: an instruction, perhaps with a length; or a draft of it that is to be extended.

    >>> prompt("report high-area", asked=AskedLength("about", 6, 6)), prompt("report high-area", "area-rank first .")
    ('about 0 6 ; report high-area :', 'extend report high-area ; area-rank first . :')
    """
    if draft is not None:
        return " ".join([EXTEND, instruction, PART, draft, SO])
    return f"{asked.words} {PART} {instruction} {SO}" if asked else f"{instruction} {SO}"


def inviting(first: str, second: str) -> str:
    """Two instructions, behind which a third is to be invented.

    >>> inviting("state low-area", "report high-area")
    'invent state low-area ; report high-area :'
    """
    return f"{INVENT} {first} {PART} {second} {SO}"


def judging(instruction: str) -> str:
    """The question whether an instruction suits a long response, to be answered by yes or no.

    >>> judging("state low-area")
    'suits state low-area :'
    """
    return f"{SUITS} {instruction} {SO}"


def drawn_instruction(facts: Facts, draws: np.random.Generator, most: int = 8) -> str:
    """An instruction as users give them: of two a report on `most` features, else on 2 to 4 or a statement on 1 or 2.

    >>> drawn_instruction(records_of("train")[0], np.random.default_rng(1))
    'report middling-radius middling-texture high-concavity high-symmetry'
    """
    kind = draws.random()
    count = most if kind < 0.5 else int(draws.integers(2, 5)) if kind < 0.75 else int(draws.integers(1, 3))
    return f"{REPORT if kind < 0.75 else STATE} {told(some_facts(facts, count, draws))}"


def line_report_tokenizer() -> Words:
    """One token for each word of instructions and reports, such as a feature with its level."""
    facts = [f"{level}-{feature}" for feature in FEATURES for level in LEVELS]
    heads = [f"{feature}-{aspect}" for feature in FEATURES for aspect in ASPECTS]
    marks = (".", SO, PART, "?", "yes", "no", REPORT, STATE, EXTEND, INVENT, SUITS, ASK, *CUES, *"0123456789")
    return Words(tuple(dict.fromkeys((*marks, *facts, *heads, *(own for words in ASPECTS.values() for own in words)))))


@dataclass(frozen=True)
class LineReports(Source):
    """What an instruction-tuned model has read: records {"question", "solution"}; of 20 so many of each kind.

    Reports on eight features (2), and with a length (2), the longer the rarer, 0.75 times with each line; such reports
    behind a draft that lacks some of their lines, 40 % (11); instructions behind two others (2); instructions with yes
    or no, whether they suit long responses, which those on six features do (1); statements on one or two features (1);
    and, the only long ones, questions about single features in no order with a line each (1).

    Args:
      size: records.
      shortest, longest: lines of reports and extended reports.
      questions: of a record of the last kind.
      seed: of the draws.

    >>> texts = LineReports(64)
    >>> max(len(lines_of(own["solution"])) for own in texts if own["question"].startswith("extend")) <= 8
    True
    """

    size: int
    shortest: int = 2
    longest: int = 8
    questions: int = 38
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        draws = np.random.default_rng([self.seed, range(self.size)[index]])
        records = records_of(self.split)
        facts = records[int(draws.integers(len(records)))]
        question, solution = self._drawn(index % 20, facts, draws)
        return {"question": question, "solution": solution}

    def digest(self) -> str:
        return joint_digest(str(self), str(records_of(self.split)))

    def _drawn(self, kind: int, facts: Facts, draws: np.random.Generator) -> tuple[str, str]:
        if kind == 0:
            own = some_facts(facts, 8, draws)
            cues = [(draws.integers(len(own)), draws.integers(len(ASPECTS))) for _ in range(self.questions)]
            said = [f"? {line(*own[i], int(aspect))}" for i, aspect in cues]
            return f"{ASK} {told(own)} {SO}", " ".join(said)
        if kind <= 15:
            return self._reported(kind, some_facts(facts, 8, draws), draws)
        own = drawn_instruction(facts, draws)
        if kind <= 17:
            records = records_of(self.split)
            both = [drawn_instruction(records[int(draws.integers(len(records)))], draws) for _ in range(2)]
            return inviting(*both), own
        if kind == 18:
            return judging(own), "yes" if len(own.split()) > 6 else "no"
        few = some_facts(facts, int(draws.integers(1, 3)), draws)
        return prompt(f"{STATE} {told(few)}"), report(few, range(0, len(ASPECTS) * len(few), len(ASPECTS)))

    def _reported(self, kind: int, own: Facts, draws: np.random.Generator) -> tuple[str, str]:
        """A report, a report of an asked length, or an extended one."""
        odds = 0.75 ** np.arange(self.longest - self.shortest + 1)
        size = self.shortest + int(draws.choice(len(odds), p=odds / odds.sum()))
        places = np.sort(draws.choice(len(ASPECTS) * len(own), size, replace=False)).tolist()
        instruction, text = f"{REPORT} {told(own)}", report(own, places)
        if kind <= 2:
            return prompt(instruction), text
        if kind <= 4:
            return prompt(instruction, asked=AskedLength.drawn(size, draws)), text
        few = int(np.clip(draws.binomial(size, 0.6), 1, size - 1))
        kept = np.sort(draws.choice(size, few, replace=False))
        return prompt(instruction, report(own, [places[i] for i in kept])), text

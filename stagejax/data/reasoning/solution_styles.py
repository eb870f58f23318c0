"""Problems with solutions in several styles, as a corpus has them: each style behind a cue that asks for it."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.cues import CAREFUL, CHAIN, CONCLUSION, CUES, DIRECT, PLANNED, PROGRAM
from stagejax.data.reasoning.planned_problems import WORDS as PLANNING
from stagejax.data.reasoning.straight_line import answer_of
from stagejax.data.reasoning.written import BRIEF, words_of
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.vocabulary.common_words import CommonWords

QUESTION, ANSWER, END = "q:", "a:", "|"
GIVEN, PLAN, CODE = "given", "plan", "program"
STYLES = (DIRECT, CHAIN, PLANNED, CAREFUL, PROGRAM)


def solution(record: Mapping[str, Any], style: str) -> str:
    """What a style writes down before the answer.

    >>> from stagejax.data.reasoning.planned_problems import changes_of, written
    >>> record = written(changes_of("7 + 15 - 2"))
    >>> for style in STYLES:
    ...     print(solution(record, style))
    <BLANKLINE>
    7 + 15 = 22 ; 22 - 2 = 20
    plan start 7 , add 15 , take 2 . 7 + 15 = 22 ; 22 - 2 = 20
    given start 7 , 15 more , 2 less . plan start 7 , add 15 , take 2 . 7 + 15 = 17 + 5 = 22 ; 22 - 2 = 20
    program t = 7 ; t = t + 15 ; answer = t - 2
    """
    chain, careful = (" ; ".join(record[name]) for name in ("steps", "careful"))
    given, plan = f"{GIVEN} {' , '.join(record['given'])}", f"{PLAN} {' , '.join(record['plan'])}"
    return {
        DIRECT: "",
        CHAIN: chain,
        PLANNED: f"{plan} . {chain}",
        CAREFUL: f"{given} . {plan} . {careful}",
        PROGRAM: f"{CODE} {record['code']}",
    }[style]


def asked(question: str, cue: str = "") -> str:
    """A question as it is put, up to where the solution begins.

    >>> asked("how many ?", "let us think .")
    'q: how many ? a: let us think .'
    """
    return f"{QUESTION} {question} {ANSWER} {cue}".strip()


def concluded(said: str, conclusion: str, answer: str = "") -> str:
    """A text up to its answer.

    >>> concluded("q: how many ? a: 3 + 4 = 7", "so it is", "7")
    'q: how many ? a: 3 + 4 = 7 | so it is 7 |'
    """
    return f"{said} {END} {conclusion} {answer} {END}" if answer else f"{said} {END} {conclusion}"


def style_of(said: str) -> str:
    """The style that a solution is written in, by its first word, behind a cue that was written with it.

    >>> [style_of(said) for said in ("", "7 + 2 = 9", "plan start 7 . 7 + 2 = 9", "given start 7 . plan", "program t")]
    ['direct', 'chain', 'plan', 'careful plan', 'program']
    >>> style_of("let us make a plan . plan start 7 . 7 + 2 = 9"), style_of("please give the answer .")
    ('plan', 'direct')
    """
    first, *_ = said.split() or [""]
    if first in {text.split()[0] for cue in CUES.values() for text in cue.places[0]}:
        first, *_ = f"{said} ".partition(" . ")[2].split() or [""]
    return {"": DIRECT, PLAN: PLANNED, GIVEN: CAREFUL, CODE: PROGRAM}.get(first, CHAIN)


def chain_of(said: str) -> str:
    """The calculation: what stands behind variables and plan.

    >>> chain_of("plan start 7 , add 2 . 7 + 2 = 9")
    '7 + 2 = 9'
    """
    return said.rpartition(" . ")[2]


def plan_of(said: str) -> str:
    """What stands before the calculation; "" where that is all.

    >>> plan_of("plan start 7 , add 2 . 7 + 2 = 9"), plan_of("7 + 2 = 9")
    ('plan start 7 , add 2 .', '')
    """
    plan = said.rpartition(" . ")[0]
    return f"{plan} ." if plan else ""


def plans_of_others(said: Sequence[str], kinds: Sequence[Hashable]) -> list[str]:
    """For each solution the plan of the next one of its kind; of the last that of the first.

    >>> plans_of_others(["plan a . x", "y", "plan b . z"], [1, 2, 1])
    ['plan b .', '', 'plan a .']
    """
    found = [""] * len(said)
    for kind in dict.fromkeys(kinds):
        places = [place for place, own in enumerate(kinds) if own == kind]
        for place, other in zip(places, [*places[1:], places[0]], strict=True):
            found[place] = plan_of(said[other])
    return found


def executed(said: str) -> str | None:
    """What a program answers; None where it is none that runs.

    >>> executed("program t = 7 ; answer = t + 15"), executed("7 + 15 = 22")
    ('22', None)
    """
    value = answer_of(said.removeprefix(CODE)) if said.startswith(CODE) else None
    return None if value is None else f"{float(value):g}"


@dataclass(frozen=True)
class Styled(Derived):
    """Records {"text"}: problems with their solutions in one style.

    Args:
      source: records with what solutions are written from, such as `PlannedProblems`.
      style: one of `STYLES`.
      uncued: share of the texts without a cue.
      seed: of the wordings; that of a record is the same however many there are.

    >>> from stagejax.data.reasoning.planned_problems import PlannedProblems
    >>> from stagejax.data.reasoning.problems import Problems
    >>> Styled(PlannedProblems(Problems(size=20, wording=BRIEF)), CHAIN)[5]["text"].partition(" a: ")[2]
    'please go step by step . 6 * 3 = 18 ; 18 / 3 = 6 ; 6 * 3 = 18 | therefore it is 18 |'
    """

    style: str = CHAIN
    uncued: float = 0.25
    seed: int = 0

    def __getitem__(self, index: int) -> dict[str, str]:
        record, rng = _records(self.source)[index], np.random.default_rng((self.seed, index))
        known = CUES[self.style].known
        cue = "" if rng.random() < self.uncued else known[rng.integers(len(known))]
        conclusion = CONCLUSION.known[rng.integers(len(CONCLUSION.known))]
        said = f"{asked(record['question'], cue)} {solution(record, self.style)}".strip()
        return {"text": concluded(said, conclusion, record["answer"])}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.style} {self.uncued} {self.seed}")


@functools.lru_cache(maxsize=8)
def _records(source: Source) -> list[Record]:
    """Made once for all styles."""
    return [source[index] for index in range(len(source))]


def vocabulary(largest: int) -> CommonWords:
    """One token for every word of these texts and every number from 0 to `largest`; one for all other words.

    >>> code = vocabulary(9).train(iter(()))
    >>> code.decode(code.encode(["q: ann has 7 kiwis . a: let us think"])[0])
    'q: ann has 7 <rare> . a: let us think'
    """
    words = {*words_of((BRIEF,), 0).words, *PLANNING, QUESTION, ANSWER, END, GIVEN, PLAN, CODE}
    words |= {word for cue in (*CUES.values(), CONCLUSION) for word in cue.words()}
    return CommonWords(0, (*sorted(words - {"0"}), *map(str, range(largest + 1))))

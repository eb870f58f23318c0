"""Word problems step by step: guided steps of several sizes, verdicts on steps, and corrections of rejected ones.

A state is a problem and the calculations that were accepted so far; see `put`. What stands in brackets is read, and not
learned: questions, what is asked for, and steps that may be wrong.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.planned_problems import WORDS as PLANNING
from stagejax.data.reasoning.planned_problems import Change
from stagejax.data.reasoning.problems import NAMES, applied
from stagejax.data.reasoning.written import BRIEF, words_of
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.vocabulary.words import Words

#: What a step may be asked to be: two calculations, one, one by parts, one behind its sentence, one behind a plan.
TWO, ONE, PARTS, RESTATED, PLANNED = GUIDES = ("two", "one", "parts", "restated", "planned")
CUES = {TWO: "next two", ONE: "next", PARTS: "in parts", RESTATED: "restate", PLANNED: "plan"}
#: Whole solutions: step by step, at once, and rewritten.
CHAIN, DIRECT, REFINED = "chain", "direct", "refined"
#: Verdicts on a step, and on a whole solution.
STEP, WHOLE = "step", "whole"
CORRECTED = "corrected"
#: How whole solutions are asked for.
STEPS, ONCE = "all steps", "at once"
#: Why a step is bad: its arithmetic, what it was read from, that it was there, that the end comes too early or late.
SUM, READ, AGAIN, EARLY = REASONS = ("sum", "misread", "again", "early")
OK, BAD, ANS = "ok", "bad", "ans"
_CALCULATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (?:\d+ [-+] \d+ = )?(\d+)")
_ASIDE = re.compile(rf"(?:{'|'.join(NAMES)}) (?:owns|is) ")


def put(question: str, steps: Sequence[str], asked: str) -> str:
    """A state and what is asked of it.

    >>> put("how many ?", ["7 + 3 = 10"], CUES[ONE])
    '( how many ? ) 7 + 3 = 10 ; ( next )'
    """
    return " ".join(["(", question, ")", *(f"{step} ;" for step in steps), "(", asked, ")"])


def check(step: str) -> str:
    """What asks for a verdict on a step.

    >>> check("7 + 3 = 10")
    'check 7 + 3 = 10'
    """
    return f"check {step}"


def check_all(steps: Sequence[str]) -> str:
    """What asks for a verdict on a whole solution, of a state without steps.

    >>> check_all(["7 + 3 = 10", "ans 10"])
    '7 + 3 = 10 ; ans 10 ; check all'
    """
    return " ".join([*(f"{step} ;" for step in steps), check("all")])


def again(steps: Sequence[str]) -> str:
    """What asks for a whole solution once more, of a state without steps.

    >>> again(["7 + 3 = 10", "ans 10"])
    '7 + 3 = 10 ; ans 10 ; again'
    """
    return " ".join([*(f"{step} ;" for step in steps), "again"])


def rejected(step: str, reason: str, guide: str) -> str:
    """What asks for another step than a rejected one.

    >>> rejected("7 + 3 = 11", SUM, ONE)
    'bad sum 7 + 3 = 11 next'
    """
    return f"{BAD} {reason} {step} {CUES[guide]}"


def calculations(said: str) -> tuple[str, ...] | None:
    """What a guided step calculates or answers, without what it may say around that; None where it is no step.

    >>> calculations("finds 15 : 7 + 15 = 17 + 5 = 22"), calculations("7 + 3 = 10 , 10 - 2 = 8"), calculations("ans 8")
    (('7 + 15 = 22',), ('7 + 3 = 10', '10 - 2 = 8'), ('ans 8',))
    >>> calculations("7 + 3"), calculations("add 3 , take 2 . 7 + 3 = 10")
    (None, ('7 + 3 = 10',))
    """
    text = said.rpartition(" : ")[2].rpartition(" . ")[2]
    if re.fullmatch(rf"{ANS} \d+", text):
        return (text,)
    found = [_CALCULATION.fullmatch(part) for part in text.split(" , ")]
    if not all(found):
        return None
    return tuple("{} {} {} = {}".format(*own.groups()) for own in found if own)


def operands(step: str) -> tuple[str, str, str, str]:
    """Both numbers of a calculation with its sign between them, and its result.

    >>> operands("7 + 3 = 10")
    ('7', '+', '3', '10')
    """
    a, sign, b, _, result = step.split()
    return a, sign, b, result


def complexity(question: str) -> int:
    """The most calculations that a problem may need, by its text alone: one less than it has numbers.

    >>> complexity("ann has 7 . dan is 9 . finds 3 . how many ?")
    2
    """
    return sum(word.isdigit() for word in question.split()) - 1


def clauses(question: str) -> list[str]:
    """The sentences that change the number, in order.

    >>> clauses("ann has 7 . dan is 9 . finds 3 . times 2 . how many ?")
    ['finds 3', 'times 2']
    """
    return [text for text in question.split(" . ")[1:-1] if not _ASIDE.match(text)]


def guided(record: Record, done: int, guide: str) -> str:
    """The right step behind `done` right calculations, as a guide asks for it; the answer, where none is left.

    >>> from stagejax.data.reasoning.planned_problems import changes_of, written
    >>> changes = changes_of("7 + 15 - 2")
    >>> record = {"question": "ann has 7 . gets 15 . loses 2 . how many ?", "answer": "20", "changes": changes}
    >>> record |= written(changes)
    >>> for guide in GUIDES:
    ...     print(guided(record, 0, guide))
    7 + 15 = 22 , 22 - 2 = 20
    7 + 15 = 22
    7 + 15 = 17 + 5 = 22
    gets 15 : 7 + 15 = 22
    add 15 , take 2 . 7 + 15 = 22
    >>> guided(record, 2, TWO)
    'ans 20'
    """
    left = record["steps"][done:]
    if not left:
        return f"{ANS} {record['answer']}"
    if guide == TWO:
        return " , ".join(left[:2])
    plan = " , ".join(record["plan"][1 + done :])
    before = {RESTATED: f"{clauses(record['question'])[done]} : ", PLANNED: f"{plan} . "}
    return before.get(guide, "") + (record["careful"][done] if guide == PARTS else left[0])


def right_step(record: Record, steps: Sequence[str], said: Sequence[str]) -> bool:
    """Whether what is said goes on rightly behind these steps, by the program that the problem was made from.

    >>> record = {"steps": ["7 + 3 = 10", "10 - 2 = 8"], "answer": "8"}
    >>> right_step(record, ["7 + 3 = 10"], ["10 - 2 = 8"]), right_step(record, ["7 + 3 = 10"], ["ans 8"])
    (True, False)
    """
    wanted, own = [*record["steps"], f"{ANS} {record['answer']}"], [*steps, *said]
    return own == wanted[: len(own)]


def spoilt(record: Record, done: int, largest: int, rng: np.random.Generator) -> tuple[str, str]:
    """A calculation or an answer that is wrong behind `done` right ones, and why.

    A wrong result, near or of another operation; an operation that is not the next one: a clause left out, a wrong sign
    or number, an older value; a calculation that was there; an answer too early, a calculation too late.
    """
    changes, steps = record["changes"], record["steps"]
    values = [changes[0].n, *(int(own.rpartition(" ")[2]) for own in steps)]
    value, left = values[done], changes[1 + done :]
    twice = steps[max(0, done - 1) : done] not in ([], steps[done : done + 1])
    kinds = [SUM, SUM, READ, READ] * bool(left) + [AGAIN] * twice + [EARLY]
    kind = kinds[rng.integers(len(kinds))]
    if kind == AGAIN:
        return steps[done - 1], AGAIN
    if kind == EARLY and left:
        return f"{ANS} {value}", EARLY
    if kind == SUM:
        return _miscalculated(value, left[0], largest, rng), SUM
    numbers = [int(word) for word in record["question"].split() if word.isdigit()]
    for _ in range(20):
        now = left[0] if left else Change("", 0)
        other = Change("+-"[rng.integers(2)], numbers[rng.integers(len(numbers))])
        ways = [(value, other)]
        if left:
            ways += [(value, left[-1]), (value, Change("+-"[now.sign == "+"], now.n)), (value, now._replace(n=other.n))]
            ways += [(values[rng.integers(len(values))], now)]
        start, (sign, n) = ways[rng.integers(len(ways))]
        step = _applied(start, sign, n, largest)
        if step is not None and step not in steps[done : done + 1]:
            return step, READ if left else EARLY
    return (_miscalculated(value, left[0], largest, rng), SUM) if left else (f"{ANS} {max(0, value - 1)}", SUM)


def _applied(value: int, sign: str, n: int, largest: int) -> str | None:
    """A calculation; None where it has no result in range."""
    if sign == "/" and (n == 0 or value % n):
        return None
    result = applied(value, sign, n)
    return f"{value} {sign} {n} = {result}" if 0 <= result <= largest else None


def _miscalculated(value: int, change: Change, largest: int, rng: np.random.Generator) -> str:
    right = applied(value, change.sign, change.n)
    near = [right + by for by in (-10, -2, -1, 1, 2, 10)] + [value + change.n, value - change.n]
    wrong = [number for number in near if 0 <= number <= largest and number != right]
    return f"{value} {change.sign} {change.n} = {wrong[rng.integers(len(wrong))]}"


def derailed(record: Record, largest: int, rng: np.random.Generator) -> list[str]:
    """A whole solution with one wrong step, behind which it goes on with the wrong value as far as that goes."""
    place = int(rng.integers(len(record["steps"]) + 1))
    step, kind = spoilt(record, place, largest, rng)
    found = [*record["steps"][:place], step]
    for sign, n in record["changes"][1 + place + (kind != AGAIN) :] if kind != EARLY else ():
        after = _applied(int(found[-1].rpartition(" ")[2]), sign, n, largest)
        if after is None:
            break
        found.append(after)
    last = found[-1].rpartition(" ")[2]
    return found if found[-1].startswith(ANS) else [*found, f"{ANS} {last}"]


@dataclass(frozen=True)
class GuidedSteps(Derived):
    """Records {"text", "skill"} of `PlannedProblems`: each problem once with every skill of `skills`.

    Guided steps begin at a state of right steps, of any number. Verdicts are half on right and half on wrong steps, one
    in three of those of two calculations, several of one state in a text, each as if there were no other. Corrections
    begin with a wrong step, one in five with a right one that was rejected; what is to be rewritten is half right.

    Args:
      largest: of the numbers of wrong steps.
      skills: of `GUIDES`, STEP, WHOLE, CORRECTED, CHAIN, DIRECT and REFINED; they may repeat.
      verdicts: in a text, on steps; half as many on whole solutions.
      seed: of states and mistakes.

    >>> from stagejax.data.reasoning.planned_problems import PlannedProblems
    >>> from stagejax.data.reasoning.problems import Problems
    >>> problems = PlannedProblems(Problems(size=4, steps=(2,), wording=BRIEF))
    >>> texts = GuidedSteps(problems, skills=(ONE, STEP, CORRECTED, WHOLE), verdicts=2)
    >>> for place in range(4):
    ...     print(texts[place]["text"].partition("? ) ")[2])
    11 + 15 = 26 ; 26 - 14 = 12 ; ( next ) ans 12
    11 + 15 = 26 ; ( check ans 26 ) bad early ( check 26 - 14 = 22 ) bad sum
    11 + 15 = 26 ; 26 - 14 = 12 ; ( bad again 26 - 14 = 12 next two ) ans 12
    ( 11 + 15 = 26 ; 26 - 14 = 12 ; 12 + 15 = 27 ; ans 27 ; check all ) bad
    """

    largest: int = 30
    skills: tuple[str, ...] = (*GUIDES, STEP, WHOLE, CORRECTED, CHAIN, DIRECT, REFINED)
    verdicts: int = 4
    seed: int = 0

    def __len__(self) -> int:
        return len(self.source) * len(self.skills)

    def __getitem__(self, index: int) -> dict[str, str]:
        problem, place = divmod(index, len(self.skills))
        record, skill = _records(self.source)[problem], self.skills[place]
        rng = np.random.default_rng((self.seed, index))
        chain = [*record["steps"], f"{ANS} {record['answer']}"]
        whole, done = " ; ".join(chain), int(rng.integers(len(chain)))
        state: list[str] = []
        turns: list[tuple[str, str]] = []  # what is asked, and the reply
        if skill in (CHAIN, DIRECT):
            turns = [(STEPS, whole) if skill == CHAIN else (ONCE, chain[-1])]
        elif skill in (REFINED, WHOLE):
            for _ in range(1 if skill == REFINED else max(1, self.verdicts // 2)):
                right = rng.random() < 0.5
                told = chain if right else derailed(record, self.largest, rng)
                verdict = OK if right else BAD
                turns += [(again(told), whole) if skill == REFINED else (check_all(told), verdict)]
        elif skill == STEP:
            state = chain[:done]
            judged = [_judged(record, done, 0.5, self.largest, rng) for _ in range(self.verdicts)]
            turns = [(check(said), verdict) for said, verdict in judged]
        else:
            state, guide = chain[:done], GUIDES[rng.integers(len(GUIDES))] if skill == CORRECTED else skill
            asked = CUES[guide]
            if skill == CORRECTED:
                said, verdict = _judged(record, done, 0.2, self.largest, rng)
                reason = verdict.partition(" ")[2] or REASONS[rng.integers(len(REASONS))]
                asked = rejected(said, reason, guide)
            turns = [(asked, guided(record, done, guide))]
        (asked, reply), *more = turns
        text = f"{put(record['question'], state, asked)} {reply}"
        return {"text": " ".join([text, *(f"( {asked} ) {reply}" for asked, reply in more)]), "skill": skill}

    def digest(self) -> str:
        how = f"{self.largest} {self.skills} {self.verdicts} {self.seed}"
        return joint_digest(self.source.digest(), f"guided {how}")


def _judged(record: Record, done: int, share: float, largest: int, rng: np.random.Generator) -> tuple[str, str]:
    """A step, right in a share of all, and the verdict on it."""
    left, right = record["steps"][done:], rng.random() < share
    two = len(left) > 1 and rng.random() < 1 / 3
    if right:
        return guided(record, done, TWO if two else ONE), OK
    later = two and rng.random() < 0.5  # the second of both is wrong
    step, reason = spoilt(record, done + later, largest, rng)
    if later and step.startswith(ANS):
        later, (step, reason) = False, spoilt(record, done, largest, rng)
    if later:
        return f"{left[0]} , {step}", f"{BAD} {reason}"
    if two and not step.startswith(ANS):
        after = _applied(int(step.rpartition(" ")[2]), *record["changes"][2 + done], largest)
        step = f"{step} , {after}" if after else step
    return step, f"{BAD} {reason}"


@functools.lru_cache(maxsize=8)
def _records(source: Source) -> list[Record]:
    """Made once for all skills."""
    return [source[index] for index in range(len(source))]


def vocabulary(largest: int) -> Words:
    """One token for every word of these texts and every number from 0 to `largest`.

    >>> code = vocabulary(30)
    >>> code.decode(code.encode([put("ann has 7 . how many ?", [], check("7 + 3 = 10"))])[0])
    '( ann has 7 . how many ? ) ( check 7 + 3 = 10 )'
    """
    own = " ".join([*CUES.values(), *REASONS, STEPS, ONCE, "( ) : again check", OK, BAD, ANS]).split()
    words = {*words_of((BRIEF,), 0).words, *PLANNING, *own} - {"0"}
    return Words((*sorted(words), *map(str, range(largest + 1))))

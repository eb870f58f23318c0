"""Wrong solutions of word problems that look right: one error of a named kind, and right arithmetic after it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from stagejax.data.reasoning.problems import applied

OPERAND, OPERATION, SLIP, MISSING, EXTRA = ERRORS = ("operand", "operation", "slip", "missing", "extra")
_STEP = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
_ATTEMPTS = 60


def corrupted(solution: str, error: str, largest: int, rng: np.random.Generator) -> str | None:
    """A solution with one error at a step drawn by `rng`; the steps behind go on from what it gives.

        operand     another number is added, taken away, multiplied or divided by
        operation   another sign
        slip        a result that is off by 1, 2 or 3
        missing     a step is left out
        extra       a step too many: some number is added or taken away

    Values stay whole, from 0 to `largest`, and the answer is another one than that of the solution.

    Args:
      solution: a chain "a + b = c ; c - d = e ; ans e", in which each step begins with the result of the one before.

    Returns:
      The wrong solution, or None where no such error was found in 60 draws.

    Raises:
      ValueError: an error of no known kind, or no such chain.

    >>> rng = np.random.default_rng(0)
    >>> for error in ERRORS:
    ...     print(error, ":", corrupted("7 + 5 = 12 ; 12 - 4 = 8 ; ans 8", error, 12, rng))
    operand : 7 + 5 = 12 ; 12 - 8 = 4 ; ans 4
    operation : 7 + 5 = 12 ; 12 / 4 = 3 ; ans 3
    slip : 7 + 5 = 12 ; 12 - 4 = 9 ; ans 9
    missing : 7 + 5 = 12 ; ans 12
    extra : 7 + 5 = 12 ; 12 - 4 = 8 ; 8 - 7 = 1 ; ans 1
    """
    if error not in ERRORS:
        raise ValueError(f"error={error!r}: it must be one of {ERRORS}")
    start, moves = chain(solution)
    answer = told(start, moves)[-1]
    for _ in range(_ATTEMPTS):
        wrong, slips = list(moves), [0] * (len(moves) + 1)
        at = int(rng.integers(len(moves)))
        sign, n = moves[at]
        if error == OPERAND:
            wrong[at] = sign, int(rng.integers(1, largest + 1) if sign in "+-" else rng.integers(2, 4))
        elif error == OPERATION:
            wrong[at] = str(rng.choice(list("+-*/"))), n
        elif error == SLIP:
            slips[at] = int(rng.choice([-3, -2, -1, 1, 2, 3]))
        elif error == MISSING:
            del wrong[at]
        else:
            wrong.insert(at + int(rng.integers(2)), (str(rng.choice(["+", "-"])), int(rng.integers(1, largest + 1))))
        values = told(start, wrong, slips)
        if (wrong != moves or any(slips)) and _sound(values, largest) and values[-1] != answer:
            return written(wrong, values)
    return None


def chain(solution: str) -> tuple[int, list[tuple[str, int]]]:
    """The number that a solution starts with, and its (sign, number) step by step.

    >>> chain("7 + 5 = 12 ; 12 - 4 = 8 ; ans 8")
    (7, [('+', 5), ('-', 4)])
    """
    found = [_STEP.fullmatch(step) for step in solution.split(" ; ")[:-1]]
    if not found or not all(found):
        raise ValueError(f"{solution!r} is no chain of steps 'a + b = c ; ... ; ans c'")
    return int(found[0][1]), [(own[2], int(own[3])) for own in found if own]  # type: ignore[index]


def told(start: int, moves: Sequence[tuple[str, int]], slips: Sequence[int] = ()) -> list[int]:
    """The results step by step, the start before them, each off by its slip; -1 for a division with a remainder.

    >>> told(7, [("+", 5), ("/", 5)]), told(7, [("+", 5), ("-", 4)], [1, 0])
    ([7, 12, -1], [7, 13, 9])
    """
    values = [start]
    for place, (sign, n) in enumerate(moves):
        whole = sign != "/" or (n > 0 and values[-1] % n == 0)
        values.append(applied(values[-1], sign, n) + (slips[place] if slips else 0) if whole else -1)
    return values


def written(moves: Sequence[tuple[str, int]], values: Sequence[int]) -> str:
    """The chain with these values as text."""
    steps = [f"{a} {s} {n} = {b}" for a, (s, n), b in zip(values, moves, values[1:], strict=False)]
    return " ; ".join([*steps, f"ans {values[-1]}"])


def _sound(values: Sequence[int], largest: int) -> bool:
    return all(0 <= value <= largest for value in values)

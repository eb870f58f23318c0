"""Straight-line programs: assignments of + - * / over given numbers, parsed, executed and compared by their states.

A program is read by a parser of its own and executed on exact fractions; nothing of it reaches Python's `eval`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

#: A number, a name, or (operator, operands...).
Tree = Fraction | str | tuple[Any, ...]
#: The values of all variables, whatever they are called, in ascending order.
State = tuple[Fraction, ...]

ANSWER = "answer"
_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|[A-Za-z_]\w*|[-+*/()])")
_BITS = 4096  # of a numerator or denominator
_DIGITS = 1000  # of a number that is written
_DEPTH = 50  # of parentheses and signs
_LENGTH = 300  # of an expression, in numbers, names and signs


class NotExecutable(ValueError):
    """A program that cannot be read, or not be executed to its end."""


class Step(NamedTuple):
    """One executed statement."""

    text: str  # as it was written, with single spaces
    code: tuple[str, Tree]  # name and expression: equal where statements differ in spaces and redundant parentheses
    value: Fraction  # of the expression
    state: State  # behind the statement

    @property
    def answers(self) -> bool:
        """Whether it sets the answer."""
        return self.code[0] == ANSWER


@functools.lru_cache(maxsize=1 << 16)
def traced(program: str, numbers: tuple[Fraction, ...] = ()) -> tuple[Step, ...]:
    """A program executed statement by statement, with the state behind each.

    Statements are parted by ";" or line ends; one is `name = expression` of numbers, names that have a value, + - * /
    and parentheses. Names n0, n1, ... are the given numbers. Arithmetic is exact.

    Raises:
      NotExecutable: a statement cannot be read or is very long, a name has no value, a division is by zero, or a number
        is very large.

    >>> first, last = traced("t0 = n0 / n1 ; answer = (t0 + 1) * 2", (Fraction(3), Fraction(4)))
    >>> last.value, last.answers, first.state == (Fraction(3, 4), 3, 4)
    (Fraction(7, 2), True, True)
    """
    values = {f"n{index}": Fraction(number) for index, number in enumerate(numbers)}
    found = []
    for statement in re.split(r"[;\n]", program):
        if not statement.strip():
            continue
        left, equals, right = statement.partition("=")
        name = left.strip()
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise NotExecutable(f"{statement.strip()!r} is no assignment: it must be `name = expression`")
        tree = parsed(right)
        values[name] = value = evaluated(tree, values)
        found.append(Step(" ".join(statement.split()), (name, tree), value, tuple(sorted(values.values()))))
    return tuple(found)


def state_of(numbers: Sequence[Fraction]) -> State:
    """The state before the first statement.

    >>> state_of((Fraction(3), Fraction(1))) == (1, 3)
    True
    """
    return tuple(sorted(numbers))


def answer_of(program: str, numbers: tuple[Fraction, ...] = ()) -> Fraction | None:
    """What a program answers; None where it cannot be executed or sets no answer.

    >>> answer_of("answer = 7 - n0", (Fraction(2),)), answer_of("answer = 7 - n1", (Fraction(2),))
    (Fraction(5, 1), None)
    """
    try:
        return next((step.value for step in traced(program, numbers) if step.answers), None)
    except NotExecutable:
        return None


def parsed(expression: str) -> Tree:
    """The tree of an expression.

    Raises:
      NotExecutable: it cannot be read, or is very long.

    >>> parsed("a - b * (c)")
    ('-', 'a', ('*', 'b', 'c'))
    """
    tokens, at = [], 0
    while expression[at:].strip():
        found = _TOKEN.match(expression, at)
        if found is None:
            raise NotExecutable(
                f"{expression[at:].strip()[:20]!r} begins with no number, name, operator or parenthesis"
            )
        tokens.append(found[1])
        at = found.end()
    if len(tokens) > _LENGTH:
        raise NotExecutable(f"an expression of more than {_LENGTH} numbers, names and signs")
    tokens.reverse()
    tree = _terms(tokens, 0)
    if tokens:
        raise NotExecutable(f"{expression.strip()!r}: nothing can follow before {tokens[-1]!r}")
    return tree


def _terms(tokens: list[str], depth: int) -> Tree:
    """Summands, from left to right. `tokens` are taken from the end."""
    tree = _factors(tokens, depth)
    while tokens and tokens[-1] in "+-":
        tree = (tokens.pop(), tree, _factors(tokens, depth))
    return tree


def _factors(tokens: list[str], depth: int) -> Tree:
    tree = _atom(tokens, depth)
    while tokens and tokens[-1] in "*/":
        tree = (tokens.pop(), tree, _atom(tokens, depth))
    return tree


def _atom(tokens: list[str], depth: int) -> Tree:
    if not tokens or depth > _DEPTH:
        raise NotExecutable("an expression ends too early" if not tokens else f"more than {_DEPTH} levels deep")
    token = tokens.pop()
    if token == "-":
        return ("-", _atom(tokens, depth + 1))
    if token == "(":
        tree = _terms(tokens, depth + 1)
        if not tokens or tokens.pop() != ")":
            raise NotExecutable("a parenthesis is not closed")
        return tree
    if token in ")+*/":
        raise NotExecutable(f"{token!r} stands where a number or a name should")
    if len(token) > _DIGITS:
        raise NotExecutable(f"a number or a name of more than {_DIGITS} characters")
    return Fraction(token) if token[0].isdigit() else token


def evaluated(tree: Tree, values: dict[str, Fraction]) -> Fraction:
    """The value of an expression.

    Raises:
      NotExecutable: a name has no value, a division is by zero, or the value is very large.

    >>> evaluated(parsed("2 * (a - 4)"), {"a": Fraction(7)})
    Fraction(6, 1)
    """
    if isinstance(tree, Fraction):
        return tree
    if isinstance(tree, str):
        if tree not in values:
            raise NotExecutable(f"{tree!r} has no value yet")
        return values[tree]
    sign, *operands = tree
    first, *others = (evaluated(operand, values) for operand in operands)
    if not others:
        return -first
    if sign == "/" and not others[0]:
        raise NotExecutable("a division by zero")
    value = {"+": first.__add__, "-": first.__sub__, "*": first.__mul__, "/": first.__truediv__}[sign](others[0])
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _BITS:
        raise NotExecutable(f"a number of more than {_BITS} bits")
    return value

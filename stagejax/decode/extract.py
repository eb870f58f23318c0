"""The answer out of what a model says, by a rule that is the same for all who are asked."""

from __future__ import annotations

import re


def number(text: str, last: bool = False) -> str | None:
    """The first number, or the last, without commas and without zeros that say nothing; None without one.

    Reference: the released code of Wang et al. 2023, https://arxiv.org/abs/2305.04091.

    >>> number("it is 1,200.50 , not 7"), number("3 or 4", last=True), number("none")
    ('1200.5', '4', None)
    """
    found = re.findall(r"-?\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d)", "", text))
    if not found:
        return None
    own: str = found[-1 if last else 0]
    return own.rstrip("0").rstrip(".") if "." in own else own

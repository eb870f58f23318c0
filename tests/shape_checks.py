"""Which functions of stagejax have their annotations checked at run time, see `conftest.py`."""

from collections.abc import Callable
from typing import Any

from beartype import beartype


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with checks; one that is made within another as it is.

    Those would be compiled with their checks whenever they are made, a seventh of the CPU time of three test files.
    """
    return function if "<locals>" in function.__qualname__ else beartype(function)

"""What errors say: where in a pipeline one was raised, beneath its message, and what was found there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def noted(where: str) -> Iterator[None]:
    """An error raised inside stays what it is, and carries the line `where`: a traceback shows it below the message.

    >>> try:
    ...     with noted("in stage 'small'"):
    ...         {}["image"]
    ... except KeyError as error:
    ...     print(notes_of(error))
    ["in stage 'small'"]
    """
    try:
        yield
    except Exception as error:
        error.add_note(where)
        raise


def notes_of(error: BaseException) -> list[str]:
    """The lines that `noted` gave to an error, from the inside out; JAX adds notes of its own to what it traces."""
    return [note for note in getattr(error, "__notes__", ()) if note.startswith("in ")]


def kind_of(thing: Any) -> str:
    """What a message calls something of the wrong kind.

    >>> kind_of(dict), kind_of({})
    ('the class dict', 'a dict')
    """
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"

"""Notes on errors: where in a pipeline one was raised, beneath what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


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

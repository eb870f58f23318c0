"""A line now and then for what takes long and has no steps: labels, samples, a search, the growth of a large model."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import jax

from stagejax.ledger import Number
from stagejax.report.progress import LINE_SECONDS, clock

#: The longest time between two lines.
LONGEST = 60.0


@contextlib.contextmanager
def waiting(title: str, first: Number = LINE_SECONDS) -> Iterator[None]:
    """Tells that something is still computed, on the first process: after `first` seconds, then ever less often.

    Args:
      title: of what is computed.
      first: seconds, more than 0. What takes less is not told of.

    >>> with waiting("labels"):
    ...     pass  # labels  computing for 0:10, 0:20, 0:40, 1:20, 2:20 and so on, and in the end: computed in 2:31
    """
    if jax.process_index() != 0:
        yield
        return
    began, ended = time.monotonic(), threading.Event()
    teller = threading.Thread(target=_tell, args=(title, first, began, ended), name=f"waiting for {title}", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
    if (seconds := time.monotonic() - began) >= first:
        print(f"{title}  computed in {clock(seconds)}", flush=True)


def _tell(title: str, first: Number, began: float, ended: threading.Event) -> None:
    due = first
    while not ended.wait(due - (time.monotonic() - began)):
        print(f"{title}  computing for {clock(time.monotonic() - began)}", flush=True)
        due += min(due, LONGEST)

"""Stopping politely: a signal sets a flag, and long work looks at the flag."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import jax


class Interrupted(RuntimeError):
    """The run was asked to stop; what it had done is saved, and the same command continues it."""


@contextlib.contextmanager
def on_signals(stop: threading.Event) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT set `stop`; a second SIGINT interrupts at once. Only the main thread can do this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: object) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def agreed(stop: threading.Event, step: int) -> bool:
    """Whether all processes of the run should stop at this step: one of them was asked to."""
    if jax.process_count() == 1:
        return stop.is_set()
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(jax.numpy.asarray(stop.is_set())).any()) if step % 10 == 0 else False

"""Stopping politely: a signal sets a flag, and long work looks at the flag."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any

import jax
import numpy as np


class Interrupted(RuntimeError):
    """The run was asked to stop; what it had done is saved, and the same command continues it."""


@contextlib.contextmanager
def on_signals(stop: threading.Event) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT set `stop`; a second SIGINT interrupts at once. Only in the main thread."""
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
    """Whether to stop here. Several processes ask each other at every tenth step, and stop if one was asked to."""
    if jax.process_count() == 1:
        return stop.is_set()
    if step % 10:
        return False
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.asarray(stop.is_set())).any())


def together(works: list[Callable[[], Any]], stop: threading.Event, doing: str) -> list[Any]:
    """Run functions side by side on other threads, for work that no signal can break off, such as a compilation by XLA.

    Raises:
      Interrupted: `stop` was set meanwhile. The work goes on unheard, and ends with the process.
    """
    futures: list[Future[Any]] = [Future() for _ in works]

    def run(work: Callable[[], Any], future: Future[Any]) -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    for work, future in zip(works, futures, strict=True):
        threading.Thread(target=run, args=(work, future), daemon=True).start()
    while not wait(futures, timeout=0.05).done.issuperset(futures):
        if stop.is_set() and jax.process_count() == 1:
            raise Interrupted(f"stopped while {doing}; nothing was lost")
    return [future.result() for future in futures]

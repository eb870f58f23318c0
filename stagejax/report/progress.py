"""Progress of a stage: a bar on a terminal, plain lines elsewhere, nothing on processes other than the first."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from stagejax.ledger import Number

#: Seconds between two drawings of the bar, and between two plain lines.
BAR_SECONDS, LINE_SECONDS = 0.1, 10.0


class Progress:
    """Shows step, loss, speed and time left. `update` costs about a microsecond when there is nothing to draw.

    Args:
      total: steps of the stage.
      start: steps done before, when it was resumed.
      title: name of the stage.
      unit_tokens: tokens of a step; 0 shows no tokens per second.
      console: a `rich.console.Console` to draw on; None draws on standard output.
      line_seconds: time between plain lines.

    >>> with Progress(2, title="small", unit_tokens=1024) as progress:
    ...     progress.update(1, {"loss": 2.5})
    ...     progress.update(2, {"loss": 2.0})  # doctest: +ELLIPSIS
    small  0/2
    small  2/2  loss 2.000 ...
    """

    def __init__(
        self,
        total: int,
        start: int = 0,
        title: str = "",
        unit_tokens: int = 0,
        *,
        console: Any = None,
        line_seconds: Number = LINE_SECONDS,
    ) -> None:
        self.total, self.step, self.title, self.unit_tokens = total, start, title, unit_tokens
        self._console, self._line_seconds = console, line_seconds
        self._metrics: dict[str, Any] = {}
        self._rate = float("nan")  # steps a second, smoothed
        self._mark: tuple[float, int] | None = None  # time and step of the last drawing
        self._due = float("inf")  # when to draw next
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if jax.process_index() != 0:
            return self
        self._bar = _bar(self._console)
        if self._bar is None:
            self._say(f"{self.title}  {self.step}/{self.total}")
        else:
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total, completed=self.step, status="compiling")
            self._bar.refresh()
        self._due = 0.0
        return self

    def update(self, step: int, metrics: Mapping[str, Any] | None = None) -> None:
        """Tell that `step` steps are done, and any metrics that are new."""
        self.step = step
        if metrics is not None:
            self._metrics.update(metrics)
        if time.perf_counter() >= self._due:
            self._draw()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._due == float("inf"):
            return
        if self._bar is None:
            self._say(self._line() + ("" if kind is None else f"  stopped by {kind.__name__}"))
            return
        self._bar.update(self._task, completed=self.step, status=self._status())
        self._bar.stop()

    def _draw(self) -> None:
        now = time.perf_counter()
        first = self._mark is None
        self._measure(now)
        if self._bar is not None:
            self._due = now + BAR_SECONDS
            self._bar.update(self._task, completed=self.step, status=self._status())
            self._bar.refresh()
        else:
            self._due = now + self._line_seconds
            if not first:  # compilation has just ended: there is no speed to tell
                self._say(self._line())

    def _measure(self, now: float) -> None:
        """Speed since the last drawing, smoothed; the time before the first step is compilation and does not count."""
        if self._mark is not None and now > self._mark[0]:
            current = (self.step - self._mark[1]) / (now - self._mark[0])
            self._rate = current if np.isnan(self._rate) else 0.7 * self._rate + 0.3 * current
        self._mark = (now, self.step)

    def _status(self) -> str:
        shown = [f"{name} {value:.3f}" for name in ("loss", "eval/loss") if (value := self._metric(name)) is not None]
        if self._rate > 0:
            shown.append(f"{_short(self._rate)} steps/s")
            if self.unit_tokens:
                shown.append(f"{_short(self._rate * self.unit_tokens)} tokens/s")
            if self.step < self.total:
                shown.append(f"{clock((self.total - self.step) / self._rate)} left")
        return "  ".join(shown)

    def _metric(self, name: str) -> float | None:
        """The latest value, over replicas their mean."""
        return float(np.mean(self._metrics[name])) if name in self._metrics else None

    def _line(self) -> str:
        if np.isnan(self._rate) and self._mark is not None:
            self._measure(time.perf_counter())
        return f"{self.title}  {self.step}/{self.total}  {self._status()}".rstrip()

    def _say(self, line: str) -> None:
        if self._console is None:
            print(line, flush=True)
        else:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _bar(console: Any) -> Any:
    """A rich progress bar if there is a terminal to draw on, else None."""
    if console is None and not sys.stdout.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console() if console is None else console
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    title, status = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[status]}", markup=False)
    return Bar(title, BarColumn(bar_width=24), MofNCompleteColumn(), status, console=console, auto_refresh=False)


def _short(value: Number) -> str:
    """53120 as 53k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def clock(seconds: Number) -> str:
    """Seconds as 0:07 or 2:03:04."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

"""What takes long and has no steps says so, what is soon there does not."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from stagejax import running
from stagejax.report.waiting import waiting


def until(there: Callable[[], bool]) -> None:
    """Waits at most a minute, which a busy machine may need."""
    ends = time.monotonic() + 60
    while not there():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_what_is_soon_there_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("labels", first=3600):
        pass
    assert capsys.readouterr().out == ""
    assert not any("labels" in thread.name for thread in threading.enumerate())


def test_what_takes_long_is_told_while_it_does_and_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    said = ""

    def lines() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return said.count("samples  computing for 0:") > 1

    with waiting("samples", first=0.02):
        until(lines)
    assert capsys.readouterr().out.splitlines()[-1].startswith("samples  computed in 0:")


def test_an_error_ends_it_and_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no such word"), waiting("scores", first=3600):
        raise ValueError("no such word")
    assert not any("scores" in thread.name for thread in threading.enumerate())
    assert capsys.readouterr().out == ""


def test_other_processes_are_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with waiting("samples", first=0.001):
        time.sleep(0.05)
    assert capsys.readouterr().out == ""


def slow(seconds: float) -> list[float]:
    time.sleep(seconds)
    return [seconds]


def test_a_run_tells_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, "waits", mesh="data=1") as run:
        run.make("0/soon", slow, 0.0)
        assert capsys.readouterr().out == ""
        monkeypatch.setattr("stagejax.run.waiting", functools.partial(waiting, first=0.05))
        run.make("0/drawn", slow, 0.2)
        assert "0/drawn  computed in 0:" in capsys.readouterr().out

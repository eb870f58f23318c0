"""What the tests of the spine share: short ways to run toy stages, and to compare all that they leave behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from toy import Numbers, Toy, adam, regression

from stagejax import loop
from stagejax.axes import path_name
from stagejax.declare import declare, fingerprint
from stagejax.identity import program_key
from stagejax.interrupt import Interrupted
from stagejax.loop import Record, train
from stagejax.mesh import make_mesh
from stagejax.program import Program, build, step_keys
from stagejax.run import Run, running
from stagejax.stage import Stage

#: Compiled programs, kept between the runs of one test session.
PROGRAMS: dict[str, dict[str, Program]] = {}


def stage(name: str = "a", **fields: Any) -> Stage:
    """A toy stage; a field given here replaces its default."""
    known = {"model": Toy(), "objective": regression, "optimizer": adam, "data": Numbers(), "steps": 4}
    return Stage(name, **{**known, **fields})


def go(path: Path, pipeline: Callable[[Run], Any], mesh: str = "data=1", **options: Any) -> Any:
    """Run a pipeline in a folder, with the programs that earlier runs on the same mesh have compiled."""
    with running(path, "toy", mesh=mesh, **options) as run:
        run._programs = PROGRAMS.setdefault(f"{mesh} {options.get('rules')}", {})
        return pipeline(run)


class Killed(BaseException):
    """Stands for SIGKILL: nothing gets a chance to save."""


def kill() -> None:
    raise Killed


class Alarm:
    """Counts calls of a function, and at one of them does something."""

    def __init__(self, monkeypatch: Any, owner: Any, name: str, at: int, do: Any) -> None:
        self.calls, self.at, self.do = 0, at, do
        inner = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.at:
                self.do()
            return inner(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)


def cut_short(
    path: Path,
    monkeypatch: Any,
    pipeline: Callable[[Run], Any],
    at: int,
    how: str = "kill",
    of: tuple[Any, str] = (loop, "place"),
) -> None:
    """`go` until a function is called for the `at`-th time, where the run is killed, or told to "stop".

    Without `of` a call is a batch that is placed on devices: a step, or a part of an evaluation.
    """
    with monkeypatch.context() as patch:

        def body(run: Run) -> Any:
            Alarm(patch, *of, at, run.stop.set if how == "stop" else kill)
            return pipeline(run)

        with pytest.raises(Interrupted if how == "stop" else Killed):
            go(path, body)


#: What `drive` found before.
DRIVEN: dict[str, Any] = {}


def drive(stage: Stage, mesh: str = "data=1", rules: Any = None) -> tuple[Program, Any, Record]:
    """Train a stage without a folder, once in a session: its program, last state and record."""
    mark = fingerprint(declare((stage, mesh, rules or {})))
    if mark not in DRIVEN:
        DRIVEN[mark] = _drive(stage, mesh, rules)
    return DRIVEN[mark]


def _drive(stage: Stage, mesh: str, rules: Any) -> tuple[Program, Any, Record]:
    programs = PROGRAMS.setdefault(f"{mesh} {rules}", {})
    mark = program_key(stage)
    if mark not in programs:
        programs[mark] = build(stage, make_mesh(mesh), rules)
    program = programs[mark].of(stage)
    state = program.initial(0)
    state, record = train(
        program, state, Record(), step_keys(stage, 0),
        save=lambda state, record: None, stop=threading.Event(), observe=lambda step, values: None,
    )  # fmt: skip
    return program, state, record


def flat(tree: Any) -> dict[str, np.ndarray]:
    """Leaves by path, as numpy arrays."""
    return {path_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def assert_same(one: Any, two: Any) -> None:
    """Two trees agree bit for bit."""
    a, b = flat(one), flat(two)
    assert list(a) == list(b)
    for path in a:
        assert a[path].dtype == b[path].dtype, path
        np.testing.assert_array_equal(a[path], b[path], err_msg=path)


def assert_close(one: Any, two: Any, rtol: float = 1e-6, atol: float = 1e-7) -> None:
    """Two trees agree to a tolerance."""
    a, b = flat(one), flat(two)
    assert list(a) == list(b)
    for path in a:
        np.testing.assert_allclose(a[path], b[path], rtol=rtol, atol=atol, err_msg=path)


def outcome(path: Path, results: tuple[Any, ...]) -> list[Any]:
    """All that a run must repeat bit for bit: everything but clock times."""
    found = []
    for result in results:
        metrics = next(path.rglob(f"{result.fingerprint}/metrics.jsonl"))
        cost = replace(result.cost, seconds=0)
        found.append(
            (
                result.digest,
                result.history,
                result.position,
                cost,
                result.handover,
                metrics.read_text(),
                flat(result.state()),
            )
        )
    return found


def assert_outcome(found: list[Any], wanted: list[Any]) -> None:
    """Two outcomes agree bit for bit."""
    for one, two in zip(found, wanted, strict=True):
        assert one[:-1] == two[:-1]
        assert_same(one[-1], two[-1])

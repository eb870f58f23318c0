"""A stage trained in its folder: begun where its last save, a fork or the stage before says, saved, and described."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax

from stagejax import checkpoint
from stagejax.declare import Json
from stagejax.fork import Fork, forked, forked_save
from stagejax.growth.timing import Policy, time_to_grow
from stagejax.handover import Action, sentence, table
from stagejax.identity import check_data, digest_of
from stagejax.loop import Diverged, Record, train
from stagejax.mesh import all_here
from stagejax.program import Program, step_keys
from stagejax.report.metrics import JsonlWriter, Writer
from stagejax.report.progress import Progress
from stagejax.stage import Stage
from stagejax.state import count, digest
from stagejax.workdir import Entry


@dataclass(frozen=True)
class Training:
    """A stage, its compiled program and its folder: what it takes to train it, or to continue it after a stop."""

    stage: Stage
    program: Program
    start: Any  # a Result, a dictionary of them by model, or None for fresh parameters
    entry: Entry
    generation: int
    until: Policy | None = None
    fork: Fork | None = None  # that of this stage

    def run(self, stop: threading.Event, trackers: Sequence[Callable[[int], Writer]], may_diverge: bool) -> Json:
        """Train, or continue; returns the page that the stage's result.json holds.

        `trackers` make further writers of metrics, given the number of steps done.

        Raises:
          WorkdirError, HandoverError, Interrupted, Diverged, CheckpointError: see `Run.train`.
        """
        stage, entry = self.stage, self.entry
        state, record, rows = self.begin()
        begun, data = record.step, digest_of(stage.data)
        if self.start is not None and record.step == 0 and jax.process_index() == 0:
            print(f"{stage.name}  takes over: {sentence(rows)}")
        waiting: list[Callable[[], None]] = []  # for the one save under way

        def finish_save() -> None:
            while waiting:
                waiting.pop()()
                _prune(entry.steps, stage.keep)

        def save(state: Any, record: Record) -> None:
            finish_save()
            page = record.to_json() | {"handover": rows, "data": data}
            waiting.append(checkpoint.save(entry.steps / str(record.step), state, page))

        def observe(step: int, values: dict[str, Any]) -> None:
            for writer in (lines, *tracking):
                writer.write(step, values)
            progress.update(step, values)

        with (
            checkpoint.written(entry.metrics),
            contextlib.closing(JsonlWriter(entry.metrics)) as lines,
            Progress(stage.steps, record.step, stage.name, stage.data.tokens) as progress,
            contextlib.ExitStack() as last,
        ):
            tracking = [tracker(record.step) for tracker in trackers]
            for writer in tracking:
                last.callback(writer.close)
            last.callback(finish_save)
            for step, values in record.history.rows():
                lines.write(step, values)
            key = step_keys(stage, self.generation)
            ends = self.until and partial(time_to_grow, self.until)
            page = {"handover": rows, "data": data, "parameters": count(params_of(self.program.state))}
            try:
                state, record = train(
                    self.program, state, record, key, save=save, stop=stop, observe=observe, until=ends
                )
            except Diverged as error:
                if not may_diverge:
                    raise
                return page | {"digest": "", "record": error.record.to_json(), "diverged": error.what}
            if record.step == begun and not checkpoint.steps(entry.steps):
                save(state, record)  # over at once: there was no step to save after
        return page | {"digest": digest(params_of(state)), "record": record.to_json()}

    def begin(self) -> tuple[Any, Record, list[Any]]:
        """The last save of this stage, or the forked one, or what the stage before hands over.

        Raises:
          ValueError: the fork begins after the stage's end.
          WorkdirError: the data changed since the last save.
        """
        stage, entry = self.stage, self.entry
        saves = checkpoint.steps(entry.steps)
        all_here(f"saves {entry.fingerprint}")
        if jax.process_index() == 0:
            checkpoint.sweep(entry.steps)
        if saves or self.fork is not None:
            place = entry.steps / str(saves[-1]) if saves else self._forked()
            state, page = checkpoint.load(place, self.program.state)
            if not saves:  # of its own from now on, whatever becomes of the source; the only one of a fork at the end
                page |= {"data": digest_of(stage.data)}
                checkpoint.save(entry.steps / str(page["step"]), state, page)()
            else:
                check_data(stage, page["data"], entry.path)
            return state, Record.from_json(page), page["handover"]
        start = self.start
        old = {n: r.state() for n, r in start.items()} if isinstance(start, dict) else start and start.state()
        state, rows = self.program.begin(self.generation, old)
        carried = start is not None and stage.handover.data == Action.CARRY
        return state, Record(position=start.position if carried else None), table(rows)

    def _forked(self) -> Path:
        """The save of another run that this stage begins with."""
        assert self.fork is not None
        if self.fork.step > self.stage.steps:
            raise ValueError(
                f"stage {self.stage.name!r} has {self.stage.steps} steps, but is forked at step {self.fork.step}"
            )
        return forked_save(self.fork)

    def load(self, step: int) -> Any:
        """The state after the last step, checked against the digest that was noted of it."""
        return load_state(self.entry, step, self.program.state)


def load_state(entry: Entry, step: int, like: Any) -> Any:
    """The train state that a finished stage, growth or transform saved at a step.

    Raises:
      CheckpointError: it is damaged, or its parameters are not those that were saved.
    """
    state, _ = checkpoint.load(entry.steps / str(step), like)
    checkpoint.check_digest(digest(params_of(state)), (entry.result or {}).get("digest"), entry.path)
    return state


def declare_fork(fork: Fork | None) -> Json:
    """What a stage's declaration says of the save that it begins from."""
    return {} if fork is None else {"fork": {"fingerprint": forked(fork).fingerprint, "step": fork.step}}


def params_of(state: Any) -> Any:
    """The parameters of a train state, or of several by model."""
    return {n: s.params for n, s in state.items()} if isinstance(state, dict) else state.params


def _prune(steps: Path, keep: int | None) -> None:
    if keep is not None and jax.process_index() == 0:
        for old in checkpoint.steps(steps)[:-keep]:
            checkpoint.remove(steps / str(old))

"""Run: durable named stages. The pipeline is an ordinary function that calls `train`, `grow` and `make`.

A finished stage is loaded, an unfinished one continues at its last save, a changed one is refused. What a stage is, is
its declaration and its parents' fingerprints; two names with the same declaration share one result.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stagejax import checkpoint
from stagejax.axes import Rules
from stagejax.declare import Json, declare, fingerprint
from stagejax.handover import Action, HandoverError, table
from stagejax.host import keep_memory
from stagejax.interrupt import Interrupted, on_signals
from stagejax.ledger import Cost
from stagejax.loop import History, Record, train
from stagejax.mesh import all_here, make_mesh
from stagejax.program import Program, build, step_keys
from stagejax.report.metrics import JsonlWriter, Writer
from stagejax.report.progress import Progress
from stagejax.result import Result
from stagejax.stage import Stage, check_name
from stagejax.state import count, digest
from stagejax.workdir import Entry, Workdir, WorkdirError, check_owner, locked, open_workdir, reopen_workdir

#: (workdir, stage's name, steps done) -> where its metrics go as well.
Tracker = Callable[[Path, str, int], Writer]

#: Part of every fingerprint: raised when the meaning of a declaration changes.
MEANING = 1


@dataclass(frozen=True)
class Fork:
    """Where a run departs from another: its stage `stage` begins with the state that the other had at `step`."""

    workdir: Path
    stage: str
    step: int

    @classmethod
    def parse(cls, text: str) -> Fork:
        """`runs/first/large/fpi@200`: the folder, the stage and the step.

        Raises:
          ValueError: it is not of that form, or no folder along it is a workdir.
        """
        place, at, step = text.rpartition("@")
        if not at or not step.isdigit():
            raise ValueError(f"--from {text!r}: write it as WORKDIR/STAGE@STEP, such as runs/first/large/fpi@200")
        parts = Path(place).parts
        for cut in range(len(parts) - 1, 0, -1):
            folder = Path(*parts[:cut])
            if (folder / "run.json").exists():
                return cls(folder, "/".join(parts[cut:]), int(step))
        raise ValueError(f"--from {text!r}: no folder along {place} is the workdir of a run")


class Run:
    """A pipeline's view of its folder, mesh and clock. Use it through `running`."""

    def __init__(
        self,
        workdir: Workdir,
        mesh: Any,
        rules: Rules,
        stop: threading.Event,
        fork: Fork | None,
        track: tuple[Tracker, ...] = (),
    ) -> None:
        self.workdir, self.mesh, self.rules, self.stop, self.fork, self.track = workdir, mesh, rules, stop, fork, track
        self.results: list[Result] = []
        self._programs: dict[str, Program] = {}

    def train(self, stage: Stage, start: Result | dict[str, Result] | None = None) -> Result:
        """Train a stage from `start` (or from fresh parameters), or load what it left when it was trained before.

        Raises:
          WorkdirError: the stage's name stands for another declaration.
          HandoverError: the state of `start` does not fit.
          Interrupted, Diverged, CheckpointError: see `loop.train`.
        """
        self._new_name(stage.name)
        check_start(stage, start)
        generation = generation_of(start) + 1
        program = self._program(stage)
        entry = self.workdir.claim(stage.name, "train", declare_train(stage, start) | self._fork_mark(stage.name))
        result = Result(
            stage.name,
            "train",
            entry.fingerprint,
            generation,
            stage.model,
            stage,
            stage.steps,
            load=lambda: _load(entry, program, stage.steps),
        )
        page = entry.result or self._computed(entry, lambda: self._train(stage, program, start, entry, generation))
        record = Record.from_json(page["record"])
        return self._done(
            replace(
                result,
                cost=record.cost,
                history=record.history,
                position=record.position,
                digest=page["digest"],
                parameters=page["parameters"],
                handover=tuple(map(tuple, page["handover"])),
            )
        )

    def grow(self, name: str, start: Result, *, to: Any, operator: Any, moments: str = "reset") -> Result:
        """Grow the model of `start` to the config `to`; the receipt says what that did to the function.

        `moments` is "reset" (the next stage begins with fresh moments), "copy" or "dual" (see `growth.moments`).

        Raises:
          GrowthError: the operator cannot make this model; the error names operator, axis or leaf, and the sizes.
        """
        from stagejax.growing import grow_state

        self._new_name(name)
        declaration = declare_grow(start, to, operator, moments)
        entry = self.workdir.claim(name, "grow", declaration)
        growth = grow_state(start, to, operator, moments, self.mesh, self.rules)

        def compute() -> Json:
            began = time.monotonic()
            state, receipt = growth.apply()
            checkpoint.save(entry.steps / "0", state, {})()
            cost = Cost(seconds=time.monotonic() - began)
            sizes = {"digest": digest(state.params), "parameters": count(state.params)}
            return sizes | {"receipt": receipt.to_json(), "cost": asdict(cost)}

        page = entry.result or self._computed(entry, compute)
        result = Result(
            name,
            "grow",
            entry.fingerprint,
            start.generation,
            growth.config,
            start.stage,
            digest=page["digest"],
            parameters=page["parameters"],
            receipt=page["receipt"],
            cost=Cost(**page["cost"]),
            position=start.position,
            load=lambda: _checked(checkpoint.load(entry.steps / "0", growth.like)[0], page["digest"], entry),
        )
        return self._done(result)

    def make(self, name: str, function: Callable[..., Any], *inputs: Any) -> Result:
        """Any other durable artifact: `function(*inputs)`, computed once. Inputs are Results or declared values.

        The value is JSON, or a dictionary of numpy arrays. Use it as `result.value`; tuples come back as lists.

        Raises:
          TypeError: the value is neither.
        """
        self._new_name(name)
        declaration = {
            "kind": "make",
            "meaning": MEANING,
            "function": declare(function, f"{name}.function"),
            "inputs": [
                {"result": i.fingerprint} if isinstance(i, Result) else declare(i, f"{name}.inputs") for i in inputs
            ],
        }
        entry = self.workdir.claim(name, "make", declaration)

        def compute() -> Json:
            began = time.monotonic()
            page = _store_value(entry, function(*inputs))
            return page | {"cost": asdict(Cost(seconds=time.monotonic() - began))}

        page = entry.result or self._computed(entry, compute)
        generation = max([i.generation for i in inputs if isinstance(i, Result)], default=0)
        return self._done(
            Result(
                name,
                "make",
                entry.fingerprint,
                generation,
                digest=page["digest"],
                cost=Cost(**page["cost"]),
                value=_load_value(entry, page),
            )
        )

    def _computed(self, entry: Entry, compute: Callable[[], Json]) -> Json:
        """The page of a result that is not there yet, written once all it speaks of is on disk."""
        if self.stop.is_set() and jax.process_count() == 1:
            raise Interrupted("stopped between two stages; all finished ones are saved")
        with locked(entry.path):
            page = entry.result or compute()
            if jax.process_index() == 0:
                checkpoint.write_json(entry.path / "result.json", page)
        all_here(f"result {entry.fingerprint}")
        return page

    def _train(self, stage: Stage, program: Program, start: Any, entry: Entry, generation: int) -> Json:
        """Train, or continue, a stage that is not finished; returns the page that its result.json holds."""
        state, record, rows = self._state_to_begin(stage, program, start, entry, generation)
        data = digest_of(stage.data)
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
            for writer in (lines, *trackers):
                writer.write(step, values)
            progress.update(step, values)

        with (
            contextlib.closing(JsonlWriter(entry.metrics)) as lines,
            Progress(stage.steps, record.step, stage.name, stage.data.tokens) as progress,
            contextlib.ExitStack() as last,
        ):
            trackers = [tracker(self.workdir.path, stage.name, record.step) for tracker in self.track]
            for tracker in trackers:
                last.callback(tracker.close)
            last.callback(finish_save)
            for step, values in record.history.rows():
                lines.write(step, values)
            key = step_keys(stage, generation)
            state, record = train(program, state, record, key, save=save, stop=self.stop, observe=observe)
        params = {n: s.params for n, s in state.items()} if isinstance(state, dict) else state.params
        page = {"digest": digest(params), "parameters": count(params), "record": record.to_json(), "handover": rows}
        return page | {"data": data}

    def _state_to_begin(
        self, stage: Stage, program: Program, start: Any, entry: Entry, generation: int
    ) -> tuple[Any, Record, list[Any]]:
        """The last save of this stage, or the forked one, or what the stage before hands over."""
        saves = checkpoint.steps(entry.steps)
        all_here(f"saves {entry.fingerprint}")
        if jax.process_index() == 0:
            checkpoint.sweep(entry.steps)
        source = entry
        if not saves and self.fork is not None and self.fork.stage == stage.name:
            source, saves = forked(self.fork), [self.fork.step]
            if self.fork.step > stage.steps:
                raise ValueError(
                    f"stage {stage.name!r} has {stage.steps} steps, but is forked at step {self.fork.step}"
                )
        if saves:
            state, page = checkpoint.load(source.steps / str(saves[-1]), program.state)
            if source is entry and page["data"] != digest_of(stage.data):
                raise WorkdirError(
                    f"stage {stage.name!r}: its data changed since it was saved at step {saves[-1]} (another "
                    "sha256), so it cannot continue with the same batches. Restore the data, or delete "
                    f"{entry.path} to train it anew."
                )
            return state, Record.from_json(page), page["handover"]
        old = {n: r.state() for n, r in start.items()} if isinstance(start, dict) else start and start.state()
        state, rows = program.begin(generation, old)
        carried = start is not None and stage.handover.data == Action.CARRY
        return state, Record(position=start.position if carried else None), table(rows)

    def _program(self, stage: Stage) -> Program:
        """The stage's program; stages of the same shape share the compiled code."""
        mark = program_key(stage)
        if mark not in self._programs:
            self._programs[mark] = build(stage, self.mesh, self.rules)
        return replace(self._programs[mark], stage=stage)

    def _fork_mark(self, name: str) -> Json:
        if self.fork is None or self.fork.stage != name:
            return {}
        return {"fork": {"fingerprint": forked(self.fork).fingerprint, "step": self.fork.step}}

    def _new_name(self, name: str) -> None:
        check_name(name)
        if any(result.name == name for result in self.results):
            raise ValueError(f"two stages of this pipeline are named {name!r}; give each its own name")

    def _done(self, result: Result) -> Result:
        self.results.append(result)
        return result


@contextlib.contextmanager
def running(
    workdir: str | Path,
    experiment: str,
    *,
    mesh: str | None = None,
    rules: Rules | None = None,
    store: str | Path | None = None,
    fork: Fork | None = None,
    track: tuple[Tracker, ...] = (),
) -> Iterator[Run]:
    """A run in `workdir`, held by this process and stopped by SIGTERM or SIGINT.

    Args:
      workdir: folder of the run; made if absent, continued if present.
      experiment: name of the experiment that owns the folder.
      mesh: such as "data=4,fsdp=2"; None puts all devices along `data`.
      rules: where named axes live on the mesh, beside `axes.DEFAULT_RULES`.
      store: folder of results shared between runs; None keeps them in the workdir.
      fork: begin one stage from another run's save.
      track: makers of further writers of metrics, beside the lines in metrics.jsonl.
    """
    path, stop = Path(workdir).absolute(), threading.Event()
    others = () if fork is None else (forked(fork).path.parent,)
    if jax.process_index() == 0:
        check_owner(path, experiment)
    keep_memory()
    with locked(path), on_signals(stop):
        opened = open_workdir(path, experiment, Path(store).absolute() if store else None, others)
        all_here("workdir")
        run = Run(opened, make_mesh(mesh), rules or {}, stop, fork, track)
        yield run
        if fork is not None and all(result.name != fork.stage for result in run.results):
            raise ValueError(
                f"this pipeline has no stage {fork.stage!r} to fork; it has: {', '.join(r.name for r in run.results)}"
            )


def digest_of(data: Any) -> str | None:
    """The sha256 of what a stage reads, where its data can tell."""
    return data.digest() if hasattr(data, "digest") else None


def program_key(stage: Stage) -> str:
    """Stages with the same key run the same compiled code: same models and steps on batches of the same shape."""

    def shapes(data: Any) -> Json:
        return {name: f"{x.dtype}{list(x.shape)}" for name, x in data.spec().items()}

    page = declare(stage, stage.name) | {"data": shapes(stage.data), "handover": None, "seed": None, "step_flops": None}
    if stage.evaluate is not None:
        page["evaluate"] |= {"data": shapes(stage.evaluate.data), "every": None, "batches": None}
    return fingerprint(page)


def declare_train(stage: Stage, start: Any) -> Json:
    """What a training stage is: its declaration, what it starts from, and the precision of the process."""
    several = isinstance(start, dict)
    parents = {n: r.fingerprint for n, r in start.items()} if several else start.fingerprint if start else None
    x64 = bool(jax.config.jax_enable_x64)
    return {"kind": "train", "meaning": MEANING, "stage": declare(stage, stage.name), "start": parents, "x64": x64}


def declare_grow(start: Result, to: Any, operator: Any, moments: str) -> Json:
    """What a growth is."""
    return {
        "kind": "grow",
        "meaning": MEANING,
        "start": start.fingerprint,
        "to": declare(to, "to"),
        "operator": declare(operator, "operator"),
        "moments": moments,
    }


def generation_of(start: Any) -> int:
    """How many stages of training lie behind a start; -1 of nothing."""
    if start is None:
        return -1
    return max(r.generation for r in start.values()) if isinstance(start, dict) else start.generation


def check_start(stage: Stage, start: Any) -> None:
    """Whether a stage can start from this at all.

    Raises:
      HandoverError: a data position is to be carried, and the start has none, or several.
    """
    if start is not None and stage.handover.data == Action.CARRY and isinstance(start, dict):
        raise HandoverError(f"stage {stage.name!r}: Handover(data='carry') from several results: which one's position?")


def forked(fork: Fork) -> Entry:
    """The stage that a fork departs from.

    Raises:
      WorkdirError, ValueError: there is no such run, stage or save; the error lists those there are.
    """
    entry = reopen_workdir(fork.workdir).find(fork.stage)
    if fork.step not in checkpoint.steps(entry.steps):
        raise ValueError(
            f"stage {fork.stage!r} of {fork.workdir} has no save at step {fork.step}; it has "
            f"{checkpoint.steps(entry.steps)}. Stages keep their last two saves unless they say keep=None."
        )
    return entry


def _load(entry: Entry, program: Program, step: int) -> Any:
    state, _ = checkpoint.load(entry.steps / str(step), program.state)
    return _checked(state, (entry.result or {}).get("digest"), entry)


def _checked(state: Any, expected: str | None, entry: Entry) -> Any:
    params = {n: s.params for n, s in state.items()} if isinstance(state, dict) else state.params
    return _same_digest(state, digest(params), expected, entry)


def _same_digest(value: Any, found: str, expected: str | None, entry: Entry) -> Any:
    if expected is not None and found != expected:
        raise checkpoint.CheckpointError(
            f"what lies in {entry.path} is not what was saved there (its sha256 differs). Delete {entry.path} to "
            "compute that stage again."
        )
    return value


def _prune(steps: Path, keep: int | None) -> None:
    if keep is not None and jax.process_index() == 0:
        for old in checkpoint.steps(steps)[:-keep]:
            checkpoint.remove(steps / str(old))


def _store_value(entry: Entry, value: Any) -> Json:
    """Write an artifact's arrays, and return the page that says what it is."""
    if isinstance(value, dict) and value and all(isinstance(v, np.ndarray) for v in value.values()):
        if jax.process_index() == 0:
            checkpoint.write_arrays(entry.path / "value.npz", value)
        return {"digest": digest(value), "arrays": True, "value": None}
    try:
        value = json.loads(json.dumps(value))
    except TypeError as error:
        raise TypeError(f"an artifact is JSON or a dictionary of numpy arrays, but {error}") from error
    return {"digest": fingerprint(value), "arrays": False, "value": value}


def _load_value(entry: Entry, page: Json) -> Any:
    if not page["arrays"]:
        return page["value"]
    value = checkpoint.read_arrays(entry.path / "value.npz")
    return _same_digest(value, digest(value), page["digest"], entry)


__all__ = ["Fork", "History", "Result", "Run", "running"]

"""Run: durable named stages. The pipeline is an ordinary function that calls `train`, `grow`, `transform` and `make`.

A finished stage is loaded, an unfinished one continues at its last save, a changed one is refused. What a stage is, is
its declaration and its parents' fingerprints; two names with the same declaration share one result.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from stagejax import checkpoint
from stagejax.artifact import load_value, store_value
from stagejax.axes import Rules
from stagejax.code import remember
from stagejax.declare import Json
from stagejax.fork import Fork, forked, forked_save
from stagejax.growth.record import record
from stagejax.growth.timing import Policy, time_to_grow
from stagejax.host import keep_memory
from stagejax.identity import (
    check_data,
    check_result,
    check_start,
    check_until,
    declare_grow,
    declare_make,
    declare_train,
    declare_transform,
    generation_of,
    program_of,
)
from stagejax.interrupt import Interrupted, on_signals
from stagejax.ledger import Cost
from stagejax.loop import Diverged, History, Record
from stagejax.mesh import all_here, check_axes, first_says, make_mesh
from stagejax.note import noted
from stagejax.program import Program
from stagejax.report.metrics import Writer
from stagejax.report.waiting import waiting
from stagejax.result import Grown, Result
from stagejax.stage import Stage, check_name
from stagejax.state import count, digest
from stagejax.training import Training, declare_fork, load_state
from stagejax.workdir import Entry, Workdir, WorkdirError, check_owner, locked, open_workdir

#: (workdir, stage's name, steps done) -> where its metrics go as well.
Tracker = Callable[[Path, str, int], Writer]


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
        self.held = True  # until the end of `with running(...)`
        self._programs: dict[str, Program] = {}

    def train(
        self,
        stage: Stage,
        start: Result | dict[str, Result] | None = None,
        *,
        until: Policy | None = None,
        may_diverge: bool = False,
    ) -> Result:
        """Train a stage from `start` (or from fresh parameters), or load what it left when it was trained before.

        With `until`, a policy of `growth.timing`, it ends at the first evaluation at which it is time to grow, if that
        comes (`result.grows`); schedules are those of the whole stage.

        With `may_diverge`, as for a candidate of a search, to diverge is a result: `result.diverged` says how, its
        history and cost are those up to then, and it has no state.

        Raises:
          ValueError: the stage cannot end by a policy.
          WorkdirError: the stage's name stands for another declaration, or its data changed.
          HandoverError: the state of `start` does not fit.
          Interrupted, Diverged, CheckpointError: see `loop.train`.
        """
        self._new_name(stage.name)
        check_start(stage, start)
        check_until(stage, until)
        generation = generation_of(start) + 1
        program = program_of(self._programs, stage, self.mesh, self.rules)
        fork = self.fork if self.fork is not None and self.fork.stage == stage.name else None
        entry = self.workdir.claim(stage.name, "train", declare_train(stage, start, until) | declare_fork(fork))
        training = Training(stage, program, start, entry, generation, until, fork)
        trackers = [partial(tracker, self.workdir.path, stage.name) for tracker in self.track]
        loaded = entry.finished
        page = self._page(entry, lambda: training.run(self.stop, trackers, may_diverge))
        if loaded:
            check_data(stage, page["data"], entry.path)
        record, diverged = Record.from_json(page["record"]), page.get("diverged")
        if diverged and not may_diverge:
            raise Diverged(stage, diverged, record)
        return self._done(
            Result(
                stage.name,
                "train",
                entry.fingerprint,
                generation,
                stage.model,
                stage,
                record.step,
                load=None if diverged else lambda: training.load(record.step),
                diverged=diverged,
                grows=until and time_to_grow(until, record.history),
                cost=record.cost,
                history=record.history,
                position=record.position,
                digest=page["digest"],
                parameters=page["parameters"],
                handover=tuple(map(tuple, page["handover"])),
            )
        )

    def grow(
        self,
        name: str,
        start: Result,
        *,
        to: Any,
        operator: Any,
        moments: str = "reset",
        others: Mapping[str, Result] | None = None,
    ) -> Result:
        """Grow the model of `start` to the config `to`; the receipt says what that did to the function.

        `moments` is "reset" (the next stage begins with fresh moments), "copy" or "dual" (see `growth.moments`).
        `others` are further sources, by the names that the operator's terms give them: `{"large": saved}`.

        Raises:
          GrowthError: the operator cannot make this model; the error names operator, axis or leaf, and the sizes.
          HandoverError: `start`, or one of the others, is no train state.
        """
        from stagejax.growing import grow_state

        self._new_name(name)
        for one in (start, *(others or {}).values()):
            check_result(name, one)
        declaration = declare_grow(start, to, operator, moments, others)
        entry = self.workdir.claim(name, "grow", declaration)
        with noted(f"in the growth {name!r}"):
            growth = grow_state(start, to, operator, moments, self.mesh, self.rules, others)

        def compute() -> Json:
            began = time.monotonic()
            with waiting(name):
                state, receipt = growth.apply()
                checkpoint.save(entry.steps / "0", state, {})()
                if jax.process_index() == 0:
                    checkpoint.write_arrays(entry.path / "maps.npz", record(growth.growth))
            cost = Cost(seconds=time.monotonic() - began)
            sizes = {"digest": digest(state.params), "parameters": count(state.params)}
            return sizes | {"receipt": receipt.to_json(), "cost": asdict(cost)}

        page = self._page(entry, compute)
        result = Result(
            name,
            "grow",
            entry.fingerprint,
            max(r.generation for r in (start, *(others or {}).values())),
            growth.config,
            start.stage,
            digest=page["digest"],
            parameters=page["parameters"],
            receipt=page["receipt"],
            cost=Cost(**page["cost"]),
            position=start.position,
            load=lambda: load_state(entry, 0, growth.like),
            grown=Grown(growth.growth, start, growth.replay, lambda: checkpoint.read_arrays(entry.path / "maps.npz")),
        )
        return self._done(result)

    def transform(self, name: str, function: Callable[..., Any], *starts: Result, to: Any, flops: float = 0) -> Result:
        """Another form of the models of `starts`: `function(key, (params, rest), ...)` makes the variables of `to`.

        For what no growth is: adapters put on, merged or stacked (see `transforms`). The function is pure and compiled.
        `flops` is what computing it takes, as in `make`.

        Raises:
          ValueError: what the function makes is not a `to`; the error names the leaf.
          HandoverError: one of `starts` is no train state.
        """
        from stagejax.transforming import transform_state

        self._new_name(name)
        for start in starts:
            check_result(name, start)
        entry = self.workdir.claim(name, "transform", declare_transform(name, function, starts, to))
        transform = transform_state(name, function, starts, to, self.mesh, self.rules)

        def compute() -> Json:
            began = time.monotonic()
            with waiting(name):
                state = transform.apply()
                checkpoint.save(entry.steps / "0", state, {})()
            cost = Cost(flops=flops, seconds=time.monotonic() - began)
            return {"digest": digest(state.params), "parameters": count(state.params), "cost": asdict(cost)}

        page = self._page(entry, compute)
        return self._done(
            Result(
                name,
                "transform",
                entry.fingerprint,
                max(start.generation for start in starts),
                to,
                starts[0].stage,
                digest=page["digest"],
                parameters=page["parameters"],
                cost=Cost(**page["cost"]),
                position=starts[0].position,
                load=lambda: load_state(entry, 0, transform.like),
            )
        )

    def make(
        self,
        name: str,
        function: Callable[..., Any],
        *inputs: Any,
        flops: float = 0,
        sampled_tokens: Callable[[Any], int] | None = None,
    ) -> Result:
        """Any other durable artifact: `function(*inputs)`, computed once. Inputs are Results or declared values.

        The value is JSON, or a dictionary of numpy arrays. Use it as `result.value`; tuples come back as lists.
        `flops` is what computing it takes (see `count_flops`), to be charged to the arms that use it; `sampled_tokens`
        says of the value how many tokens were drawn for it.

        Raises:
          TypeError: the value is neither.
        """
        self._new_name(name)
        entry = self.workdir.claim(name, "make", declare_make(name, function, inputs))

        def compute() -> Json:
            began = time.monotonic()
            with waiting(name), noted(f"in the artifact {name!r}"):
                value = function(*inputs)
                page, drawn = store_value(entry, value), 0 if sampled_tokens is None else int(sampled_tokens(value))
            cost = Cost(flops=flops, sampled_tokens=drawn, seconds=time.monotonic() - began)
            return page | {"cost": asdict(cost)}

        page = self._page(entry, compute)
        generation = max([i.generation for i in inputs if isinstance(i, Result)], default=0)
        return self._done(
            Result(
                name,
                "make",
                entry.fingerprint,
                generation,
                digest=page["digest"],
                cost=Cost(**page["cost"]),
                value=load_value(entry, page),
            )
        )

    def _page(self, entry: Entry, compute: Callable[[], Json]) -> Json:
        """The page of a result: read, or computed, and then written once all it speaks of is on disk.

        Whether it is there process 0 says: another one may look when it has been written meanwhile.
        """
        if first_says(entry.finished):
            return entry.result
        if not self.held:
            raise WorkdirError(f"{self.workdir.path} is not held any more: go on inside `with running(...) as run`")
        if self.stop.is_set() and jax.process_count() == 1:
            raise Interrupted("stopped between two stages; all finished ones are saved")
        with locked(entry.path):
            page = entry.result if first_says(entry.finished) else compute()
            if jax.process_index() == 0:
                checkpoint.write_json(entry.path / "result.json", page)
        all_here(f"result {entry.fingerprint}")
        return page

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

    Raises:
      WorkdirError: the folder belongs to another experiment, is in use, or cannot be written to.
      ValueError: a mesh that is too large, or has an axis that no rule names; the pipeline has no stage to fork.

    >>> # with running("runs/mine", "mine") as run:
    >>> #     trained = run.train(Stage("small", gpt(...), causal_lm, adamw(2e-3), data, steps=300))
    """
    path, stop = Path(workdir).absolute(), threading.Event()
    fork = fork and replace(fork, workdir=fork.workdir.absolute())
    others = () if fork is None else (forked(fork).path.parent,)
    if fork is not None and not (path / "stages" / f"{fork.stage}.json").exists():
        forked_save(fork)
    if jax.process_index() == 0:
        check_owner(path, experiment)
    keep_memory()
    remember()
    with locked(path), on_signals(stop):
        opened = open_workdir(path, experiment, Path(store).absolute() if store else None, others)
        all_here("workdir")
        made = make_mesh(mesh)
        check_axes(made, rules)
        run = Run(opened, made, rules or {}, stop, fork, track)
        try:
            yield run
        finally:
            run.held = False
        if fork is not None and all(result.name != fork.stage for result in run.results):
            raise ValueError(
                f"this pipeline has no stage {fork.stage!r} to fork; it has: {', '.join(r.name for r in run.results)}"
            )


__all__ = ["Fork", "History", "Result", "Run", "running"]

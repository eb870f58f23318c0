"""The loop: evaluate the old state, save, advance the data, step. In that order, so that a resume repeats nothing."""

from __future__ import annotations

import functools
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.declare import Json
from stagejax.interrupt import Interrupted, agreed, together
from stagejax.ledger import Cost
from stagejax.mesh import batch_sharding
from stagejax.objectives.loss import Macro
from stagejax.program import Program, States
from stagejax.shapes import check_batch
from stagejax.stage import Batch, Evaluation, Metrics, Stage

#: Steps that may be under way on the device before the host waits for the oldest.
AHEAD = 2
#: Seconds between saves of a stage that names no `save_every`.
SAVE_SECONDS = 60.0
ADVICE = (
    "The last save before it is intact. Lower the peak learning rate, clip the gradient (optimizer.clip), or warm up "
    "longer."
)


@dataclass(frozen=True)
class History:
    """What was measured while a stage trained. With replicas (`seeds`), each value is a list.

    Args:
      train_steps: 1, 2, ..., as far as the stage has come.
      train: the step's metrics by name, one value a step.
      evals: one dictionary an evaluation: "step", "flops", "tokens" and each metric.
    """

    train_steps: list[int] = field(default_factory=list)
    train: dict[str, list[Any]] = field(default_factory=dict)
    evals: list[dict[str, Any]] = field(default_factory=list)

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """What was observed, in order: (step, values), with `eval/` before the names of an evaluation's metrics."""
        evals = deque(self.evals)
        for i, step in enumerate([0, *self.train_steps]):
            if i:
                yield step, {name: values[i - 1] for name, values in self.train.items()}
            while evals and evals[0]["step"] == step:
                yield step, self.shown(evals.popleft())

    @staticmethod
    def shown(row: dict[str, Any]) -> dict[str, Any]:
        """The metrics of an evaluation, as they are observed."""
        return {f"eval/{name}": value for name, value in row.items() if name not in ("step", "flops", "tokens")}

    def last(self, metric: str) -> float:
        """The last evaluation's value of a metric, averaged over replicas; NaN if it was not measured.

        Nothing is measured in planning; and in a table of several arms, not all need measure the same.

        >>> History(evals=[{"step": 4, "loss": 2.5}]).last("loss")
        2.5
        """
        values = [row[metric] for row in self.evals if metric in row]
        return float(np.mean(values[-1])) if values else float("nan")


@dataclass(frozen=True)
class Record:
    """How far a stage has come: everything beside its arrays that a checkpoint holds."""

    step: int = 0
    position: dict[str, Any] | None = None  # of the data: where the next batch is
    history: History = History()
    cost: Cost = Cost()

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, page: Json) -> Record:
        return cls(page["step"], page["position"], History(**page["history"]), Cost(**page["cost"]))


class Diverged(RuntimeError):
    """The loss, the gradient or a parameter became NaN or infinite.

    `what` says which and when, `record` how far the stage had come: the history before it, and the cost up to it.
    """

    def __init__(self, stage: Stage, what: str, record: Record) -> None:
        super().__init__(f"stage {stage.name!r}: {what}. {ADVICE}")
        self.what, self.record = what, record


Save = Callable[[States, Record], None]
Observe = Callable[[int, dict[str, Any]], None]
#: Whether a stage shall end here, from what was measured so far: a pure function, so that a resume decides alike.
Until = Callable[[History], bool]


def train(
    program: Program,
    state: States,
    record: Record,
    key: jax.Array,
    *,
    save: Save,
    stop: threading.Event,
    observe: Observe,
    until: Until | None = None,
) -> tuple[States, Record]:
    """Run a stage from `record.step` to its end, or to the first evaluation at which `until` holds of its history.

    Raises:
      Interrupted: `stop` was set; the state was saved first.
      Diverged: the loss, the gradient or a parameter is not finite; nothing of it was saved.
      ValueError: the data gives other batches than it declares, or held-out data ends too early.
    """
    stage = program.stage
    program.compile(
        lambda works: together(works, stop, f"compiling stage {stage.name!r}"), step=record.step < stage.steps
    )
    step = program.compiled_step() if record.step < stage.steps else None
    held_out = functools.cache(lambda: _held_out(stage))  # read once
    batches = stage.data.batches(record.position, (jax.process_index(), jax.process_count()))
    book = _Book(program, record, observe)
    saved, saved_at = record.step, time.monotonic()
    try:
        for k in range(record.step, stage.steps + 1):
            if stage.evaluate is not None and _due(stage.evaluate, k, stage.steps) and not book.scored(k):
                book.settle(0)
                book.score(k, evaluate(program, state, stop, held_out()))
            done = k == stage.steps or (until is not None and book.scored(k) and until(book.history))
            stopping = agreed(stop, k - record.step)
            if k != saved and (done or stopping or _save_due(program, k, saved_at)):
                book.settle(0)
                _check_finite(state, book, k)
                save(state, book.record(k, batches.position))
                saved, saved_at = k, time.monotonic()
            if stopping and not (done and book.complete(k)):
                raise Interrupted(f"stage {stage.name!r} stopped at step {k} of {stage.steps}; its state is saved")
            if done:
                break
            batch = next(batches, None)
            if batch is None:
                raise ValueError(
                    f"stage {stage.name!r}: its data ended after {k} of {stage.steps} batches. Lower steps, or "
                    "give data that goes on, such as with count=None"
                )
            if k == record.step:
                check_batch(stage, batch)
            state, metrics = step(state, place(batch, program), key)
            book.add(k + 1, metrics)
            book.settle(AHEAD)
        return state, book.record(k, batches.position)
    finally:
        batches.close()


def evaluate(program: Program, state: States, stop: threading.Event, batches: list[Batch]) -> dict[str, Any] | None:
    """Metrics over held-out batches; None when asked to stop meanwhile."""
    score = program.compiled_score()
    assert score is not None
    parts: list[Metrics] = []
    for batch in batches:
        if stop.is_set() and jax.process_count() == 1:
            return None
        parts.append(score(state, place(batch, program)))
    found = jax.device_get(parts)
    return {name: _mean([part[name] for part in found]) for name in found[0]}


def place(batch: Batch, program: Program) -> dict[str, Any]:
    """What this process gives the compiled step of a batch. Where it is alone, the step moves numpy arrays itself."""
    if jax.process_count() == 1:
        return dict(batch)
    sharding = batch_sharding(program.mesh)
    return {name: jax.make_array_from_process_local_data(sharding, value) for name, value in batch.items()}


@dataclass
class _Book:
    """Metrics on their way from the device into the history."""

    program: Program
    past: Record
    observe: Observe

    def __post_init__(self) -> None:
        history = self.past.history
        self.history = History(
            list(history.train_steps),
            {k: list(v) for k, v in history.train.items()},
            [dict(row) for row in history.evals],
        )
        self.pending: deque[tuple[int, Metrics]] = deque()
        self.began = time.monotonic()
        self.eval_flops = self.past.cost.eval_flops
        ahead = self.program.every_step_flops()[self.past.step :]
        self.flops = np.cumsum(
            [self.past.cost.flops, *ahead]
        )  # after past.step, past.step + 1, ...; bits as if never stopped

    def add(self, k: int, metrics: Metrics) -> None:
        self.pending.append((k, metrics))

    def settle(self, ahead: int) -> None:
        """Wait for all but the last `ahead` steps, and write them down."""
        while len(self.pending) > ahead:
            k, metrics = self.pending.popleft()
            values = {name: _number(value) for name, value in jax.device_get(metrics).items()}
            self._check(k, values)
            self.history.train_steps.append(k)
            for name, value in values.items():
                self.history.train.setdefault(name, []).append(value)
            self.observe(k, values)

    def scored(self, k: int) -> bool:
        return bool(self.history.evals) and self.history.evals[-1]["step"] == k

    def complete(self, k: int) -> bool:
        """Whether nothing is left to measure at step k."""
        return self.program.stage.evaluate is None or self.scored(k)

    def score(self, k: int, metrics: dict[str, Any] | None) -> None:
        if metrics is None:
            return
        evaluation = self.program.stage.evaluate
        assert evaluation is not None
        self.eval_flops += evaluation.batches * self.program.score_flops()
        flops = float(self.flops[k - self.past.step])
        row = {"step": k, "flops": flops, "tokens": k * self.program.stage.data.tokens, **metrics}
        self.history.evals.append(row)
        self.observe(k, History.shown(row))

    def record(self, k: int, position: dict[str, Any] | None) -> Record:
        data, past = self.program.stage.data, self.past.cost
        cost = replace(
            past,
            flops=float(self.flops[k - self.past.step]),
            eval_flops=self.eval_flops,
            tokens=k * data.tokens,
            samples=k * data.samples,
            sampled_tokens=int(np.sum(self.history.train.get("sampled_tokens", 0))),
            steps=k,
            seconds=past.seconds + time.monotonic() - self.began,
        )
        return Record(k, position and dict(position), self.history, cost)

    def diverged(self, what: str, k: int) -> Diverged:
        stage = self.program.stage
        return Diverged(stage, f"{what} step {k} of {stage.steps}", self.record(k, None))

    def _check(self, k: int, values: dict[str, Any]) -> None:
        watched = {n: values[n] for n in ("loss", "grad_norm") if n in values} or values
        for name, value in watched.items():
            if not (math.isfinite(value) if isinstance(value, float) else np.all(np.isfinite(value))):
                raise self.diverged(f"{name} is {value} at", k)


@jax.jit
def _finite(params: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def _check_finite(state: States, book: _Book, k: int) -> None:
    """The loss of a step is that of the parameters before it: before they are saved, look at those after it as well."""
    states = state.values() if isinstance(state, dict) else [state]
    if not _finite([s.params for s in states]):
        raise book.diverged("a parameter is not finite after", k)


def _held_out(stage: Stage) -> list[Batch]:
    """The first batches of the held-out data."""
    evaluation = stage.evaluate
    assert evaluation is not None
    batches = evaluation.data.batches(None, (jax.process_index(), jax.process_count()))
    try:
        found = list(itertools.islice(batches, evaluation.batches))
    finally:
        batches.close()
    if len(found) < evaluation.batches:
        raise ValueError(
            f"stage {stage.name!r}: evaluate.batches is {evaluation.batches}, but its data ends after {len(found)}"
        )
    return found


def _due(evaluation: Evaluation, k: int, steps: int) -> bool:
    return k == steps or (evaluation.every is not None and k % evaluation.every == 0)


def _save_due(program: Program, k: int, saved_at: float) -> bool:
    stage = program.stage
    if stage.save_every is not None:
        return k % stage.save_every == 0
    if jax.process_count() > 1:  # clocks differ: all processes save at the same tenth of the stage
        return k % max(1, stage.steps // 10) == 0
    return time.monotonic() - saved_at > SAVE_SECONDS


def _number(value: Any) -> Any:
    """A scalar as a float, a value per replica as a list."""
    return np.asarray(value, np.float64).tolist()


def _mean(values: list[Any]) -> Any:
    """Pairs as sum of totals over sum of counts, macro averages as the mean of such ratios, scalars as their mean."""
    if isinstance(values[0], Macro):
        return _number(Macro(*(np.sum(np.asarray(part, np.float64), 0) for part in zip(*values, strict=True))).value())
    if isinstance(values[0], tuple):
        return _number(sum(np.float64(v[0]) for v in values) / np.maximum(sum(np.float64(v[1]) for v in values), 1e-9))
    return _number(np.mean([np.asarray(v, np.float64) for v in values], axis=0))

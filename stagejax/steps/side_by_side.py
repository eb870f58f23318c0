"""Many small runs that differ in their data alone, side by side in one program: a scan of what to train on.

The step is that of the stage, under `vmap`: each run ends as it would have ended alone. Or one after the other, by one
program: on a CPU that is faster where a step is large enough to keep it busy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.handover import cross
from stagejax.identity import program_of
from stagejax.mesh import make_mesh
from stagejax.program import Program, build, init_keys, step_keys
from stagejax.result import Result
from stagejax.stage import Batch, Data, Stage, ratios

_PROGRAMS: dict[Any, dict[str, Program]] = {}  # by mesh: compiled once in a process for all stages that run the same


def side_by_side(stage: Stage, datas: Sequence[Data], start: Result | None = None) -> tuple[Any, dict[str, np.ndarray]]:
    """The last states of runs of `stage`, each on data of its own, stacked; and their evaluations, one value a run.

    Use it in `run.make(name, ..., flops=side_by_side_flops(stage, len(datas)))`: it is not saved on its way.

    Args:
      stage: what is common; its own `data` is not read.
      datas: with equal specifications, one for each run.
      start: where all of them begin; None: fresh parameters, the same for all.

    Raises:
      ValueError: the data differ in their specification, or the stage has replicas.
      HandoverError: the state of `start` does not fit.
    """
    specs = [data.spec() for data in datas]
    if stage.seeds is not None or any(spec != specs[0] for spec in specs):
        raise ValueError(f"stage {stage.name!r}: side by side needs data of one specification, and no `seeds`")
    program, generation = build(stage, None), 0 if start is None else start.generation + 1
    first = program.init(init_keys(stage, generation))
    if start is not None:
        first = cross(stage, program.parts, first, start.state())[0]
    states = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(datas), *x.shape)), first)
    numbers = jax.tree.map(jnp.float32, program.schedule)
    step = jax.jit(jax.vmap(program.step, in_axes=(0, 0, None, None)), donate_argnums=0)
    key = step_keys(stage, generation)
    for batch in _together(datas, stage.steps):
        states, _ = step(states, batch, key, numbers)
    return states, _scores(program, states)


def in_turn(
    stage: Stage, datas: Sequence[Data], tests: Sequence[Data], start: Result | None = None
) -> dict[str, np.ndarray]:
    """The evaluations of the last states of runs of `stage`, each on data of its own and scored on a test of its own.

    The runs are those of `side_by_side`, one after the other; nothing of them is kept.

    Args:
      stage: what is common; its evaluation says how many batches are scored, and by what.
      datas, tests: one for each run; with the specifications of the stage's data and evaluation data.
      start: where all of them begin, and on whose devices they run; None: fresh parameters, the same for all, on one.

    Raises:
      ValueError: the stage has no evaluation or has replicas, or data have another specification than its own, or there
        is not one test for each run.
      HandoverError: the state of `start` does not fit.
    """
    evaluation = stage.evaluate
    if evaluation is None or stage.seeds is not None:
        raise ValueError(f"stage {stage.name!r}: runs in turn need an evaluation (set `evaluate`), and no `seeds`")
    own = [data.spec() == stage.data.spec() for data in datas] + [t.spec() == evaluation.data.spec() for t in tests]
    if len(tests) != len(datas) or not all(own):
        raise ValueError(f"stage {stage.name!r}: {len(datas)} runs need as many data and tests, like the stage's own")
    old, generation = (None, 0) if start is None else (start.state(), start.generation + 1)
    mesh = make_mesh("data=1") if old is None else jax.tree.leaves(old)[0].sharding.mesh
    program = program_of(_PROGRAMS.setdefault(mesh, {}), stage, mesh, {})
    step, score, key, found = program.compiled_step(), program.compiled_score(), step_keys(stage, generation), []
    assert score is not None
    for data, test in zip(datas, tests, strict=True):
        state = program.begin(generation, old)[0]
        for batch in _first(data, stage.steps):
            state, _ = step(state, batch, key)
        found.append(_averaged([jax.device_get(score(state, batch)) for batch in _first(test, evaluation.batches)]))
    return {name: np.stack([scores[name] for scores in found]) for name in found[0]}


def side_by_side_flops(stage: Stage, runs: int) -> float:
    """The matmul FLOPs of `side_by_side` or `in_turn`, evaluations included."""
    program, evaluation = build(stage, None), stage.evaluate
    scored = 0 if evaluation is None else evaluation.batches * program.score_flops()
    return runs * (float(program.every_step_flops().sum()) + scored)


def _together(datas: Sequence[Data], steps: int) -> Iterator[Batch]:
    """Batches with an axis of runs in front."""
    readers = [data.batches(None) for data in datas]
    try:
        for _ in range(steps):
            found = [next(reader) for reader in readers]
            yield {name: np.stack([batch[name] for batch in found]) for name in found[0]}
    finally:
        for reader in readers:
            reader.close()


def _scores(program: Program, states: Any) -> dict[str, np.ndarray]:
    evaluation = program.stage.evaluate
    if evaluation is None or program.score is None:
        return {}
    score, found = jax.jit(jax.vmap(program.score, in_axes=(0, None))), []
    batches = evaluation.data.batches(None)
    for _ in range(evaluation.batches):
        found.append(jax.device_get(score(states, next(batches))))
    batches.close()
    return _averaged(found)


def _first(data: Data, count: int) -> Iterator[Batch]:
    """The first batches."""
    batches = data.batches(None)
    try:
        for _ in range(count):
            yield next(batches)
    finally:
        batches.close()


def _averaged(found: Sequence[Any]) -> dict[str, np.ndarray]:
    """Metrics over batches."""
    over = {name: np.sum if isinstance(value, tuple) else np.mean for name, value in found[0].items()}
    summed = {
        name: jax.tree.map(lambda *x, how=how: how(np.stack(x).astype(np.float64), 0), *[m[name] for m in found])
        for name, how in over.items()
    }
    return {name: np.asarray(value) for name, value in ratios(summed).items()}

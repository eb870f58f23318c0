"""How long a step of a stage takes, measured so that stages can be compared on a machine that does other work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stagejax.program import build, init_keys, step_keys
from stagejax.stage import Stage
from stagejax.steps.windows import interleaved


def step_seconds(*stages: Stage, repeats: int = 20) -> list[float]:
    """The shortest of some steps of each stage, from fresh parameters on its first batch.

    The stages take turns, so that what disturbs one disturbs all; compiling and reading the batch are not measured.
    Use it in `run.make(name, step_seconds, *stages)`: a time is not the same twice.

    >>> # short, long = run.make("seconds", step_seconds, small, large).value
    """
    calls = {str(number): _step(stage) for number, stage in enumerate(stages)}
    return [min(seconds) for seconds in interleaved(calls, repeats).values()]


def _step(stage: Stage) -> Callable[[], Any]:
    """A step, on one device; it leaves the state where it is."""
    program = build(stage, None)
    state, key = program.init(init_keys(stage, 0)), step_keys(stage, 0)
    numbers = jax.tree.map(jnp.float32, program.schedule)
    with stage.data.batches(None) as batches:
        batch = jax.device_put(next(batches))
    compiled = jax.jit(program.step)

    return lambda: compiled(state, batch, key, numbers)

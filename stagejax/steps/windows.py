"""Windows of time in which several programs take turns, so that what disturbs one disturbs all; and what they hold.

On a machine that does other work only ratios of neighbouring windows say something. Compilation is never in a window.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from stagejax.compiling import compiler
from stagejax.memory import stored_bytes
from stagejax.mesh import make_mesh
from stagejax.program import Program, build, step_keys
from stagejax.stage import Stage


def interleaved(
    calls: Mapping[str, Callable[[], Any]], windows: int, each: int = 1, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each call in `windows` windows of `each` calls, which the calls take in turn.

    Every call is made once before, unmeasured; what it returns is waited for. With `time.process_time` as its clock it
    is the time of the processors, of all threads together.

    >>> found = interleaved({"one": lambda: 1, "two": lambda: 2}, windows=3)
    >>> {name: len(seconds) for name, seconds in found.items()}
    {'one': 3, 'two': 3}
    """
    for call in calls.values():
        jax.block_until_ready(call())
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(windows):
        for name, call in calls.items():
            began = clock()
            for _ in range(each):
                made = call()
            jax.block_until_ready(made)
            seconds[name].append((clock() - began) / each)
    return seconds


def temporary_bytes(compiled: Any) -> int:
    """Bytes that a compiled program holds beside its arguments and results, by XLA's plan of its memory: of a training
    step, activations and gradients."""
    found = compiled.memory_analysis()
    return int(found.temp_size_in_bytes) if found is not None else 0


def stage_windows(stages: Mapping[str, Stage], windows: int, each: int) -> dict[str, dict[str, Any]]:
    """How long a step of each stage takes, and what it holds, as an artifact; on this process's own devices.

    The steps are those of training from fresh parameters, on the stage's first batch.

    Returns:
      By name: "seconds" of a step in each window, "params" and "moments" in bytes, "temporary" bytes of the compiled
      step, "flops" of a step as the ledger counts them.

    >>> # rows = run.make("timed", stage_windows, {"float32": stage, "bfloat16": half}, 5, 4).value
    """
    calls, found = {}, {}
    for name, stage in stages.items():
        program, code, calls[name] = _steps(stage)
        found[name] = {
            "params": stored_bytes(program.state.params),
            "moments": stored_bytes(program.state.opt_state),
            "temporary": temporary_bytes(code),
            "flops": program.step_flops(),
        }
    seconds = interleaved(calls, windows, each)
    return {name: own | {"seconds": seconds[name]} for name, own in found.items()}


def _steps(stage: Stage) -> tuple[Program, Any, Callable[[], Any]]:
    """A stage's program, its compiled step, and a call that takes the next step; the state is taken over by each."""
    program = build(stage, make_mesh(None))
    code = compiler(program.traced_step())()
    state, key = program.initial(0), step_keys(stage, 0)
    numbers = jax.tree.map(lambda x, like: jax.device_put(np.asarray(x, like.dtype), like.sharding),
                           program.schedule, program.numbers)  # fmt: skip
    with stage.data.batches(None) as batches:
        batch = next(batches)

    def step() -> Any:
        nonlocal state
        state, metrics = code(state, batch, key, numbers)
        return metrics

    return program, code, step


def matmul_peak(size: int = 1024, repeats: int = 5) -> float:
    """FLOPs a second of the fastest of some products of square float32 matrices: what utilisation is measured against.

    >>> matmul_peak(size=64) > 0
    True
    """
    a = jax.numpy.ones((size, size), "float32")
    times = interleaved({"product": lambda: _product(a)}, repeats)["product"]
    return 2 * size**3 / min(times)


@jax.jit
def _product(a: jax.Array) -> jax.Array:
    return a @ a

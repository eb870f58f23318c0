"""What growing costs: a BERT of 1.1e8 parameters and its AdamW moments, against one copy of as many bytes.

The growth reads the small model's parameters and both moments, and writes the large model's. The copy is one
`jnp.copy` of one array of the bytes that the growth writes; beside it stands one of every leaf of the result, which is
faster where the system hands out large arrays page by page. All in one process, compiled before, in alternating order;
a figure is the median ratio of the times over all rounds, by the wall clock and of all processors together (which other
programs on the machine disturb less). On a CPU the growth is called as a run calls it. On an accelerator it is one
compiled program, as under a `jit` of one's own, in two ways: as it comes, and without XLA's command buffers, which
record kernels to replay them and so may pay only for what runs often (`LAUNCHED`); beside them stands the call, most of
whose time goes into Python. There a third clock, the profiler's, adds up what the device itself is busy; the wall clock
also has what the host needs to hand out one array for each leaf of the result, where the copy needs one. AKI, whose new
units come from the next layer, and twice the layers are timed as well, but nothing is promised of them.

Run      python -m experiments.benchmarks.growth_speed       writes growth_speed-cpu.json (or -gpu) beside this file
Holds if the median ratio of FPI to the copy of one array is at most 2.5 on a CPU, and 1.5 on an accelerator, there in
         the fastest of the ways to call it.
"""

from __future__ import annotations

import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import tyro
from flax import nnx

from stagejax.growth import AKI, FPI, Growth, Operator, grow, grow_moments, stack
from stagejax.growth.operator import describe
from stagejax.host import keep_memory
from stagejax.models import bert
from stagejax.report import environment
from stagejax.state import count

SMALL = bert(vocab=30_522, embed=512, layers=12, heads=8, mlp=2048, length=512, types=2)
LARGE = replace(SMALL, embed=768, heads=12, mlp=3072)
COPIES = ("copy of one array", "copy of every leaf")
LAUNCHED = {"xla_gpu_enable_command_buffer": ""}  # compiler options: every kernel is launched, none recorded
LIMITS = {"cpu": 2.5, "gpu": 1.5, "tpu": 1.5}


@dataclass(frozen=True)
class Config:
    """How long is measured, and where the result goes."""

    rounds: int = 15
    output: Path | None = None  # None: beside this file


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Of one call, until its arrays are there: by the wall clock, and of all processors."""
    began = time.perf_counter(), time.process_time()
    jax.block_until_ready(work())
    return time.perf_counter() - began[0], time.process_time() - began[1]


def busy(work: Callable[[], Any]) -> float:
    """Seconds that an accelerator is busy with one call: the durations of all its kernels and copies, added up."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(work())
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    lines = [line for plane in data.planes if plane.name.startswith("/device:") for line in plane.lines]
    streams = [line for line in lines if line.name.startswith(("Stream", "XLA Ops"))]
    return sum(event.duration_ns for line in streams for event in line.events) / 1e9


def measured(operator: Operator, small: Any, rounds: int) -> dict[str, Any]:
    """The times of an operator's growth and of the copies."""
    growth, tx = Growth(operator, small, LARGE), optax.adamw(1e-4)
    params = {where: jnp.ones(shape) for where, (_, shape) in describe(small).items()}
    params = nnx.to_pure_dict(nnx.from_flat_state([(tuple(where.split("/")), x) for where, x in params.items()]))
    state = tx.init(params)

    def both(params: Any, state: Any) -> Any:
        return grow(growth, params), grow_moments(growth, tx, state, "dual")

    calls: dict[str, Any] = {"growth": both}
    if jax.default_backend() != "cpu":
        launched = jax.jit(both, compiler_options=LAUNCHED if jax.default_backend() == "gpu" else None)
        calls = {"growth": jax.jit(both), "growth, launched": launched, "growth, as called": both}
    leaves = jax.tree.leaves(both(params, state))
    numbers = count(leaves)
    array = jnp.ones(numbers)
    works = {
        **{name: functools.partial(call, params, state) for name, call in calls.items()},
        "copy of one array": lambda: jnp.copy(array),
        "copy of every leaf": lambda: [jnp.copy(leaf) for leaf in leaves],
    }
    for work in works.values():
        jax.block_until_ready(work())
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for each in range(rounds):
        for name in list(works)[:: 1 if each % 2 else -1]:
            times[name].append(seconds(works[name]))
    page: dict[str, Any] = {"operator": str(operator), "bytes": 4 * numbers}
    for i, clock in enumerate(("wall", "processors")):
        each_time = {name: [found[i] for found in rows] for name, rows in times.items()}
        ratios = {
            way: {copy: sorted(a / b for a, b in zip(each_time[way], each_time[copy], strict=True)) for copy in COPIES}
            for way in calls
        }
        page[clock] = {
            "seconds": {name: statistics.median(found) for name, found in each_time.items()},
            "ratio": {way: {copy: statistics.median(r) for copy, r in found.items()} for way, found in ratios.items()},
            "ratios": ratios,
        }
    if jax.default_backend() != "cpu":
        found = {name: statistics.median(busy(work) for _ in range(5)) for name, work in works.items()}
        ratio = {way: {copy: found[way] / found[copy] for copy in COPIES} for way in calls}
        page["device"] = {"seconds": found, "ratio": ratio}
    return page


def main(config: Config) -> None:
    """Measure, judge, store."""
    keep_memory()
    backend = jax.default_backend()
    shallow = replace(SMALL, layers=6)
    found = [measured(*pair, config.rounds) for pair in ((FPI(), SMALL), (AKI(depth=stack), shallow))]
    limit = LIMITS[backend]
    reached = min(ratio["copy of one array"] for ratio in found[0]["wall"]["ratio"].values())
    page = {
        "config": {"rounds": config.rounds},
        "parameters": sum(int(jnp.prod(jnp.asarray(shape))) for _, shape in describe(LARGE).values()),
        "limit": limit,
        "holds": reached <= limit,
        "measured": found,
        "environment": environment(),
    }
    output = config.output or Path(__file__).parent / f"growth_speed-{backend}.json"
    output.write_text(json.dumps(page, indent=1) + "\n", encoding="utf-8")
    for row in found:
        for clock in [name for name in ("wall", "processors", "device") if name in row]:
            for way, ratios in row[clock]["ratio"].items():
                shown = ", ".join(f"{ratio:.2f} of the {copy}" for copy, ratio in ratios.items())
                print(f"{row['operator']:6} {way}: {1e3 * row[clock]['seconds'][way]:.2f} ms by {clock}, {shown}")
    print(f"at most {limit}: {'holds' if page['holds'] else 'does not hold'}; {output}")


if __name__ == "__main__":
    main(tyro.cli(Config))

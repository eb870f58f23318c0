"""What the framework costs: a stage's step against a hand-written JAX loop of the same model, in one process.

Both loops read the same batches through the same pipeline, use the same optax chain and fetch the loss of every step.
The hand-written one has no names, hand-overs, records or hooks. A pair is one block of steps of each, in alternating
order; the figure is the median ratio of their times over all pairs.

Run      python -m experiments.benchmarks.overhead            writes overhead.json beside this file
Holds if the median ratio is at most 1.02 at (4 layers, 64 wide) and 1.01 at (6, 256).
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import tyro
from flax import nnx

from stagejax import Stage
from stagejax.data import BPE, CausalText, Stdlib
from stagejax.host import keep_memory
from stagejax.loop import Record, train
from stagejax.mesh import make_mesh
from stagejax.models import Transformer
from stagejax.optimizer import adamw
from stagejax.program import build, step_keys
from stagejax.report import environment

RESULTS = Path(__file__).parent / "overhead.json"


@dataclass(frozen=True)
class Case:
    """One size of model, and how long it is timed."""

    layers: int
    embed: int
    batch: int
    length: int
    steps: int  # of a block
    pairs: int
    limit: float  # of the median ratio


CASES = (Case(4, 64, 16, 64, steps=60, pairs=15, limit=1.02), Case(6, 256, 16, 128, steps=8, pairs=9, limit=1.01))


def loss_of(model: Any, batch: Any, key: Any) -> tuple[jax.Array, dict[str, Any]]:
    """Mean cross entropy, the same in both loops."""
    logits = model(batch["tokens"])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
    loss = (losses * batch["weights"]).sum() / batch["weights"].sum()
    return loss, {"loss": loss}


def framework(program: Any, state: Any) -> tuple[float, Any]:
    """Seconds that `loop.train` needs for a block, from the end of its first step."""
    times: list[float] = []
    state, _ = train(
        program, state, Record(), step_keys(program.stage, 0),
        save=lambda *_: None, stop=threading.Event(), observe=lambda k, values: times.append(time.perf_counter()),
    )  # fmt: skip
    return times[-1] - times[0], state


def by_hand(config: Transformer, tx: optax.GradientTransformation, data: Any, steps: int) -> Any:
    """The same training as a researcher would write it down."""
    model = config.build(nnx.Rngs(0))
    graphdef, params = nnx.split(model, nnx.Param)
    state = (nnx.to_pure_dict(params), tx.init(nnx.to_pure_dict(params)))

    def step(state: Any, batch: Any) -> Any:
        params, moments = state

        def loss(params: Any) -> jax.Array:
            return loss_of(nnx.merge(graphdef, params), batch, None)[0]

        value, grads = jax.value_and_grad(loss)(params)
        updates, moments = tx.update(grads, moments, params)
        return (optax.apply_updates(params, updates), moments), {"loss": value, "grad_norm": optax.tree.norm(grads)}

    compiled = jax.jit(step, donate_argnums=0)

    def block(state: Any) -> tuple[float, Any]:
        times: list[float] = []
        waiting: deque[Any] = deque()
        with data.batches() as batches:
            for _ in range(steps):
                state, metrics = compiled(state, next(batches))
                waiting.append(metrics)
                if len(waiting) > 2:
                    jax.device_get(waiting.popleft())
                    times.append(time.perf_counter())
            while waiting:
                jax.device_get(waiting.popleft())
                times.append(time.perf_counter())
        return times[-1] - times[0], state

    return block, state


def measure(case: Case) -> dict[str, Any]:
    """The ratio of each pair, and their median."""
    config = Transformer(vocab=512, layers=case.layers, embed=case.embed, mlp=4 * case.embed, length=case.length)
    data = CausalText(source=Stdlib(), tokenizer=BPE(512), batch=case.batch, length=case.length)
    optimizer = adamw(peak=1e-3, warmup=0.1)
    stage = Stage("overhead", config, loss_of, optimizer, data, case.steps)
    program = build(stage, make_mesh("data=1"))
    state = program.initial(0)
    block, other = by_hand(config, optimizer(case.steps, program.parts.axes), data, case.steps)
    framework(program, program.initial(0)), block(jax.tree.map(jnp.copy, other))  # compile both
    pairs = []
    for pair in range(case.pairs):
        if pair % 2:
            hand, other = block(other)
            ours, state = framework(program, state)
        else:
            ours, state = framework(program, state)
            hand, other = block(other)
        pairs.append((ours, hand))
        print(f"({case.layers}, {case.embed}) pair {pair + 1}: {ours / hand:.4f}", flush=True)
    ratios = [ours / hand for ours, hand in pairs]
    return {
        "layers": case.layers,
        "embed": case.embed,
        "steps": case.steps,
        "ratios": ratios,
        "median_ratio": statistics.median(ratios),
        "limit": case.limit,
        "seconds_per_step": statistics.median(ours for ours, _ in pairs) / (case.steps - 1),
        "seconds_per_step_by_hand": statistics.median(hand for _, hand in pairs) / (case.steps - 1),
    }


@dataclass(frozen=True)
class Options:
    """Where the result goes; None prints it only."""

    out: Path | None = RESULTS


def main(options: Options) -> None:
    """Measure all cases."""
    keep_memory()
    result = {"experiment": "overhead", "environment": environment(), "cases": [measure(case) for case in CASES]}
    print(json.dumps(result["cases"], indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options))

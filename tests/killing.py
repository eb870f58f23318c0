"""Run a small pipeline in child processes and kill them: `python killing.py FOLDER`. See test_kill.py.

The children are forked, so that what every process imports is imported once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import jax
import spine
from orbax.checkpoint import v1  # noqa: F401  before the fork
from toy import Numbers

from stagejax.handover import Handover
from stagejax.interrupt import Interrupted
from stagejax.stage import Evaluation

KILLS, STOPPED = 6, 143


class Slowly(Numbers):
    """Batches that take a moment, so that a kill may fall anywhere."""

    def batch(self, step: int) -> Any:
        time.sleep(0.004)
        return super().batch(step)


def double(result: Any) -> list[float]:
    return [2 * value for value in result.history.train["loss"]]


def pipeline(run: Any) -> Any:
    held_out = Evaluation(Slowly(seed=9), 4, every=5)
    one = run.train(spine.stage("one", data=Slowly(), steps=24, save_every=3, evaluate=held_out))
    carry = Handover(moments="carry", data="carry", ema="carry")
    two = run.train(
        spine.stage("two", data=Slowly(), steps=16, save_every=2, evaluate=held_out, ema=0.9, handover=carry), one
    )
    run.make("made", double, two)
    return one, two


def child(workdir: Path) -> int:
    """The exit code of one run; the outcome lies beside the workdir."""
    try:
        outcome = spine.outcome(workdir, spine.go(workdir, pipeline))
    except Interrupted:
        return STOPPED
    trees = [{path: [str(leaf.dtype), leaf.tobytes().hex()] for path, leaf in one[-1].items()} for one in outcome]
    page = [[str(part) for part in one[:-1]] + [tree] for one, tree in zip(outcome, trees, strict=True)]
    workdir.with_suffix(".json").write_text(json.dumps(page))
    return 0


def start(workdir: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        sys.stdout = (workdir.parent / "log.txt").open("a")
        code = child(workdir)
    finally:
        sys.stdout.flush()
        os._exit(code)


def finish(pid: int) -> int:
    """The exit code; of a process that a signal ended, minus its number."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(folder: Path) -> None:
    jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    assert finish(start(folder / "whole")) == 0
    began = time.monotonic()
    assert finish(start(folder / "again")) == 0
    duration = time.monotonic() - began
    chance = random.Random(0)
    codes: list[int] = []
    kills = 0
    while kills < KILLS:  # each child starts anew or goes on; one that got to the end makes way for a new run
        workdir = folder / f"cut{codes.count(0)}"
        pid = start(workdir)
        time.sleep(chance.uniform(0.2, 0.9) * duration)
        number = chance.choice([signal.SIGKILL, signal.SIGTERM])
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            codes.append(os.waitstatus_to_exitcode(status))
            assert codes[-1] == 0
            continue
        os.kill(pid, number)
        kills += 1
        codes.append(finish(pid))
        # A run that is told to stop when all is done ends well; before it listens, SIGTERM ends it at once.
        assert codes[-1] in ([-signal.SIGKILL] if number == signal.SIGKILL else [STOPPED, -signal.SIGTERM, 0]), codes
    last = folder / f"cut{codes.count(0)}"
    assert finish(start(last)) == 0
    print(
        json.dumps(
            {"codes": codes, "duration": duration, "runs": ["again", *(f"cut{i}" for i in range(codes.count(0) + 1))]}
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

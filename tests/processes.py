"""One of several processes that train together: `python processes.py FOLDER HOW`. See test_processes.py.

HOW is `whole`, `stop` (process 1 alone is told to stop at its fifteenth batch), or `diverge`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from stagejax.mesh import start_processes

start_processes()

import jax  # noqa: E402
import spine  # noqa: E402
from toy import Numbers  # noqa: E402

from stagejax import loop  # noqa: E402
from stagejax.handover import Handover  # noqa: E402
from stagejax.interrupt import Interrupted  # noqa: E402
from stagejax.stage import Evaluation  # noqa: E402


def length(result: Any) -> dict[str, int]:
    return {"steps": len(result.history.train_steps)}


def pipeline(run: Any, nan_at: int | None = None) -> Any:
    held_out = Evaluation(Numbers(seed=9), 2, every=7)
    data = Numbers(nan_at=nan_at)
    one = run.train(spine.stage("one", data=data, steps=25, save_every=4, evaluate=held_out, ema=0.9))
    two = run.train(spine.stage("two", steps=5, handover=Handover(moments="carry", data="carry")), one)
    time.sleep(jax.process_index())  # what process 0 makes meanwhile, process 1 finds written when it looks
    return one, two, run.make("made", length, two)


def main(folder: Path, how: str) -> int:
    inner, calls = loop.place, []

    def place(batch: Any, program: Any) -> Any:
        calls.append(0)
        if how == "stop" and len(calls) == 15 and jax.process_index() == jax.process_count() - 1:
            RUN[0].stop.set()
        return inner(batch, program)

    def body(run: Any) -> Any:
        RUN.append(run)
        return pipeline(run, 12 if how == "diverge" else None)

    try:
        loop.place = place
        one, two, made = spine.go(folder / "run", body, mesh="data=2,fsdp=2")
    except (Interrupted, loop.Diverged) as error:
        print(error)
        return 3
    finally:
        loop.place = inner
    if jax.process_index() == 0:
        page = {
            "losses": one.history.train["loss"] + two.history.train["loss"],
            "evals": [row["loss"] for row in one.history.evals],
            "digests": [one.digest, two.digest],
            "position": two.position,
            "made": made.value,
            "rows": two.handover,
        }
        (folder / "page.json").write_text(json.dumps(page))
    return 0


RUN: list[Any] = []

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))

"""The kill test on the main job: twenty kills at random moments, each run ends with the same bits as one let alone."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

KILLS = 20
STOPPED = {-signal.SIGKILL, -signal.SIGTERM, 143}


def command(workdir: Path) -> list[str]:
    run = ["run", "bert2bert", "--preset", "smoke", "--mesh", "data=1", "--workdir", str(workdir)]
    return [sys.executable, "-m", "stagejax.cli", *run]


def timeless(page: Any) -> Any:
    """A report without clock times, dates and the environment."""
    if isinstance(page, dict):
        drop = ("seconds", "environment", "date")
        return {key: timeless(value) for key, value in page.items() if key not in drop}
    if isinstance(page, list):
        return [timeless(value) for value in page]
    return page


def outcome(workdir: Path) -> dict[str, Any]:
    """All that must repeat: the report, and every stage's metrics and results."""
    found: dict[str, Any] = {"report": timeless(json.loads((workdir / "report.json").read_text()))}
    for page in sorted((workdir / "store").rglob("*")):
        if page.name == "metrics.jsonl":
            found[str(page.relative_to(workdir))] = page.read_text()
        elif page.name == "result.json":
            found[str(page.relative_to(workdir))] = timeless(json.loads(page.read_text()))
    found["report"].pop("tables", None)  # of costs, with seconds
    return found


@pytest.mark.slow
def test_twenty_kills_change_no_bit(tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    began = time.monotonic()
    subprocess.run(command(tmp_path / "again"), check=True, capture_output=True)  # with compiled programs on disk
    began, length = time.monotonic(), time.monotonic() - began
    wanted = outcome(tmp_path / "whole")
    assert outcome(tmp_path / "again") == wanted
    draw, kills, runs, codes = random.Random(0), 0, 0, []
    while kills < KILLS:
        runs += 1
        workdir = tmp_path / f"run{runs}"
        while True:
            process = subprocess.Popen(command(workdir), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                _, errors = process.communicate(timeout=draw.uniform(1.0, length / 2) if kills < KILLS else None)
            except subprocess.TimeoutExpired:
                process.send_signal(draw.choice((signal.SIGKILL, signal.SIGTERM)))
                _, errors = process.communicate()
                kills += process.returncode != 0  # it may just have finished
                codes.append(process.returncode)
                assert process.returncode in STOPPED | {0}, errors.decode()
            if process.returncode == 0:
                break
            assert process.returncode in STOPPED, errors.decode()
        assert outcome(workdir) == wanted, f"run {runs} after {kills} kills"
    print(f"{kills} kills with exit codes {codes}, {runs} runs, {time.monotonic() - began:.0f} s")

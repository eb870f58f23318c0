"""Two processes with two devices each train as one process with four does, and stop, resume and fail together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest


def launch(folder: Path, how: str, count: int) -> tuple[list[int], str]:
    """Exit codes of the processes, and all that they said."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        **os.environ,
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("--xla_force_host_platform_device_count=8", ""),
        "JAX_NUM_CPU_DEVICES": str(4 // count),
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / f"cache{count}"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    if count > 1:
        shared |= {"STAGEJAX_COORDINATOR": f"127.0.0.1:{port}", "STAGEJAX_PROCESSES": str(count)}
    command = [sys.executable, str(Path(__file__).parent / "processes.py"), str(folder), how]
    running = [
        subprocess.Popen(
            command,
            env={**shared, "STAGEJAX_PROCESS": str(i)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(count)
    ]
    said = [process.communicate(timeout=240)[0] for process in running]
    return [process.returncode for process in running], "\n".join(said)


def page(folder: Path) -> Any:
    return json.loads((folder / "page.json").read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same in this process, on four of its devices."""
    folder = tmp_path_factory.mktemp("processes")
    assert processes.main(folder, "whole") == 0
    return page(folder)


def test_two_processes_stop_together_and_end_where_one_ends(alone, tmp_path):
    codes, said = launch(tmp_path / "two", "stop", 2)
    assert codes == [3, 3], said
    assert (
        said.count("stopped at step 20 of 25; its state is saved") == 2
    )  # asked at step 10 and 20: the next shared moment
    codes, said = launch(tmp_path / "two", "whole", 2)
    assert codes == [0, 0], said
    found = page(tmp_path / "two")
    np.testing.assert_allclose(found["losses"], alone["losses"], rtol=1e-5)
    np.testing.assert_allclose(found["evals"], alone["evals"], rtol=1e-5)
    for name in ("position", "made", "rows"):
        assert found[name] == alone[name]


@pytest.mark.slow
def test_two_processes_diverge_together(tmp_path):
    codes, said = launch(tmp_path / "two", "diverge", 2)
    assert codes == [3, 3], said
    assert said.count("loss is nan at step 13 of 25") == 2

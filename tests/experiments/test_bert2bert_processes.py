"""Two processes train the main job at smoke size to the losses that one reaches."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def run(workdir: Path, processes: int) -> dict[str, list[float]]:
    """The final loss of every arm."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        **os.environ,
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("--xla_force_host_platform_device_count=8", ""),
        "JAX_NUM_CPU_DEVICES": str(2 // processes),
    }
    if processes > 1:
        shared |= {"STAGEJAX_COORDINATOR": f"127.0.0.1:{port}", "STAGEJAX_PROCESSES": str(processes)}
    command = ["run", "bert2bert", "--preset", "smoke", "--mesh", "data=2", "--workdir", str(workdir)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "stagejax.cli", *command],
            env={**shared, "STAGEJAX_PROCESS": str(i)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(processes)
    ]
    errors = [process.communicate(timeout=900)[1] for process in started]
    assert [process.returncode for process in started] == [0] * processes, "\n".join(errors)[-3000:]
    return {arm["name"]: arm["final"] for arm in json.loads((workdir / "report.json").read_text())["arms"]}


@pytest.mark.slow
def test_two_processes_reach_the_same_losses(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one", 1), run(tmp_path / "two", 2)
    assert list(one) == list(two)
    np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=2e-3)

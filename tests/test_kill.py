"""The kill test in small: processes killed at random moments end with the same bits as one that was let alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ONE_DEVICE = os.environ["XLA_FLAGS"].replace("--xla_force_host_platform_device_count=8", "")
FLAGS = {"XLA_FLAGS": ONE_DEVICE, "PYTHONWARNINGS": "ignore"}


def test_killed_at_random_moments_a_run_ends_with_the_same_bits(tmp_path):
    script = Path(__file__).parent / "killing.py"
    environment = {**os.environ, **FLAGS}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    wanted = json.loads((tmp_path / "whole.json").read_text())
    for name in report["runs"]:
        assert json.loads((tmp_path / f"{name}.json").read_text()) == wanted, name
    assert sum(code != 0 for code in report["codes"]) >= 4, report

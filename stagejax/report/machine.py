"""Where and with what a report was made: versions, devices, and the commit of the code."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax


def environment() -> dict[str, Any]:
    """Versions, devices, and the commit of the code, with `dirty` where Python files differ from it.

    Outside a checkout `commit` is None and `stagejax` tells the version.
    """
    device = jax.devices()[0]
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "stagejax": _version("stagejax"),
        **_commit(),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu() -> str | None:
    """The kind of CPU, such as "AMD EPYC, family 26": a program compiled for another one rounds otherwise."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or None
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    known = [fields.get("model name"), *(f"{n} {fields[n]}" for n in ("cpu family", "model") if n in fields)]
    return ", ".join(word for word in known if word) or platform.processor() or None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, Any]:
    """The commit of the checkout that this file is part of; a copy inside somebody else's repository is none."""
    here = Path(__file__).resolve()

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(here.parent), *words], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", here.name) is None:
        return {"commit": None, "dirty": None}
    changed = git("status", "--porcelain", "--", ":/*.py", ":/pyproject.toml")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}

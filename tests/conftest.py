"""Shared test set-up: eight virtual CPU devices, and run-time checks of every annotated shape in stagejax."""

import os
from collections.abc import Iterator
from pathlib import Path

# Most of the time goes into compiling tiny programs, so XLA compiles them without optimization.
FLAGS = " --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + FLAGS
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("stagejax", "beartype.beartype")


@pytest.fixture(autouse=True, scope="module")
def room_for_programs() -> Iterator[None]:
    """Compiled programs take memory maps, of which Linux allows a process 65,530: forget them long before that."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()

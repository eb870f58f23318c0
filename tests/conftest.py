"""Shared test set-up: eight virtual CPU devices, and run-time checks of every annotated shape in stagejax."""

import ctypes
import functools
import gc
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

# Most of the time goes into compiling tiny programs, so XLA compiles them without optimization, in one piece, and with
# the quicker of its code generators for CPUs where it has two (see `host.compile_quickly`).
FLAGS = ["force_host_platform_device_count=8", "backend_optimization_level=0", "cpu_parallel_codegen_split_count=1"]
FLAGS += ["cpu_use_fusion_emitters=false"] if version("jaxlib") < "0.11" else []
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *(f"--xla_{flag}" for flag in FLAGS)])
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import pytest  # noqa: E402
from jax._src.interpreters import mlir  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("stagejax", "shape_checks.checked")

# Tracing makes many small objects that live on, and each full collection walks all of them: a tenth of the CPU
# time of the two test files in which it was measured.
gc.set_threshold(20_000, 10, 10)


# JAX makes an MLIR context for each program that it lowers, two milliseconds, and tests lower many tiny programs: one
# context for all programs of a test module saves a fifth of the CPU time of six test files in which it was measured.
mlir.make_ir_context = functools.cache(mlir.make_ir_context)
jax.config.update("jax_traceback_in_locations_limit", 0)  # and no program need know the lines that it comes from


def pytest_collection_finish() -> None:
    """What is imported stays: no collection need look at it."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples of models compile one each, a tenth of the time of all default tests: they are long tests."""
    models = Path(__file__).parents[1] / "stagejax" / "models"
    for item in items:
        if models in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="module")
def room_for_programs() -> Iterator[None]:
    """Compiled programs stay in memory: forget them before a process holds 3 GiB, and long before Linux's 65,530 maps.

    Memory that is free again is given back to the system, which glibc does not do by itself.
    """
    yield
    mlir.make_ir_context.cache_clear()
    process = Path("/proc/self")
    if not process.exists():
        return
    pages = int((process / "statm").read_text().split()[1])
    if pages * os.sysconf("SC_PAGE_SIZE") > 3 * 2**30 or (process / "maps").read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
        gc.collect()
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)

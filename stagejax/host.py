"""What the host process should do before it trains: settings of the machine, not of the training."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from importlib import metadata
from pathlib import Path

#: glibc's names for the size from which memory comes straight from the system, and from which it goes back.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1

#: XLA's option for the newer of its two code generators for CPUs.
EMITTERS = "xla_cpu_use_fusion_emitters"


def keep_memory() -> None:
    """Let the allocator keep freed memory for the next step, on Linux with glibc; elsewhere nothing happens.

    Otherwise every step on a CPU gets its temporaries from the system anew, page by page: a step of a Transformer of 4
    layers and width 64 takes 1.5 to 1.7 times as long. Off with `STAGEJAX_KEEP_MEMORY=0`.
    """
    if sys.platform == "linux" and os.environ.get("STAGEJAX_KEEP_MEMORY", "1") != "0":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def compile_quickly() -> None:
    """Let XLA compile for a CPU with the older of its two code generators, as long as it has both (before JAX 0.11).

    Steps run as fast. Compiling them takes 0.6 of the time for a scanned Transformer of 4 layers and width 96, 0.6 to
    0.8 for the unrolled ViTs of `model_assembling`, but twice the time for the unrolled dual encoders of `grow_clip`:
    there, set `STAGEJAX_QUICK_COMPILE=0`. Steps that draw random numbers at several places keep the newer one, see
    `compiling`. To be called before JAX is used; a user's own `XLA_FLAGS` go before it.
    """
    flag, flags = f"--{EMITTERS}", os.environ.get("XLA_FLAGS", "")
    version = tuple(int(part) for part in metadata.version("jaxlib").split(".")[:2])
    if version < (0, 11) and flag not in flags and os.environ.get("STAGEJAX_QUICK_COMPILE", "1") != "0":
        os.environ["XLA_FLAGS"] = f"{flags} {flag}=false".strip()
        os.environ["STAGEJAX_QUICK_COMPILE"] = "1"


def use_compilation_cache() -> None:
    """Keep compiled programs on disk, so that a second start of the same run compiles nothing.

    Off with `STAGEJAX_CACHE=`; elsewhere than the user's cache folder with `STAGEJAX_CACHE=DIR`.
    """
    import jax

    folder = os.environ.get("STAGEJAX_CACHE", str(Path.home() / ".cache" / "stagejax" / "xla"))
    if folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)

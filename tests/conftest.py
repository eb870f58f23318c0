"""Shared test set-up: eight virtual CPU devices, and run-time checks of every annotated shape in stagejax."""

import os

# Most of the time goes into compiling tiny programs, so XLA compiles them without optimization.
FLAGS = " --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + FLAGS
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("stagejax", "beartype.beartype")

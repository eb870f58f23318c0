"""Growth from folder to folder: a checkpoint larger than memory is read, grown and written a layer of a parameter at a
time, and the function of both is measured a layer at a time."""

from __future__ import annotations

import ctypes
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stagejax.growth import Growth, Operator, receipt_of
from stagejax.growth.apply import initial
from stagejax.growth.operator import by_path
from stagejax.growth.record import record
from stagejax.growth.rows import grow_row
from stagejax.interop.checkpoint import Checkpoint, open_checkpoint, write
from stagejax.interop.layerwise import Probe, outputs, takes

#: So many bytes of fresh parameters may be kept.
SMALL = 2**26
#: (done, all) numbers of the grown model's parameters.
Progress = Callable[[int, int], None]


def grow_checkpoint(
    source: Checkpoint,
    to: Any,
    operator: Operator,
    folder: Path | str,
    *,
    seed: int = 0,
    probe: Probe | None = None,
    file_bytes: int = 5 * 10**9,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Grow a checkpoint into a new folder in the same layout and dtype, and return its receipt (also receipt.json).

    Beside it maps.npz holds every map with its weights (see `growth.record`), from which the way back follows.

    At any time memory holds little more than the largest parameter without layers, or one layer of one with: twice that
    of the grown model and once that of the source. (Operators that draw fresh parameters draw a whole one at a time.)

    Args:
      source: what to grow.
      to: configuration of the grown model.
      operator: how.
      folder: made new.
      seed: of freshly drawn parameters.
      probe: inputs on which both models are compared, as `probe_of` makes them; None: they are not.
      file_bytes: the most that one file holds.
      progress: called now and then.

    Raises:
      GrowthError: the operator cannot grow this pair of models.
      InteropError: the layout cannot express the grown model.
      FileExistsError: the folder exists and is not empty.
    """
    began = time.monotonic()
    growth = Growth(operator, source.config, to)
    receipt = receipt_of(growth).to_json()
    receipt |= {"moments": "none: checkpoints in this layout have no optimizer state", "symmetry": None}
    total, done = receipt["parameters_after"], 0

    # A small model is drawn once; of a large one the leaf that is asked for, kept while its tensors are written.
    kept: dict[str, jax.Array] = {}
    together = {where: name.leaves for name in source.architecture.names(growth.config) for where in name.leaves}

    def fresh(where: str) -> jax.Array:
        if where not in kept and 4 * total <= SMALL:
            kept.update(by_path(jax.jit(lambda key: initial(growth, key))(jax.random.key(seed))))
        elif where not in kept:
            for other in set(kept) - set(together[where]):
                del kept[other]
            kept[where] = jax.jit(lambda key: by_path(initial(growth, key))[where])(jax.random.key(seed))
        return kept[where]

    def row_of(where: str, layer: int | None) -> np.ndarray:
        nonlocal done
        row = np.asarray(grow_row(growth, where, layer, source.read, fresh))
        done += row.size
        if progress is not None:
            progress(done, total)
        return row

    write(
        folder,
        growth.config,
        row_of,
        source.architecture,
        like=source.raw,
        dtype=source.dtype,
        file_bytes=file_bytes,
        companions=source.folder,
    )
    receipt |= {"from": str(source.folder), "architecture": source.architecture.name, "dtype": source.dtype.name}
    receipt |= {"dropped": list(source.dropped), "seed": seed}
    receipt["seconds"] = time.monotonic() - began
    if probe is not None:
        receipt |= compare(source, open_checkpoint(folder), probe)
    receipt["peak_memory_bytes"] = peak_memory()
    np.savez(Path(folder) / "maps.npz", **record(growth))
    (Path(folder) / "receipt.json").write_text(json.dumps(receipt, indent=1) + "\n")
    return receipt


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes (macOS counts bytes, other systems KiB).

    Linux hands `ru_maxrss` on from the process that started this one; its own count is in /proc.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def compare(before: Checkpoint, after: Checkpoint, probe: Probe) -> dict[str, Any]:
    """The measured part of a receipt: what both models compute for the probe, from the files as they are on disk."""
    if not takes(after.config, probe):
        return {"probe": "none, as the grown model takes other inputs", "loss_before": None, "loss_after": None}
    old, new = (np.asarray(outputs(checkpoint, probe), np.float32) for checkpoint in (before, after))
    found: dict[str, Any] = {"probe": probe.what}
    if old.shape == new.shape:
        change = float(np.abs(new - old).max())
        found |= {"logit_change": change, "logit_change_relative": change / float(np.abs(old).max())}
    return found | {"loss_before": probe.loss(old), "loss_after": probe.loss(new)}


def return_memory_at_once() -> None:
    """Let this process give arrays of a MiB and more back to the system when they are freed, where libc is glibc.

    Left alone, it raises that limit to the largest array it has seen and keeps all smaller ones in its pools, which
    more than doubles the memory of a long growth.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-3, 2**20)  # M_MMAP_THRESHOLD

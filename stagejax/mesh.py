"""The mesh of a run from one line of text, and the start of several processes."""

from __future__ import annotations

import math
import os

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding

from stagejax.axes import DEFAULT_RULES, Rules

#: Mesh axes over which a batch is split.
BATCH_AXES = ("data", "fsdp")
#: Mesh axes that layers and steps split by themselves: tokens of a sample, clients of a federation.
OWN_AXES = ("sequence", "client")


def parse_mesh(text: str) -> dict[str, int]:
    """Axis sizes from text such as `data=16,fsdp=16`.

    Raises:
      ValueError: an entry is not `name=positive integer`, or a name is repeated.

    >>> parse_mesh("data=16,fsdp=16")
    {'data': 16, 'fsdp': 16}
    """
    sizes: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, size = entry.partition("=")
        if not equals or not name or not size.isdigit() or int(size) < 1 or name in sizes:
            raise ValueError(f"mesh {text!r}: {entry!r} should be name=size with each name once, as in data=16,fsdp=16")
        sizes[name] = int(size)
    if not sizes:
        raise ValueError("an empty mesh: write it as in data=16,fsdp=16")
    return sizes


def make_mesh(text: str | None = None) -> Mesh:
    """A mesh over this machine's devices; without text, all of them along `data`.

    Raises:
      ValueError: the mesh is larger than the number of devices.
    """
    sizes = {"data": jax.device_count()} if text is None else parse_mesh(text)
    wanted, have = math.prod(sizes.values()), jax.device_count()
    if wanted > have:
        raise ValueError(
            f"mesh {','.join(f'{k}={v}' for k, v in sizes.items())} needs {wanted} devices, and this run has {have} "
            f"({jax.devices()[0].platform}). Give a smaller --mesh, or plan it instead: stagejax plan NAME --mesh ..."
        )
    if jax.process_count() > 1 and wanted != have:
        raise ValueError(f"with several processes the mesh covers all {have} devices, but it has {wanted}")
    devices = np.asarray(jax.devices()[:wanted]).reshape(tuple(sizes.values()))
    return Mesh(devices, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def abstract_mesh(text: str) -> AbstractMesh:
    """A mesh of devices that this machine need not have, for plan mode."""
    sizes = parse_mesh(text)
    return AbstractMesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def check_axes(mesh: Mesh | AbstractMesh, rules: Rules | None = None) -> None:
    """Whether anything can lie along each axis of a mesh; along one that nothing knows, all would be done twice.

    Raises:
      ValueError: an axis that is neither in the rules nor one that layers and steps split by themselves.

    >>> check_axes(abstract_mesh("data=4,tensor=2"))
    """
    named = [where for where in {**DEFAULT_RULES, **(rules or {})}.values() if where is not None]
    known = {axis for where in named for axis in ((where,) if isinstance(where, str) else where)} | set(OWN_AXES)
    for axis in mesh.shape:
        if axis not in known:
            raise ValueError(f"mesh axis {axis!r}: nothing is split over it. Known: {', '.join(sorted(known))}")


def batch_ways(mesh: Mesh | AbstractMesh) -> int:
    """Into how many parts the mesh splits a batch."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES if axis in mesh.shape)


def batch_sharding(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """Batches are split along their first dimension over the `data` and `fsdp` axes."""
    return NamedSharding(mesh, jax.P(tuple(axis for axis in BATCH_AXES if axis in mesh.shape) or None))


def replicated(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, jax.P())


def start_processes() -> None:
    """Join the other processes of this run, when there are any.

    On Cloud TPU pods, Slurm and Open MPI, `STAGEJAX_DISTRIBUTED=auto` lets JAX find its peers. Anywhere else set
    `STAGEJAX_COORDINATOR=host:port`, `STAGEJAX_PROCESSES=n` and `STAGEJAX_PROCESS=i` for each process.
    Call it before anything touches a device.
    """
    coordinator = os.environ.get("STAGEJAX_COORDINATOR")
    if coordinator:
        missing = [name for name in ("STAGEJAX_PROCESSES", "STAGEJAX_PROCESS") if name not in os.environ]
        if missing:
            raise ValueError(f"STAGEJAX_COORDINATOR is set, but not {' and '.join(missing)}")
        jax.distributed.initialize(
            coordinator, int(os.environ["STAGEJAX_PROCESSES"]), int(os.environ["STAGEJAX_PROCESS"])
        )
    elif os.environ.get("STAGEJAX_DISTRIBUTED") == "auto":
        jax.distributed.initialize()


def all_here(point: str) -> None:
    """Wait until every process of this run is at this point."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(point)


def first_says(said: bool) -> bool:
    """What process 0 says, in every process of this run."""
    if jax.process_count() == 1:
        return said
    from jax.experimental import multihost_utils

    return bool(multihost_utils.broadcast_one_to_all(np.asarray(said)))

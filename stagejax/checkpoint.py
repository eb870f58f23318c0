"""The one adapter to orbax: a tree of arrays and a JSON page, saved together or not at all, read back strictly."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.axes import path_name
from stagejax.checksum import checksum
from stagejax.declare import Json

Tree = Any


class CheckpointError(RuntimeError):
    """A checkpoint that could not be written, or that is not what was asked for."""


def save(path: Path, state: Tree, page: Json) -> Callable[[], None]:
    """Begin to save `state` and `page` at `path`; the returned function waits until they are on disk.

    The arrays are copied before this returns, so the caller may donate them at once. The folder `path` appears only
    when all of it is written.

    Raises (here or from the returned function):
      CheckpointError: the disk is full or read-only; what was saved before is intact.
    """
    from orbax.checkpoint import v1 as ocp

    copies = _copy(_nested(state))
    about = {"page": json.dumps(page), "checksums": json.dumps(_checksums(copies))}
    try:
        pending = ocp.save_checkpointables_async(
            path.absolute(), {"state": copies}, overwrite=path.exists(), custom_metadata=about | {"crc": _crc(about)}
        )
    except Exception as error:
        raise _not_saved(path, error) from error

    def wait() -> None:
        try:
            pending.result()
        except Exception as error:
            raise _not_saved(path, error) from error

    return wait


def load(path: Path, like: Tree) -> tuple[Tree, Json]:
    """The state and page saved at `path`; `like` gives structure, shapes, dtypes and shardings, and all must agree.

    Raises:
      CheckpointError: nothing is there, it is damaged, or its leaves are not those of `like`; the error lists them.
    """
    from orbax.checkpoint import v1 as ocp

    wanted = _nested(jax.tree.map(_plain, like))
    page, noted = _check(path, wanted)
    with _quiet():
        try:
            found = ocp.load_checkpointables(path.absolute(), {"state": wanted})
        except Exception as error:
            raise _damaged(path, error) from error
    for where, sum_ in _checksums(found["state"]).items() if noted else ():
        if sum_ != noted[where]:
            raise _damaged(path, ValueError(f"{where} is not what was saved: its checksum differs"))
    leaves = dict(_named_leaves(found["state"]))
    in_order = [_as_key(leaf, leaves[where]) for where, leaf in _named_leaves(like)]
    return jax.tree.unflatten(jax.tree.structure(like), in_order), page


def steps(folder: Path) -> list[int]:
    """The steps with a complete checkpoint in `folder`, ascending. Remains of interrupted saves are not among them."""
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit() and (p / "commit_success.txt").exists())


def remove(path: Path) -> None:
    """Delete one checkpoint; a half-deleted one is no longer listed by `steps`."""
    (path / "commit_success.txt").unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Delete what interrupted saves left behind."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if not (entry.name.isdigit() and (entry / "commit_success.txt").exists()):
            shutil.rmtree(entry, ignore_errors=True)


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """While inside, a disk that takes no more of the file at `path` is a CheckpointError, as when a state is saved."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        raise _not_saved(path, error) from error


def write_json(path: Path, page: Json) -> None:
    """Write a JSON file whole or not at all.

    Raises:
      CheckpointError: the disk is full or read-only; the file keeps its old content.
    """
    text = json.dumps(page, indent=1)
    _write(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> Json:
    """Read a JSON file.

    Raises:
      CheckpointError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}. Delete {path}: what it says is found again.") from error


def check_digest(found: str, expected: str | None, place: Path) -> None:
    """Whether what was read is what was saved.

    Raises:
      CheckpointError: it is not.
    """
    if expected is not None and found != expected:
        raise CheckpointError(
            f"what lies in {place} is not what was saved there (its sha256 differs). Delete {place} to compute that "
            "stage again."
        )


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays as one npz file, whole or not at all.

    Raises:
      CheckpointError: the disk is full or read-only.
    """

    def put(file: IO[bytes]) -> None:  # as np.savez, which has no array named `file`
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                    np.lib.format.write_array(part, array, allow_pickle=False)

    _write(path, put)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote.

    Raises:
      CheckpointError: it is absent or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is damaged: {error}. Delete {path.parent} to compute that stage again."
        ) from error


def _write(path: Path, put: Callable[[IO[bytes]], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            put(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _not_saved(path, error) from error


def _checksums(tree: Tree) -> dict[str, int]:
    return {where: checksum(leaf) for where, leaf in _named_leaves(tree)}


def _crc(about: dict[str, str]) -> str:
    return str(zlib.crc32(json.dumps(about, sort_keys=True).encode()))


@jax.jit
def _copy(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: jnp.copy(jax.random.key_data(x) if _is_key(x) else x), tree)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> Any:
    """An abstract leaf as it lies on disk: a random key as its numbers."""
    if not _is_key(leaf):
        return leaf
    data = jax.eval_shape(jax.random.key_data, leaf)
    return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=leaf.sharding)


def _as_key(like: Any, leaf: jax.Array) -> jax.Array:
    return jax.random.wrap_key_data(leaf) if _is_key(like) else leaf


def _kind(leaf: Any) -> str:
    return f"{jnp.dtype(leaf.dtype).name}{list(leaf.shape)}"


def _named_leaves(tree: Tree) -> list[tuple[str, Any]]:
    return [(path_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _nested(tree: Tree) -> dict[str, Any]:
    """Any pytree as nested dictionaries of its leaves, which is what other programs find on disk."""
    nested: dict[str, Any] = {}
    for where, leaf in _named_leaves(tree):
        *parents, last = where.split("/")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf
    return nested


def _check(path: Path, wanted: dict[str, Any]) -> tuple[Json, dict[str, int]]:
    """The page of the checkpoint and the checksums in it (old ones have none), once its leaves are the wanted ones."""
    from orbax.checkpoint import v1 as ocp

    if not (path / "commit_success.txt").exists():
        raise CheckpointError(
            f"there is no complete checkpoint at {path}. Delete {path.parent.parent} to compute that stage again."
        )
    with _quiet():
        try:
            metadata = ocp.checkpointables_metadata(path.absolute())
            about = dict(metadata.custom_metadata)
            crc = about.pop("crc", None)
            if crc not in (None, _crc(about)):
                raise ValueError("what it says of itself is not what was written")
            page, noted = json.loads(about["page"]), json.loads(about.get("checksums", "{}"))
            found = {where: _kind(leaf) for where, leaf in _named_leaves(metadata.metadata["state"])}
        except Exception as error:
            raise _damaged(path, error) from error
        if not found:
            raise _damaged(path, ValueError("its arrays cannot be listed"))
    expected = {where: _kind(leaf) for where, leaf in _named_leaves(wanted)}
    lines = [f"  missing in the checkpoint: {where} {kind}" for where, kind in expected.items() if where not in found]
    lines += [f"  not in the model: {where} {kind}" for where, kind in found.items() if where not in expected]
    lines += [
        f"  {where}: {found[where]} in the checkpoint, {kind} in the model"
        for where, kind in expected.items()
        if where in found and found[where] != kind
    ]
    if lines:
        more = f"\n  ... and {len(lines) - 12} more" if len(lines) > 12 else ""
        raise CheckpointError(f"the checkpoint {path} is of another model:\n" + "\n".join(lines[:12]) + more)
    return page, noted


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep orbax's own log of a failed read off the terminal: our error says it once."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _damaged(path: Path, error: BaseException) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged, cut short, or no checkpoint of stagejax ({_first_line(error)}). Delete that folder to "
        "continue from the save before it."
    )


def _not_saved(path: Path, error: BaseException) -> CheckpointError:
    return CheckpointError(
        f"could not save {path}: {_first_line(error)}. What was saved before is intact: free the disk (or give another "
        "--workdir) and run the same command again."
    )


def _first_line(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text[:300]}"

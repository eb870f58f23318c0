"""The folder of a run: which stage is stored where, who may write, and what may not be overwritten.

workdir/
  run.json               the experiment that owns this folder, and its store where that lies elsewhere
  lock                   held while a process runs here
  stages/<name>.json     the fingerprint and declaration that each name stands for
  store/<fingerprint>/   declaration.json, metrics.jsonl, steps/<k>/ (checkpoints), result.json (once finished)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax

from stagejax import checkpoint
from stagejax.declare import Json, difference, fingerprint


class WorkdirError(RuntimeError):
    """A folder that belongs to something else, is in use, or holds another declaration under the same name."""


@dataclass(frozen=True)
class Entry:
    """One stage's folder in a store."""

    path: Path
    fingerprint: str

    @property
    def steps(self) -> Path:
        return self.path / "steps"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def finished(self) -> bool:
        """Whether the stage wrote its result."""
        return (self.path / "result.json").exists()

    @property
    def result(self) -> Json:
        """What a finished stage wrote last; None while it is unfinished."""
        return checkpoint.read_json(self.path / "result.json") if self.finished else None


@dataclass(frozen=True)
class Workdir:
    """A run's folder, with the stores in which finished stages are looked for (the first one is written to)."""

    path: Path
    stores: tuple[Path, ...]

    def claim(self, name: str, kind: str, declaration: Json) -> Entry:
        """The entry of a named stage, new or old.

        A name whose stage was begun here but saved nothing yet may be given another declaration.

        Raises:
          WorkdirError: the name stands for another declaration here; the error lists the differences.
        """
        mark = fingerprint(declaration)
        page = self.path / "stages" / f"{name}.json"
        known = checkpoint.read_json(page) if page.exists() else None
        if known is None or known["fingerprint"] != mark:
            if known is not None and self._holds(known["fingerprint"]):
                lines = difference(known["declaration"], declaration) or ["its parents' results changed"]
                raise WorkdirError(
                    f"{kind} {name!r} in {self.path} was run under another declaration:\n  "
                    + "\n  ".join(lines[:20])
                    + f"\nIts results are kept. Use a new --workdir, undo the change, or delete {page} to run it anew."
                )
            if jax.process_index() == 0:
                checkpoint.write_json(page, {"kind": kind, "fingerprint": mark, "declaration": declaration})
        for store in self.stores[1:]:
            if (store / mark / "result.json").exists() and not (self.stores[0] / mark / "result.json").exists():
                return Entry(store / mark, mark)
        entry = Entry(self.stores[0] / mark, mark)
        if jax.process_index() == 0 and not (entry.path / "declaration.json").exists():
            checkpoint.write_json(entry.path / "declaration.json", declaration)
        return entry

    def _holds(self, mark: str) -> bool:
        """Whether anything was saved under a fingerprint."""
        entries = [Entry(store / mark, mark) for store in self.stores]
        return any(entry.finished or checkpoint.steps(entry.steps) for entry in entries)

    def find(self, name: str) -> Entry:
        """The entry of a stage that was begun here.

        Raises:
          WorkdirError: there is none of that name; the error lists those there are.
        """
        page = self.path / "stages" / f"{name}.json"
        if not page.exists():
            names = sorted(
                str(p.relative_to(self.path / "stages"))[:-5] for p in (self.path / "stages").rglob("*.json")
            )
            raise WorkdirError(f"{self.path} has no stage {name!r}; it has: {', '.join(names) or 'none'}")
        mark = checkpoint.read_json(page)["fingerprint"]
        found = [store / mark for store in self.stores if (store / mark).exists()]
        return Entry(found[0] if found else self.stores[0] / mark, mark)


def open_workdir(path: Path, experiment: str, store: Path | None = None, others: tuple[Path, ...] = ()) -> Workdir:
    """Make or reopen the folder of a run.

    Args:
      path: the folder.
      experiment: who owns it.
      store: where results are kept, if not in the workdir itself; a reopened workdir remembers it.
      others: stores in which finished stages are looked for as well.

    Raises:
      WorkdirError: the folder belongs to another experiment, has another store, or cannot be written to.
    """
    page, own = path / "run.json", path / "store"
    if page.exists():
        check_owner(path, experiment)
        known = kept_in(path)
        if store is not None and known != store:
            raise WorkdirError(
                f"{path} keeps its results in {known}, not in {store}. Leave --store out, or use another --workdir."
            )
        if known != own and not known.is_dir():
            raise WorkdirError(
                f"{path} keeps its results in {known}, which is not there. Put it back, or write the place to which it "
                f"was moved into {page}."
            )
        store = known
    elif jax.process_index() == 0:
        elsewhere = None if store in (None, own) else store
        if elsewhere is not None:
            _make(elsewhere)
        checkpoint.write_json(page, {"experiment": experiment, "store": elsewhere and str(elsewhere)})
    return Workdir(path, (store or own, *others))


def check_owner(path: Path, experiment: str) -> None:
    """Whether a folder is this experiment's, or may become it. Touches nothing.

    Raises:
      WorkdirError: it belongs to another experiment, or holds other files.
    """
    if (path / "run.json").exists():
        owner = _page(path)["experiment"]
        if owner != experiment:
            raise WorkdirError(
                f"{path} is the workdir of experiment {owner!r}, not of {experiment!r}. Use another --workdir."
            )
    elif path.exists() and (not path.is_dir() or any(not _ours(entry.name) for entry in path.iterdir())):
        raise WorkdirError(f"{path} holds files that are no run of stagejax. Use an empty or a new --workdir.")


def reopen_workdir(path: Path) -> Workdir:
    """The folder of another run, to read from.

    Raises:
      WorkdirError: it is no workdir.
    """
    if not (path / "run.json").exists():
        raise WorkdirError(f"{path} is not the workdir of a run: it has no run.json")
    return Workdir(path, (kept_in(path),))


def kept_in(path: Path) -> Path:
    """Where a run keeps its results.

    Raises:
      WorkdirError: its run.json is damaged.
    """
    store = _page(path)["store"]
    return Path(store) if store else path / "store"


def _page(path: Path) -> Json:
    """What run.json says."""
    page = path / "run.json"
    try:
        known = json.loads(page.read_text(encoding="utf-8"))
        return {"experiment": known["experiment"], "store": known["store"]}
    except (ValueError, KeyError, TypeError) as error:
        raise WorkdirError(
            f'{page} is damaged ({error!r}). Write {{"experiment": NAME, "store": null}} into it: the experiment whose '
            "run this is, and in place of null the folder of its --store if it had one. Nothing else is lost."
        ) from error


def _ours(name: str) -> bool:
    """What a process that was killed at its very start may leave in a new workdir."""
    return name == "lock" or (name.startswith(".run.json.") and name.endswith(".tmp"))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the workdir for this process (for process 0, where a run has several).

    Raises:
      WorkdirError: another process holds it.
    """
    if jax.process_index() != 0:
        yield
        return
    _make(path)
    try:
        file = (path / "lock").open("ab+", buffering=0)
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().decode().strip() or "unknown"
            raise WorkdirError(
                f"{path} is in use by another process ({holder}). Wait for it, or use another --workdir."
            ) from None
        with contextlib.suppress(OSError):  # on a full disk the lock holds, and what cannot be saved says so
            file.truncate(0)
            file.write(f"process {os.getpid()}".encode())
        yield


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> WorkdirError:
    return WorkdirError(f"cannot write to the workdir {path}: {error.strerror}. Give another --workdir.")

"""Live metrics of a stage: lines of JSON always, TensorBoard and Weights & Biases where their extras are installed."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax


@runtime_checkable
class Writer(Protocol):
    """Receives the metrics of a step, each a number or (with replicas) a list of numbers."""

    def write(self, step: int, metrics: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


def plain(value: Any) -> Any:
    """A value as strict JSON can hold it: NaN and infinities become null, arrays lists, mappings and sequences alike.

    >>> plain({"loss": float("nan"), "by_seed": (1.0, 2.0)})
    {'loss': None, 'by_seed': [1.0, 2.0]}
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


class JsonlWriter:
    """One line a write, `{"step": 7, "loss": 2.5, ...}`, readable while the run goes on.

    Opening it again at the step of a checkpoint drops what was written after that step, and a line that a kill cut in
    two, so a resumed stage leaves the same lines as an uninterrupted one. Only process 0 writes.

    Args:
      path: the file; its folder is made.
      resume_at: steps done when the stage continues; 0 begins the file anew, save for an evaluation at step 0.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> writer = JsonlWriter(path)
    >>> writer.write(1, {"loss": 2.5}); writer.write(2, {"loss": 2.0}); writer.close()
    >>> JsonlWriter(path, resume_at=1).close()
    >>> read_jsonl(path)
    [{'step': 1, 'loss': 2.5}]
    """

    def __init__(self, path: str | Path, resume_at: int = 0) -> None:
        self._file = None
        if jax.process_index() != 0:
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        end = _end_of(path, resume_at) if resume_at > 0 and path.exists() else 0
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._file.truncate(end)

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append one line."""
        if self._file is not None:
            self._file.write(json.dumps({"step": step, **plain(metrics)}, allow_nan=False) + "\n")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file is not None:
            self._file.close()


def _end_of(path: Path, step: int) -> int:
    """The byte after the last whole line of a step up to `step`."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
                if not line.endswith(b"\n") or row["step"] > step:
                    break
            except (ValueError, KeyError, TypeError):
                break
            end += len(line)
    return end


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file; a last line that is still being written is left out."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


class TensorBoardWriter:
    """Scalars for TensorBoard under `folder`; on resume, events after `resume_at` are purged.

    Raises:
      ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | Path, resume_at: int = 0) -> None:
        writer = _extra("tensorboardX", "tensorboard").SummaryWriter
        self._writer = None
        if jax.process_index() == 0:
            purge = resume_at + 1 if resume_at else None
            self._writer = writer(logdir=str(folder), purge_step=purge)

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One scalar for each number; replicas as name/0, name/1, ..."""
        for name, value in _scalars(metrics).items() if self._writer is not None else ():
            self._writer.add_scalar(name, value, global_step=step)

    def close(self) -> None:
        """Flush and close."""
        if self._writer is not None:
            self._writer.close()


class WandbWriter:
    """Scalars for Weights & Biases. The run's id lies in `folder/wandb_id`, so a resumed stage continues the same run.

    Raises:
      ImportError: wandb is not installed.
    """

    def __init__(self, folder: str | Path, project: str, name: str, config: Mapping[str, Any] | None = None) -> None:
        wandb = _extra("wandb", "wandb")
        self._run = None
        if jax.process_index() == 0:
            folder = Path(folder)
            folder.mkdir(parents=True, exist_ok=True)
            known = folder / "wandb_id"
            if not known.exists():
                known.write_text(wandb.util.generate_id())
            self._run = wandb.init(
                project=project,
                name=name,
                id=known.read_text().strip(),
                resume="allow",
                dir=str(folder),
                config=plain(config or {}),
            )

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Log one step."""
        if self._run is not None:
            self._run.log(_scalars(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()


def _scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        value = value.tolist() if hasattr(value, "tolist") else value
        pairs = (
            ((f"{name}/{i}", v) for i, v in enumerate(value)) if isinstance(value, list | tuple) else ((name, value),)
        )
        flat.update((k, float(v)) for k, v in pairs)
    return flat


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not installed; install it with: pip install 'stagejax[{extra}]'") from error

"""Folders of safetensors files: one tensor, or a part of one, at a time, in and out.

Nothing here holds more than the tensor in hand: a reader opens the file for every read and closes it again (a file that
stays mapped keeps all that was ever read of it in memory), a writer knows every size beforehand and fills in the bytes
in any order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

#: Types of numbers by their names in safetensors headers.
DTYPES: Mapping[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


class InteropError(ValueError):
    """A checkpoint in another library's layout that cannot be read or written; the message says which part, and why."""


@dataclass(frozen=True)
class Tensors:
    """The tensors of a folder: the shape, type and file of each."""

    files: Mapping[str, Path]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]  # as in the header

    @staticmethod
    def of(folder: Path) -> Tensors:
        """What a folder with `model.safetensors`, or with an index of several files, contains; of both, the former.

        Raises:
          FileNotFoundError: there are no such files, or one that the index names is absent.
          InteropError: a file is cut short or is no safetensors file, or lacks tensors that the index puts there.
        """
        index = folder / INDEX
        placed: dict[str, str] = read_json(index).get("weight_map", {}) if index.exists() else {}
        if (folder / SINGLE).exists() and SINGLE not in placed.values():  # as `transformers` chooses
            placed = {}
        paths = [folder / name for name in sorted(set(placed.values()) or {SINGLE})]
        files: dict[str, Path] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        dtypes: dict[str, str] = {}
        for path in paths:
            with _opened(path) as file:
                for name in file.keys():  # noqa: SIM118 (no mapping)
                    part = file.get_slice(name)
                    files[name], shapes[name], dtypes[name] = path, tuple(part.get_shape()), part.get_dtype()
        lost = sorted(set(placed) - set(files))
        if lost:
            raise InteropError(
                f"{index} places {lost[0]!r} in {placed[lost[0]]}, which does not have it ({len(lost)} such tensors): "
                "fetch the files again"
            )
        return Tensors(files, shapes, dtypes)

    def dtype(self, name: str) -> np.dtype:
        """The type of one tensor's numbers.

        Raises:
          InteropError: they are no floating-point numbers.
        """
        if self.dtypes[name] not in DTYPES:
            raise InteropError(f"{name!r} has type {self.dtypes[name]}; weights are read as one of {', '.join(DTYPES)}")
        return DTYPES[self.dtypes[name]]

    def read(self, name: str) -> np.ndarray:
        """One tensor.

        Raises:
          InteropError: it does not hold floating-point numbers.
        """
        self.dtype(name)
        with _opened(self.files[name]) as file:
            return file.get_tensor(name)

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        sizes = {"64": 8, "32": 4, "16": 2}
        return sum(math.prod(self.shapes[name]) * sizes.get(kind[-2:], 1) for name, kind in self.dtypes.items())


def read_json(page: Path) -> dict[str, Any]:
    """A page with one object in JSON.

    Raises:
      InteropError: it is cut short, or something else.
    """
    try:
        raw = json.loads(page.read_text())
    except ValueError as error:
        raise InteropError(f"{page} is cut short or is no JSON ({error}): fetch it again") from error
    if not isinstance(raw, dict):
        raise InteropError(f"{page} is no JSON object")
    return raw


def _opened(path: Path) -> Any:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ImportError("reading safetensors files needs the package: pip install 'stagejax[hf]'") from error
    if not path.exists():
        others = sorted(other.name for other in path.parent.glob("*.bin"))
        hint = f"; save {others[0]} as safetensors, as `save_pretrained` does" if others else ""
        raise FileNotFoundError(
            f"{path} is missing: weights are read from {SINGLE}, or from the files of {INDEX}{hint}"
        )
    try:
        return safe_open(path, framework="np")
    except SafetensorError as error:
        raise InteropError(f"{path} is cut short or is no safetensors file ({error}): fetch it again") from error


class Writer:
    """Fills a new folder with tensors whose types and shapes are known beforehand, in files of at most `file_bytes`.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Writer(folder, {"a": ((2, 2), np.dtype(np.float32)), "b": ((3,), np.dtype(np.float32))}) as writer:
    ...     writer.write("b", np.ones(3, np.float32))
    ...     writer.write("a", np.zeros((2, 2), np.float32))
    >>> Tensors.of(folder).read("b")
    array([1., 1., 1.], dtype=float32)
    """

    def __init__(
        self, folder: Path, tensors: Mapping[str, tuple[tuple[int, ...], np.dtype]], file_bytes: int = 5 * 10**9
    ) -> None:
        self.expected = dict(tensors)
        self.sizes = {name: math.prod(shape) * dtype.itemsize for name, (shape, dtype) in self.expected.items()}
        self.waiting = set(self.expected)
        self.places: dict[str, tuple[Any, int]] = {}
        groups = _groups(self.sizes, file_bytes)
        names = [SINGLE if len(groups) == 1 else f"model-{i + 1:05}-of-{len(groups):05}.safetensors"
                 for i in range(len(groups))]  # fmt: skip
        for name, group in zip(names, groups, strict=True):
            self._begin(folder / name, group)
        if len(groups) > 1:
            placed = {tensor: name for name, group in zip(names, groups, strict=True) for tensor in group}
            index = {"metadata": {"total_size": sum(self.sizes.values())}, "weight_map": placed}
            (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")

    def _begin(self, path: Path, group: list[str]) -> None:
        """A file with its header, and as long as it will be."""
        kinds = {dtype: kind for kind, dtype in DTYPES.items()}
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        at = 0
        for name in group:
            (shape, dtype), end = self.expected[name], at + self.sizes[name]
            header[name] = {"dtype": kinds[dtype], "shape": list(shape), "data_offsets": [at, end]}
            at = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        file = path.open("wb")
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
        self.places |= {name: (file, 8 + len(text) + header[name]["data_offsets"][0]) for name in group}

    def write(self, name: str, value: np.ndarray) -> None:
        """The bytes of one tensor.

        Raises:
          InteropError: it has another shape or type than announced, or is unknown.
        """
        shape, dtype = self.expected.get(name, (None, None))
        if (value.shape, value.dtype) != (shape, dtype):
            raise InteropError(f"{name!r} was announced as {dtype} {shape}, but is {value.dtype} {value.shape}")
        file, at = self.places[name]
        file.seek(at)
        file.write(np.ascontiguousarray(value).view(np.uint8).data)
        self.waiting.discard(name)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for file in {id(file): file for file, _ in self.places.values()}.values():
            file.close()
        if error is None and self.waiting:
            raise InteropError(f"{len(self.waiting)} tensors were never written, such as {min(self.waiting)!r}")


def _groups(sizes: Mapping[str, int], most: int) -> list[list[str]]:
    """Consecutive names whose sizes together are at most `most`, or a single one.

    >>> _groups({"a": 3, "b": 3, "c": 9}, 6)
    [['a', 'b'], ['c']]
    """
    groups: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if groups[-1] and filled + size > most:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups

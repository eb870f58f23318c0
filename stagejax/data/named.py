"""Named datasets: compact files in `$STAGEJAX_DATA`, or what TensorFlow Datasets has prepared. Nothing is downloaded.

A folder `$STAGEJAX_DATA/NAME` holds a file for each split: `train.npz` (arrays with one row a record), `train.jsonl.gz`
(one record a line) or `train.txt.gz` (text). TFDS datasets are read through `as_data_source`, without TensorFlow.
"""

from __future__ import annotations

import difflib
import functools
import gzip
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stagejax.data.sources import Record, Source

_SUFFIXES = (".npz", ".jsonl.gz", ".txt.gz")


class MissingDataset(FileNotFoundError):
    """A named dataset is in none of the places where it is looked for."""


def _tfds_root() -> Path:
    return Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()


def _missing(name: str, split: str) -> MissingDataset:
    """The error that says where a dataset was looked for, and both ways to get it."""
    root = os.environ.get("STAGEJAX_DATA")
    local = {path.name for path in Path(root).iterdir() if path.is_dir()} if root and Path(root).is_dir() else set()
    prepared = {path.name for path in _tfds_root().iterdir() if path.is_dir()} if _tfds_root().is_dir() else set()
    near = difflib.get_close_matches(name.split("/")[0], sorted(local | prepared | _tfds_names()), n=4)
    state = f"{root!r} has no folder {name!r}" if root else "STAGEJAX_DATA is not set"
    return MissingDataset(
        f"the dataset {name!r} (split {split!r}) is not on this machine: {state}, and it is not prepared under "
        f"{str(_tfds_root())!r}. Either set STAGEJAX_DATA to a folder that holds {name}/{split}.npz, .jsonl.gz or "
        f".txt.gz, or prepare the TFDS builder {name!r} with `tfds build {name} --file_format=array_record` (it "
        f"downloads; --data_dir or TFDS_DATA_DIR says where to). Near names: {', '.join(near) or 'none'}."
    )


def _tfds_names() -> set[str]:
    try:
        import tensorflow_datasets as tfds

        return set(tfds.list_builders(with_community_datasets=False))
    except ImportError:
        return set()


class _Table(Sequence[Record]):
    """Columns of equal length, read as records."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def __getitem__(self, index: Any) -> Any:
        return {name: column[index] for name, column in self._columns.items()}


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file.

    An array `NAME_delta` holds uint8 images (n, 3, h, w) as differences; it becomes `NAME` (n, h, w, 3): sums modulo
    256 along rows and columns, then green added to red and blue.
    """
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile("no zip archive")
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    for name in [name for name in arrays if name.endswith("_delta")]:
        planes = np.cumsum(np.cumsum(arrays.pop(name), axis=2, dtype=np.uint8), axis=3, dtype=np.uint8)
        planes[:, 0] += planes[:, 1]
        planes[:, 2] += planes[:, 1]
        arrays[name.removesuffix("_delta")] = planes.transpose(0, 2, 3, 1)
    return arrays


@functools.lru_cache(maxsize=32)
def _read(path: Path, lines: bool) -> Sequence[Record]:
    """The records of one file."""
    try:
        if path.name.endswith(".npz"):
            arrays = read_npz(path)
            lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
            if len(set(lengths.values())) != 1:
                raise ValueError(f"{path} is no table of records, its arrays have the lengths {lengths}: use read_npz")
            return _Table(arrays)
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            if path.name.endswith(".jsonl.gz"):
                return tuple(json.loads(line) for line in file)
            if lines:
                return tuple({"text": line.rstrip("\r\n")} for line in file)
            return ({"text": file.read()},)
    except (
        gzip.BadGzipFile,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        UnicodeDecodeError,
        json.JSONDecodeError,
    ) as error:
        raise ValueError(f"{path} cannot be read ({error}): it is damaged. Copy it again.") from error


@functools.lru_cache(maxsize=64)
def _data_source(folder: Path, split: str) -> tuple[Any, Any]:
    """The builder's info and the random-access records of one split, or of a slice such as `train[99%:]`."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    try:
        builder.info.splits[split]
    except (KeyError, ValueError) as error:
        raise MissingDataset(
            f"{folder} has the splits {sorted(builder.info.splits)}, not {split!r}: say what stands for it, such as "
            f'TFDS({builder.info.name!r}, train="train[:99%]", test="train[99%:]")'
        ) from error
    try:
        return builder.info, builder.as_data_source(split)
    except NotImplementedError as error:
        raise ValueError(
            f"{folder} was prepared in a format without random access. Prepare it again, in another --data_dir, with "
            f"`tfds build {builder.info.name} --file_format=array_record`."
        ) from error


@functools.lru_cache(maxsize=64)  # found once, not for every record: folders of clusters answer slowly
def _prepared(root: Path, dataset: TFDS) -> Path:
    name, _, version = dataset.name.partition(":")
    found = [path.parent for path in (root / name).glob(f"{version or '*'}/dataset_info.json")]
    if not found:
        raise _missing(name, dataset.split)
    return max(found, key=lambda path: [int(part) if part.isdigit() else -1 for part in path.name.split(".")])


@dataclass(frozen=True)
class TFDS(Source):
    """A dataset that TensorFlow Datasets has prepared on this machine, in array_record files.

    It is looked for under `$TFDS_DATA_DIR`, or ~/tensorflow_datasets. Records are the builder's, with text decoded.

    Args:
      name: "builder", "builder/config", or either with ":version"; else the highest version is read.
      split: "train", "test" (which is held out), or any of the builder's splits.
      train: what "train" is among the builder's splits, or a slice of one.
      test: what "test" is: many builders have no such split, or one without labels.

    >>> TFDS("glue/sst2", split="validation").part
    'validation'
    >>> TFDS("wikipedia/20230601.en", train="train[:99%]", test="train[99%:]").of_split("test").part
    'train[99%:]'
    """

    name: str
    split: str = "train"
    train: str = "train"
    test: str = "test"

    @property
    def part(self) -> str:
        """The builder's split, or the slice of one, that is read."""
        return {"train": self.train, "test": self.test}.get(self.split, self.split)

    def _folder(self) -> Path:
        return _prepared(_tfds_root(), self)

    def _open(self) -> tuple[Any, Any]:
        return _data_source(self._folder(), self.part)

    def __len__(self) -> int:
        return len(self._open()[1])

    def __getitem__(self, index: int) -> Record:
        record = self._open()[1][index]
        return {name: leaf.decode() if isinstance(leaf, bytes) else leaf for name, leaf in record.items()}

    def digest(self) -> str:
        """The sha256 of the builder's full name, what is read, and every split's examples in each file, and bytes."""
        info = self._open()[0]
        splits = [[name, list(split.shard_lengths), split.num_bytes] for name, split in sorted(info.splits.items())]
        return hashlib.sha256(json.dumps([info.full_name, self.part, splits]).encode()).hexdigest()


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, changed: int) -> str:
    """Of a file as it was when it was last changed: many stages read the same one."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=64)  # what is not there is looked for again: an error is not kept
def _file(root: str, dataset: Dataset) -> Path:
    """Raises: NotADirectoryError: no such folder; MissingDataset: it has no file of the split."""
    folder = Path(root, dataset.name)
    if not root or not folder.is_dir():
        raise NotADirectoryError(folder)
    stem = f"{dataset.part}.{dataset.split}" if dataset.part else dataset.split
    for suffix in _SUFFIXES:
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    held = sorted(path.name for path in folder.iterdir() if path.name.endswith(_SUFFIXES))
    raise MissingDataset(
        f"{dataset} is not there: {folder} holds {', '.join(held) or 'no data file'}. Set `split` (and `part`, where "
        "names have two parts) to one of them."
    )


@dataclass(frozen=True)
class Dataset(Source):
    """A dataset by name: from `$STAGEJAX_DATA`, else from TFDS.

    Args:
      name: the folder's name, or the TFDS builder's.
      split: the file's name without its ending, such as "train" or "test".
      part: for folders with several datasets, whose files are `part.split.ending` (a language, a domain).
      lines: whether each line of a .txt.gz file is a record; otherwise the whole text is one.

    Raises:
      MissingDataset: on first access; it says both ways to get the dataset.

    >>> Dataset("sst2", split="dev")
    Dataset(name='sst2', split='dev', part='', lines=False)
    """

    name: str
    split: str = "train"
    part: str = ""
    lines: bool = False

    def path(self) -> Path | None:
        """The file under `$STAGEJAX_DATA`, or None where that has no folder of this name."""
        try:
            return _file(os.environ.get("STAGEJAX_DATA", ""), self)
        except NotADirectoryError:
            return None

    def _records(self) -> Source | Sequence[Record]:
        path = self.path()
        if path is not None:
            return _read(path, self.lines)
        return TFDS(f"{self.name}/{self.part}" if self.part else self.name, self.split)

    def __len__(self) -> int:
        return len(self._records())

    def __getitem__(self, index: int) -> Record:
        return self._records()[index]

    def digest(self) -> str:
        """The sha256 of the file's bytes, or the digest of the TFDS split."""
        path = self.path()
        return TFDS.digest(self._records()) if path is None else _sha256(path, path.stat().st_mtime_ns)  # type: ignore

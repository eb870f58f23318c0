"""Sources: declared, random-access collections of records, in the sense of grain (`len(source)`, `source[i]`).

A source is one split of one dataset, as a frozen dataclass. Declaring it reads nothing; the first access does, once in
a process. `digest()` says what was read, for the manifest of a run.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

Record = Mapping[str, Any]


class EmptySource(ValueError):
    """A source holds no record, or too few for what was asked of it."""


class Source:
    """What every source offers: a split name, records by index, and a digest of the content.

    Subclasses are frozen dataclasses with a field `split`, and are equal when they are declared equal.
    """

    split: str

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Record:
        raise NotImplementedError

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        """The integers in one field of all records; sources that know them otherwise do not make the records."""
        return np.array([self[i][field] for i in range(len(self))], np.int64)

    def digest(self) -> str:
        """The sha256 of the content, in hexadecimal."""
        raise NotImplementedError

    def of_split(self, split: str) -> Source:
        """The same dataset's other split."""
        return replace(self, split=split)  # type: ignore


@dataclass(frozen=True)
class Derived(Source):
    """Records made of those of another source, one of each: it has that source's split and size, in every split.

    Subclasses are frozen dataclasses with `__getitem__` and `digest`; and `__len__`, where not one is made of each.
    """

    source: Source

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.source.split

    def __len__(self) -> int:
        return len(self.source)

    def of_split(self, split: str) -> Source:
        return replace(self, source=self.source.of_split(split))


@functools.lru_cache(maxsize=16)
def labels_of(source: Source, field: str = "label") -> Int64[np.ndarray, " N"]:
    """`source.column(field)`, found once in a process.

    >>> labels_of(Digits())[:4].tolist()
    [0, 1, 2, 3]
    """
    return source.column(field)


#: Folders of the standard library that hold no prose and no program text worth learning.
_SKIPPED = {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test", "encodings", "ensurepip"}


def _rank(name: str) -> int:
    """A fixed pseudo-random number of a document, from its name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")


def _candidates() -> Iterator[tuple[str, Path | str]]:
    """Names of the documents with where to read them: a path, or the text itself."""
    root = Path(sysconfig.get_path("stdlib"))
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(set(inner) - _SKIPPED)
        for file in files:
            path = Path(folder, file)
            name = path.relative_to(root).as_posix()
            if path.suffix == ".py" and not name.startswith(("_sysconfigdata", "pydoc_data/")):
                yield name, path
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some distributions ship the library without it
        return
    for name, text in topics.items():
        yield f"pydoc_data/topics/{name}", text


@functools.cache
def _stdlib(split: str, limit: int) -> tuple[tuple[str, str], ...]:
    """(name, text) of a split's documents in the order of their ranks, leaving out what does not fit in its share."""
    left = limit // 20 if split == "test" else limit - limit // 20
    found = []
    for name, content in sorted(_candidates(), key=lambda item: _rank(item[0])):
        if (_rank(name) % 20 == 0) != (split == "test"):
            continue
        try:
            size = len(content.encode()) if isinstance(content, str) else content.stat().st_size
            if size > left:
                continue
            text = content if isinstance(content, str) else content.read_bytes().decode()
        except (OSError, UnicodeDecodeError):  # unreadable for this user, or not text
            continue
        if text.strip():
            found.append((name, text))
            left -= size
    return tuple(found)


@dataclass(frozen=True)
class Stdlib(Source):
    """Python's own standard library and its documentation: real text on every machine, nothing downloaded.

    Records are {"name", "text"}: source files (no tests, no installed packages) and the topics of `help()`. Their order
    is that of a hash of the names; names whose hash is 0 modulo 20 are the test split. The content differs a little
    from one version of Python to the next; `digest()` says which one it was.

    Args:
      split: "train" or "test".
      limit: bytes of text to read at most, in whole files: 19/20 of it are for training, 1/20 for the test.

    >>> train, test = Stdlib(limit=300_000), Stdlib("test", limit=300_000)
    >>> len(train) > len(test) > 0, sorted(train[0])
    (True, ['name', 'text'])
    """

    split: str = "train"
    limit: int = 4_000_000

    def __post_init__(self) -> None:
        if self.split not in ("train", "test"):
            raise ValueError(f"Stdlib has the splits 'train' and 'test', not split={self.split!r}")

    def _documents(self) -> tuple[tuple[str, str], ...]:
        documents = _stdlib(self.split, self.limit)
        if not documents:
            raise EmptySource(
                f"Stdlib(split={self.split!r}, limit={self.limit}) holds no document: under "
                f"{sysconfig.get_path('stdlib')!r} none fits in its share of {self.limit} bytes. Raise `limit`, "
                "or use another source if this Python is installed without its library's text."
            )
        return documents

    def __len__(self) -> int:
        return len(self._documents())

    def __getitem__(self, index: int) -> Record:
        name, text = self._documents()[index]
        return {"name": name, "text": text}

    def digest(self) -> str:
        """The sha256 of names and texts, each followed by a zero byte."""
        content = "".join(f"{name}\0{text}\0" for name, text in self._documents())
        return hashlib.sha256(content.encode()).hexdigest()


@functools.cache
def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split."""
    from sklearn.datasets import load_digits

    found = load_digits()
    chosen = (np.arange(len(found.target)) % 5 == 4) == (split == "test")
    return (found.images[chosen, ..., None] / 16).astype(np.float32), found.target[chosen].astype(np.int32)


@dataclass(frozen=True)
class Digits(Source):
    """Handwritten digits that come with scikit-learn: 1797 images of 8 x 8 grey values from 0 to 1, ten classes.

    Records are {"image": float32 (8, 8, 1), "label": int}; every fifth one is in the test split.

    Reference: Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI 1998.

    >>> len(Digits()), len(Digits("test")), Digits()[0]["image"].shape
    (1438, 359, (8, 8, 1))
    """

    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in ("train", "test"):
            raise ValueError(f"Digits has the splits 'train' and 'test', not split={self.split!r}")

    def __len__(self) -> int:
        return len(_digits(self.split)[1])

    def __getitem__(self, index: int) -> Record:
        images, labels = _digits(self.split)
        return {"image": images[index], "label": int(labels[index])}

    def digest(self) -> str:
        """The sha256 of the split's images and labels."""
        return hashlib.sha256(b"".join(array.tobytes() for array in _digits(self.split))).hexdigest()

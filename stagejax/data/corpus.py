"""A source's text as one array of token ids: made once in a process, or once for all of them in a folder of corpora.

Where `$STAGEJAX_CORPORA` names a folder, the ids are written there document by document, and every process after that
maps the file into memory: a corpus may be larger than memory, and a restart reads nothing again.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Integer

from stagejax.data.sources import Source
from stagejax.data.tokenizers import SEP, Codec, Tokenizer, codec, texts

_DOCUMENTS = 1 << 12  # encoded, and written, at a time
_IDS = 1 << 24  # hashed at a time
_SECONDS = 10.0  # between two lines that say how far it has come


class DamagedCorpus(ValueError):
    """A stored corpus is not what was written."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Token ids of all documents, one after another, each closed by `SEP`.

    Attributes:
      ids: uint16 where the vocabulary fits, else int32; mapped from a file where it is stored.
      starts: where each document begins, and at the end the number of ids.
    """

    ids: Integer[np.ndarray, " ids"]
    starts: Int64[np.ndarray, " starts"]

    def digest(self) -> str:
        """The sha256 of ids and starts, as int32 and int64."""
        return self._digest

    @functools.cached_property
    def _digest(self) -> str:
        found = hashlib.sha256()
        for at in range(0, len(self.ids), _IDS):
            found.update(self.ids[at : at + _IDS].astype("<i4").tobytes())
        found.update(self.starts.astype("<i8").tobytes())
        return found.hexdigest()


@functools.lru_cache(maxsize=16)
def read_corpus(source: Source, tokenizer: Tokenizer, field: str = "text") -> Corpus:
    """The corpus of a declared source under a declared tokenizer, which is trained on the source's train split.

    Raises:
      DamagedCorpus: what `$STAGEJAX_CORPORA` holds of it is cut short.

    >>> from stagejax.data import Bytes, Stdlib
    >>> made = read_corpus(Stdlib(limit=100_000), Bytes())
    >>> made.ids.dtype, len(made.starts) - 1 == len(Stdlib(limit=100_000)), int(made.ids[-1]) == SEP
    (dtype('uint16'), True, True)
    """
    root = os.environ.get("STAGEJAX_CORPORA")
    if root:
        return stored_corpus(Path(root), source, tokenizer, field)
    made = list(_pieces(source, tokenizer, field))
    ids = np.concatenate([np.zeros(0, _dtype(tokenizer)), *(ids for ids, _ in made)])
    return Corpus(ids, _starts([lengths for _, lengths in made]))


def stored_corpus(root: Path, source: Source, tokenizer: Tokenizer, field: str = "text") -> Corpus:
    """The same corpus out of a folder of corpora; it is written there if it is not there yet.

    Its place follows from what was read: `root/<first 16 digits of the sha256 of source, tokenizer and their content>`
    holds `ids.bin`, `starts.npy` and `corpus.json`. It appears there whole or not at all, whoever else writes it.

    Raises:
      DamagedCorpus: it is cut short.
      OSError: the folder cannot be written.
    """
    said = _description(source, codec(tokenizer, source, field), tokenizer, field)
    folder = root / hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
    if not (folder / "corpus.json").exists():
        _write(folder, source, tokenizer, field, said)
    starts = np.load(folder / "starts.npy")
    dtype, count = _dtype(tokenizer), int(starts[-1])
    size = (folder / "ids.bin").stat().st_size
    if size != count * dtype.itemsize:
        raise DamagedCorpus(
            f"{folder / 'ids.bin'} holds {size} bytes and should hold {count * dtype.itemsize}. Delete {folder}, and "
            "it is made again."
        )
    ids = np.memmap(folder / "ids.bin", dtype, "r", shape=(count,)) if count else np.zeros(0, dtype)
    return Corpus(ids, starts)


def _write(folder: Path, source: Source, tokenizer: Tokenizer, field: str, said: dict[str, str]) -> None:
    """Write a corpus beside its place, then move it there."""
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    part.mkdir(parents=True)
    try:
        lengths = []
        with (part / "ids.bin").open("wb") as file:
            for ids, own in _pieces(source, tokenizer, field):
                ids.tofile(file)
                lengths.append(own)
            file.flush()
            os.fsync(file.fileno())
        np.save(part / "starts.npy", _starts(lengths))
        (part / "corpus.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        try:
            part.rename(folder)
        except OSError:
            if not (folder / "corpus.json").exists():  # not because another process was first
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _pieces(
    source: Source, tokenizer: Tokenizer, field: str
) -> Iterator[tuple[Integer[np.ndarray, " ids"], Int64[np.ndarray, " documents"]]]:
    """The ids of some documents at a time, each closed by `SEP`, and how many each document has."""
    code, documents = codec(tokenizer, source, field), texts(source, field)
    end, done, told = np.full(1, SEP, np.int32), 0, time.monotonic()
    while some := list(itertools.islice(documents, _DOCUMENTS)):
        encoded = code.encode(some)
        done += len(some)
        if time.monotonic() - told >= _SECONDS:
            print(f"{source}: {done:,} of {len(source):,} documents", file=sys.stderr, flush=True)
            told = time.monotonic()
        ids = np.concatenate([part for each in encoded for part in (each, end)]).astype(_dtype(tokenizer))
        yield ids, np.array([len(each) + 1 for each in encoded], np.int64)


def _starts(lengths: list[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, " starts"]:
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))


def _dtype(tokenizer: Tokenizer) -> np.dtype[Any]:
    return np.dtype(np.uint16 if tokenizer.vocab <= 2**16 else np.int32)


def _description(source: Source, code: Codec, tokenizer: Tokenizer, field: str) -> dict[str, str]:
    """Everything that a corpus depends on."""
    return {
        "source": repr(source),
        "content": source.digest(),
        "tokenizer": repr(tokenizer),
        "learned": code.digest(),
        "field": field,
    }

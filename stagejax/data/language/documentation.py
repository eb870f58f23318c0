"""What program text says of itself: the documents of a small technical domain, and a task on other texts of it."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, EmptySource, Record, Source, Stdlib

#: Which tenths of all docstrings, by a hash of their text, are read in documents and which are records of a task.
_READ, _OF_SPLIT = range(2), {"train": range(2, 6), "test": range(6, 10)}
_LEAST = 8  # words of a docstring that is a record
_TOPICS = "pydoc_data/topics/"


@dataclass(frozen=True)
class Documentation(Derived):
    """Records {"name", "text"}: the docstrings of a file, one after another, or a topic of `help()`, which is whole.

    A paragraph is one line. A fifth of all docstrings is read, chosen by a hash of the text: none of those that
    `DocumentedPackages` holds, wherever else the same words stand.

    Args:
      source: records {"name", "text"} of files; those that are neither Python nor topics are left out.
      start, stop: words of all documents together, from where to where they are read, in whole documents; stop=None
        is the end. Ranges that do not overlap share no document.

    >>> files = Stdlib(limit=400_000)
    >>> few, rest = Documentation(files, stop=2000), Documentation(files, start=2000)
    >>> sum(len(few[i]["text"].split()) for i in range(len(few))) <= 2000, few[0] == rest[0]
    (True, False)
    """

    source: Source = field(default_factory=Stdlib)
    start: int = 0
    stop: int | None = None

    def __len__(self) -> int:
        return len(_documents(self))

    def __getitem__(self, index: int) -> Record:
        name, text = _documents(self)[index]
        return {"name": name, "text": text}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"documentation {self.start}:{self.stop}")


@dataclass(frozen=True)
class DocumentedPackages(Source):
    """Records {"text", "label"}: a docstring of 8 words or more, and which of `packages` it is from.

    A hash of its text says of which split a docstring is, or that it is left to `Documentation`: no text is in two of
    them. Of equal texts the first one is taken.

    Args:
      packages: names of packages, or of modules outside of packages; the label is the place in this list.
      files: records {"name", "text"}; both splits are from its training split.
      split: "train" or "test".

    Raises:
      ValueError: another split, or a package that is named twice.
      EmptySource: when it is read, a package of which the files have no text.

    >>> task = DocumentedPackages(("email", "asyncio"), Stdlib(limit=2_000_000))
    >>> sorted(task[0]), {task[i]["label"] for i in range(len(task))}
    (['label', 'text'], {0, 1})
    """

    packages: tuple[str, ...]
    files: Source = field(default_factory=Stdlib)
    split: str = "train"

    def __post_init__(self) -> None:
        if self.split not in _OF_SPLIT or len(set(self.packages)) != len(self.packages):
            raise ValueError(f"split={self.split!r}, packages={self.packages}: 'train' or 'test', and each name once")

    def __len__(self) -> int:
        return len(_labelled(self))

    def __getitem__(self, index: int) -> Record:
        text, label = _labelled(self)[index]
        return {"text": text, "label": label}

    def digest(self) -> str:
        return joint_digest(self.files.digest(), f"documented {self.packages} {self.split}")


def paragraphs(text: str) -> str:
    """The text with a paragraph in every line.

    >>> paragraphs("One line\\n  goes on.\\n\\nAnother.")
    'One line goes on.\\nAnother.'
    """
    return "\n".join(" ".join(own.split()) for own in re.split(r"\n\s*\n", text) if own.strip())


@functools.lru_cache(maxsize=8)
def _documents(said: Documentation) -> tuple[tuple[str, str], ...]:
    found, words = [], 0
    for name, texts in _said(said.source):
        text = "\n".join(own for own in texts if name.startswith(_TOPICS) or _tenth(own) in _READ)
        before, words = words, words + len(text.split())
        if words > before >= said.start and (said.stop is None or words <= said.stop):
            found.append((name, text))
    return tuple(found)


@functools.lru_cache(maxsize=8)
def _labelled(task: DocumentedPackages) -> tuple[tuple[str, int], ...]:
    labels = {package: label for label, package in enumerate(task.packages)}
    found: dict[str, int] = {}
    there = set()
    for name, texts in _said(task.files.of_split("train")):
        label = labels.get(name.split("/")[0].removesuffix(".py"))
        there.add(label)
        for text in texts:
            if label is not None and len(text.split()) >= _LEAST and _tenth(text) in _OF_SPLIT[task.split]:
                found.setdefault(text, label)
    if absent := [package for package, label in labels.items() if label not in there]:
        raise EmptySource(
            f"the files have no text of {', '.join(absent)}. If this Python came without its whole library, as "
            "systems do that package tkinter and idlelib apart, install the rest; else give other `packages`, or a "
            "higher `limit` to `files`"
        )
    return tuple(found.items())


def _tenth(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10


@functools.lru_cache(maxsize=8)
def _said(files: Source) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The name of each file, and its docstrings in the order in which they stand, or the whole topic."""
    found = []
    for index in range(len(files)):
        name, text = files[index]["name"], files[index]["text"]
        if name.startswith(_TOPICS):
            found.append((name, (paragraphs(text),)))
        elif name.endswith(".py"):
            found.append((name, tuple(_docstrings(text))))
    return tuple(found)


def _docstrings(text: str) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes and comparisons in other people's files
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
        if said := ast.get_docstring(node):
            yield paragraphs(said)

"""Functions and what their docstrings say of them, read off program text."""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source, Stdlib


@dataclass(frozen=True)
class Docstrings(Derived):
    """Records {"text", "summary"}: a function without its docstring, and the docstring's first line.

    Args:
      source: records of Python files, "name" and "text"; what is no Python is left out.

    >>> first = Docstrings(Stdlib(limit=100_000))[0]
    >>> first["text"].lstrip().startswith(("def ", "async def ")), "\\n" in first["summary"]
    (True, False)
    """

    source: Source = field(default_factory=Stdlib)

    def __len__(self) -> int:
        return len(_functions(self.source))

    def __getitem__(self, index: int) -> Record:
        text, summary = _functions(self.source)[index]
        return {"text": text, "summary": summary}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "functions with a docstring")


@functools.lru_cache(maxsize=8)
def _functions(files: Source) -> tuple[tuple[str, str], ...]:
    found = [files[index] for index in range(len(files))]
    return tuple(pair for file in found if file["name"].endswith(".py") for pair in _pairs(file["text"]))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes and comparisons in other people's files
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return
    lines = text.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or len(node.body) < 2:
            continue
        said = (ast.get_docstring(node) or "").partition("\n")[0].strip()
        if said:
            own = node.body[0]
            yield "\n".join((*lines[node.lineno - 1 : own.lineno - 1], *lines[own.end_lineno : node.end_lineno])), said

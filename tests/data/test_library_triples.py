"""Triples are read off the code, whatever the docstring says."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from stagejax.data.knowledge.library_triples import LibraryTriples, facts
from stagejax.data.sources import Record, Source

FUNCTION = '''
def read(path, mode="text", *names, strict: bool = True) -> str:
    """It raises KeyError."""
    for line in lines:
        found = line.strip()
    try:
        if not isinstance(path, str):
            raise ValueError(path)
    except OSError:
        return None
    yield found
    return open(path, 1024)
'''
CLASS = '''
class Reader(io.Base):
    """Doc."""
    def __init__(self, stream):
        self.stream = stream
    def close(self):
        pass
'''


@dataclass(frozen=True)
class Files(Source):
    split: str = "train"

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Record:
        return (
            {"name": "a.py", "text": f'"""One two three."""\nimport os\n{CLASS}'},
            {"name": "b.py", "text": '"""One two three."""\nimport sys\n'},
            {"name": "c.txt", "text": "no program"},
        )[index]

    def digest(self) -> str:
        return "files"


def test_predicates_of_a_function_are_those_of_its_code() -> None:
    found = list(facts(ast.parse(FUNCTION).body[0]))
    wanted = {
        "first parameter": "path", "second parameter": "mode", "variadic parameter": "names",
        "keyword parameter": "strict", "parameter type": "bool", "return type": "str", "raises": "ValueError",
        "handles": "OSError", "checks type": "str", "returns": "None", "yields": "found",
    }  # fmt: skip
    for predicate, said in wanted.items():
        assert (predicate, said) in found
    assert [said for predicate, said in found if predicate == "default value"] == ["text", "True"]
    assert [said for predicate, said in found if predicate == "optional parameter"] == ["mode"]
    assert "KeyError" not in [said for _, said in found]  # the docstring is not looked at


def test_predicates_of_a_class() -> None:
    found = list(facts(ast.parse(CLASS).body[0]))
    assert found == [
        ("base class", "Base"), ("method", "__init__"), ("constructor argument", "stream"), ("method", "close"),
        ("attribute", "stream"),
    ]  # fmt: skip


def test_of_equal_docstrings_the_first_is_taken() -> None:
    triples = LibraryTriples(Files(), 2, 9)
    rows = [triples[i] for i in range(len(triples))]
    assert [row["object"] for row in rows if row["predicate"] == "imports"] == ["os"]
    assert {row["subject"] for row in rows} == {"a"}
    assert [row["object"] for row in rows if row["predicate"] == "defines class"] == ["Reader"]

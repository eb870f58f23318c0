"""Tables with the questions that are asked about them: of WikiTableQuestions, published ones, and drawn ones."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from stagejax.data.named import Dataset
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


class Grid(NamedTuple):
    """A table: names of its columns, and rows of as many cells."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tidy(text: str) -> str:
    """Lower case, with one space where there are some.

    >>> tidy(" Chart-Positions\\nUK ")
    'chart-positions uk'
    """
    return " ".join(text.lower().split())


def tidy_grid(header: Any, rows: Any) -> Grid:
    """A table in lower case, without columns that have no name or one that came before.

    >>> tidy_grid(["Year", "", "YEAR", "Club"], [["1999", "x", "2", "Ajax"]])
    Grid(header=('year', 'club'), rows=(('1999', 'ajax'),))
    """
    names = [tidy(name) for name in header]
    own = [at for at, name in enumerate(names) if name and name not in names[:at]]
    return Grid(tuple(names[at] for at in own), tuple(tuple(tidy(row[at]) for at in own) for row in rows))


@dataclass(frozen=True)
class WebTables(Derived):
    """Tables in the order in which questions first ask about them: splits of questions that share no table share none.

    Records hold "table" (its name), "grid" (a `Grid`), "questions" (texts) and "answers" (a tuple of texts for each).

    Args:
      source: questions {"question", "table", "answers"}, whose split it has.
      tables: {"table", "header", "rows"}, of all splits.

    Reference: Pasupat and Liang 2015 (WikiTableQuestions), https://arxiv.org/abs/1508.00305.
    """

    source: Source = field(default_factory=lambda: Dataset("wikitablequestions"))
    tables: Source = field(default_factory=lambda: Dataset("wikitablequestions", split="tables"))

    def __len__(self) -> int:
        return len(_joined(self.source, self.tables))

    def __getitem__(self, index: int) -> Record:
        return _joined(self.source, self.tables)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.tables.digest())


@functools.lru_cache(maxsize=8)
def _joined(source: Source, tables: Source) -> list[Record]:
    grids = {own["table"]: own for own in (tables[i] for i in range(len(tables)))}
    asked: dict[str, list[Record]] = {}
    for record in (source[i] for i in range(len(source))):
        asked.setdefault(record["table"], []).append(record)
    return [_record(name, grids[name]["header"], grids[name]["rows"], own) for name, own in asked.items()]


def _record(name: str, header: Any, rows: Any, asked: list[Record]) -> Record:
    questions = tuple(tidy(one["question"]) for one in asked)
    answers = tuple(tuple(tidy(answer) for answer in one["answers"]) for one in asked)
    return {"table": name, "grid": tidy_grid(header, rows), "questions": questions, "answers": answers}


@dataclass(frozen=True)
class PublishedTables(Derived):
    """The same records of a builder that its user prepares, each as JSON in the field "json".

    It holds "table", "header", "rows" and "asked", a list of {"question", "answers"}.
    """

    def __getitem__(self, index: int) -> Record:
        own = json.loads(self.source[index]["json"])
        return _record(own["table"], own["header"], own["rows"], own["asked"])

    def digest(self) -> str:
        return self.source.digest()


_NAMES = ["ann", "bob", "cleo", "dan", "eve", "finn", "gil", "hana", "ivo", "jan", "kim", "lea", "max", "nia", "oli"]
_CLUBS = ["ajax", "benfica", "celtic", "dynamo", "everton", "fulham", "genoa"]
_HEADER = ("player", "club", "year", "goals", "games")


@dataclass(frozen=True)
class DrawnTables(Source):
    """Generated tables of players, each with two questions whose answer is one cell.

    >>> record = DrawnTables(2)[0]
    >>> record["grid"].header, len(record["grid"].rows), record["questions"][0].split()[:3]
    (('player', 'club', 'year', 'goals', 'games'), 6, ['which', 'club', 'did'])
    """

    size: int
    split: str = "train"
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        return _drawn(self, index)

    def digest(self) -> str:
        return hashlib.sha256(f"{self} {_NAMES} {_CLUBS}".encode()).hexdigest()


@functools.lru_cache(maxsize=4096)
def _drawn(source: DrawnTables, index: int) -> Record:
    if not 0 <= index < source.size:
        raise IndexError(index)
    random = np.random.default_rng([source.seed, index, *source.split.encode()])
    players = random.permutation(_NAMES)[:6].tolist()
    clubs, years = random.choice(_CLUBS, 6).tolist(), random.integers(1980, 2020, 6).tolist()
    goals, games = random.permutation(60)[:6].tolist(), random.permutation(200)[:6].tolist()
    rows = [[*map(str, row)] for row in zip(players, clubs, years, goals, games, strict=True)]
    who, most = int(random.integers(6)), int(np.argmax(goals))
    asked = [
        {"question": f"which club did {players[who]} play for?", "answers": [clubs[who]]},
        {"question": "who had the most goals?", "answers": [players[most]]},
    ]
    return _record(f"{source.split}/{index}", _HEADER, rows, asked)

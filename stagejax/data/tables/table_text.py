"""Tables as text: a part of a table, its pieces, and their tokens with what each piece is.

The text is `<context> | col : h1 | h2 row 1 : c11 | c12 row 2 : ...`. Every piece begins with a space, so that the
tokens of the pieces are those of the whole text.

Reference: Xie et al. 2022 (UnifiedSKG), https://arxiv.org/abs/2201.05966, section 3; Liu et al. 2022 (TAPEX),
https://arxiv.org/abs/2107.07653, section 2.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record
from stagejax.data.tables.web_tables import Grid
from stagejax.data.tokenizers import Codec

MARK, CONTEXT, HEADER, CELL = range(4)  #: kinds of pieces


class Piece(NamedTuple):
    """A text that begins with a space; `row` and `column` are -1 where there is none."""

    text: str
    kind: int
    row: int = -1
    column: int = -1


class Layout(NamedTuple):
    """Tokens of a linearised table, and its pieces: piece p has the tokens starts[p]..starts[p + 1]-1."""

    ids: Int64[np.ndarray, " tokens"]
    starts: Int64[np.ndarray, " pieces+1"]
    pieces: tuple[Piece, ...]

    def spans(self, kind: int) -> list[tuple[int, int, Piece]]:
        """Begin, end and piece of all pieces of a kind that have tokens."""
        ends = zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), self.pieces, strict=True)
        return [(begin, end, piece) for begin, end, piece in ends if piece.kind == kind and end > begin]


@dataclass(frozen=True)
class Window:
    """How much of a table is read: so many rows and columns, cells and names cut at `longest` characters.

    >>> grid = Grid(("a", "b", "c"), (("1", "2", "3"), ("4", "5", "6"), ("7", "8", "long story")))
    >>> Window(2, 2, longest=6).part(grid, np.random.default_rng(0), rows=(2,), columns=(2, 1))
    Grid(header=('b', 'c'), rows=(('2', '3'), ('8', 'long')))
    """

    rows: int
    columns: int
    longest: int = 24

    def cut(self, text: str) -> str:
        """Whole words, or the first characters of one that is too long."""
        if len(text) <= self.longest:
            return text
        return text[: self.longest + 1].rpartition(" ")[0] or text[: self.longest]

    def part(
        self, grid: Grid, random: np.random.Generator, rows: Sequence[int] = (), columns: Sequence[int] = ()
    ) -> Grid:
        """Some rows and columns in their order: the given ones first, as many as fit, then others at random.

        A column whose name, when it is cut, came before is left out.
        """
        own_rows = _chosen(random, rows, len(grid.rows), self.rows)
        names = {at: self.cut(grid.header[at]) for at in _chosen(random, columns, len(grid.header), self.columns)}
        own_columns = [at for at in names if [*names.values()].index(names[at]) == [*names].index(at)]
        header = tuple(names[at] for at in own_columns)
        return Grid(header, tuple(tuple(self.cut(grid.rows[row][at]) for at in own_columns) for row in own_rows))


def _chosen(random: np.random.Generator, first: Sequence[int], size: int, most: int) -> list[int]:
    order = dict.fromkeys((*first, *random.permutation(size).tolist()))
    return sorted([*order][:most])


def pieces_of(context: str, grid: Grid, lead: str = "") -> tuple[Piece, ...]:
    """The pieces of a table behind its context, and of a lead, such as a task's name, before it.

    >>> grid = Grid(("club", "goals"), (("ajax", "3"), ("", "4")))
    >>> "".join(piece.text for piece in pieces_of("who won?", grid, "answer :"))
    ' answer : who won? | col : club | goals row 1 : ajax | 3 row 2 : - | 4'
    """
    made = [Piece(f" {lead}", MARK)] if lead else []
    made += [Piece(f" {context}", CONTEXT)] if context else []
    made.append(Piece(" | col :", MARK))
    for column, name in enumerate(grid.header):
        made += [Piece(" |", MARK)] if column else []
        made.append(Piece(f" {name}", HEADER, column=column))
    for row, cells in enumerate(grid.rows):
        made.append(Piece(f" row {row + 1} :", MARK, row))
        for column, cell in enumerate(cells):
            made += [Piece(" |", MARK, row)] if column else []
            made.append(Piece(f" {cell or '-'}", CELL, row, column))
    return tuple(made)


def laid_out(code: Codec, context: str, grid: Grid, limit: int, lead: str = "", kept: Sequence[int] = ()) -> Layout:
    """A table of at most `limit` tokens: rows are left out from the bottom, never the header, nor rows `kept`.

    What is still too long is cut.
    """
    while True:
        pieces = pieces_of(context, grid, lead)
        ids = [_ids(code, piece.text) for piece in pieces]
        starts = np.cumsum([0, *map(len, ids)])
        rest = [row for row in range(len(grid.rows)) if row not in kept]
        if starts[-1] <= limit or not rest:
            return Layout(np.concatenate(ids)[:limit].astype(np.int64), np.minimum(starts, limit), pieces)
        last = rest[-1]
        grid = Grid(grid.header, grid.rows[:last] + grid.rows[last + 1 :])
        kept = tuple(row - (row > last) for row in kept)


@functools.lru_cache(maxsize=1 << 18)
def _ids(code: Codec, text: str) -> np.ndarray:
    """Pieces come again and again."""
    return code.encode([text])[0]


@dataclass(frozen=True)
class TableTexts(Derived):
    """Records {"text"}: whole tables behind all that is asked of them, such as a tokenizer is learned from.

    >>> from stagejax.data.tables.web_tables import DrawnTables
    >>> TableTexts(DrawnTables(1))[0]["text"].split(" | ")[1:4]
    ['col : player', 'club', 'year']
    """

    def __getitem__(self, index: int) -> Record:
        own = self.source[index]
        return {"text": "".join(piece.text for piece in pieces_of(" ".join(own["questions"]), own["grid"]))}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "col | row")

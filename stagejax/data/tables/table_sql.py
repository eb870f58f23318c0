"""Questions to one table in a small SQL: parsed, executed, and their results compared.

    select COLUMN where COLUMN = VALUE
    select count|max|min ( COLUMN ) where COLUMN =|>|< VALUE

Reference: Zhong et al. 2017 (WikiSQL), https://arxiv.org/abs/1709.00103, section 2.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from stagejax.data.tables.web_tables import Grid

Aggregate = Literal["", "count", "max", "min"]
Comparison = Literal["=", ">", "<"]
_COMPARED: dict[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt}
_QUERY = re.compile(r"select (?:(count|max|min) \( (.+?) \)|(.+?)) where (.+?) ([=<>]) (.+)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_RESERVED = re.compile(r"[()<>=]|\bwhere\b|\bselect\b")


def number(text: str) -> float | None:
    """The number that a text is, without commas between its digits.

    >>> number("1,250"), number(" -3.5 "), number("3 km")
    (1250.0, -3.5, None)
    """
    plain = text.strip().replace(",", "")
    return float(plain) if _NUMBER.fullmatch(plain) else None


def denotation(values: Iterable[str]) -> Counter[str | float]:
    """A multiset of normalised values: numbers, or texts in lower case.

    >>> denotation(["1,000", "Ajax "]) == denotation(["ajax", "1000.0"])
    True
    """
    found = ((text, number(text)) for text in values)
    return Counter(text.strip().lower() if value is None else value for text, value in found)


def nameable(column: str) -> bool:
    """Whether a name can stand in a query without quotes.

    >>> nameable("goals"), nameable("goals (home)")
    (True, False)
    """
    return bool(column) and not _RESERVED.search(column)


@dataclass(frozen=True)
class Query:
    """A query of one column, of the rows where another compares with a value as it says.

    >>> query = parsed("select max ( goals ) where club = ajax")
    >>> query
    Query(column='goals', where='club', sign='=', value='ajax', aggregate='max')
    >>> str(query)
    'select max ( goals ) where club = ajax'
    """

    column: str
    where: str
    sign: Comparison
    value: str
    aggregate: Aggregate = ""

    def __str__(self) -> str:
        asked = f"{self.aggregate} ( {self.column} )" if self.aggregate else self.column
        return f"select {asked} where {self.where} {self.sign} {self.value}"

    def meets(self, cell: str) -> bool:
        """Whether a cell compares so; with > and < only numbers do."""
        if self.sign == "=":
            return denotation([cell]) == denotation([self.value])
        one, other = number(cell), number(self.value)
        return one is not None and other is not None and _COMPARED[self.sign](one, other)

    def execute(self, grid: Grid) -> list[str] | None:
        """What the query gives: values in the order of the rows, or one number as text.

        None where a column is not there, or the largest of no numbers is asked for.

        >>> grid = Grid(("club", "goals"), (("ajax", "3"), ("ajax", "10"), ("celtic", "2")))
        >>> [parsed(f"select {asked} where club = ajax").execute(grid) for asked in ("goals", "max ( goals )", "year")]
        [['3', '10'], ['10'], None]
        """
        if self.column not in grid.header or self.where not in grid.header:
            return None
        asked, where = grid.header.index(self.column), grid.header.index(self.where)
        cells = [row[asked] for row in grid.rows if self.meets(row[where])]
        if self.aggregate == "count":
            return [str(len(cells))]
        if not self.aggregate:
            return cells
        numbers = [value for value in map(number, cells) if value is not None]
        return [f"{(max if self.aggregate == 'max' else min)(numbers):g}"] if numbers else None


def parsed(text: str) -> Query | None:
    """The query that a text is; None where it is none.

    >>> parsed("select goals"), parsed("select ( goals ) where")
    (None, None)
    """
    found = _QUERY.fullmatch(text.strip())
    if found is None:
        return None
    aggregate, aggregated, column, where, sign, value = found.groups()
    return Query(aggregated or column, where, sign, value.strip(), aggregate or "")  # type: ignore[arg-type]


def same_result(said: str, wanted: str, grid: Grid) -> bool:
    """Whether two queries as text give the same multiset of one table; a text that is no query gives none.

    >>> grid = Grid(("club", "goals"), (("ajax", "3"), ("celtic", "2")))
    >>> same_result("select goals where goals > 2", "select goals where club = ajax", grid)
    True
    """
    results = [query and query.execute(grid) for query in (parsed(said), parsed(wanted))]
    one, other = (None if result is None else denotation(result) for result in results)
    return one is not None and one == other

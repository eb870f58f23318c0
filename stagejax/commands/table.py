"""What commands print: tables, receipts, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def receipt_rows(receipt: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The static part of a growth's receipt as text."""
    before, after = receipt["sizes_before"], receipt["sizes_after"]
    rows = [(name, str(before.get(name)), str(after[name])) for name in after if before.get(name) != after[name]]
    return [*rows, ("parameters", f"{receipt['parameters_before']:,}", f"{receipt['parameters_after']:,}")]


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on the terminal, of whatever has a text, whole also where the output is a file."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    shown = Table(*header, title=title, box=SIMPLE, title_justify="left")
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(shown)


def mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f}"

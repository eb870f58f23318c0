"""The atlas: one row for every committed result, as a section of the README and as a page."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stagejax.committed import VERDICTS, Entry, read, results_folder
from stagejax.report.html import MARKS, badge, document
from stagejax.report.report import write_text

BEGIN, END = "<!-- atlas: begin -->", "<!-- atlas: end -->"
COLUMNS = ("experiment", "paper", "preset", "seeds", "verdicts", "headline", "commit")


def counted(entries: Sequence[Entry]) -> str:
    """How many results of how many papers there are, and what became of their claims.

    >>> counted(())
    '0 results of 0 papers.'
    """
    papers = len({e.number for e in entries if e.number})
    totals = Counter(dict.fromkeys(VERDICTS, 0))
    for entry in entries:
        totals.update(dict(entry.verdicts))
    said = ", ".join(f"{n} {verdict}" for verdict, n in totals.items() if n)
    return f"{len(entries)} results of {papers} papers." + (f" Verdicts: {said}." if said else "")


def markdown(entries: Sequence[Entry]) -> str:
    """The counts and the table in Markdown."""
    lines = [counted(entries), "", " | ".join(("", *COLUMNS, "")).strip(), "|" + " --- |" * len(COLUMNS)]
    for e in entries:
        verdicts = ", ".join(f"{n} {v}" for v, n in e.verdicts)
        cells = (
            f"{e.experiment}: {e.title}",
            e.number,
            e.preset,
            str(e.seeds),
            verdicts,
            e.headline,
            e.commit and f"`{e.commit}`",
        )
        lines.append(" | ".join(("", *(_cell(c) for c in cells), "")).strip())
    return "\n".join(lines) + "\n"


def page(entries: Sequence[Entry]) -> str:
    """The table as a self-contained HTML page."""
    rows = ""
    for e in entries:
        verdicts = " ".join(badge(v, str(n)) for v, n in e.verdicts)
        name = f"<strong>{html.escape(e.experiment)}</strong><br>{html.escape(e.title)}"
        plain = [html.escape(text) for text in (e.number, e.preset, str(e.seeds))]
        cells = [name, *plain, verdicts, html.escape(e.headline), f"<code>{html.escape(e.commit)}</code>"]
        rows += "<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>\n"
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    signs = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
    body = (
        f"<header><h1>Atlas of results</h1><p class='paper'>{counted(entries)} {signs}.</p></header>\n"
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>'
    )
    return document("Atlas of results", body)


def update(text: str, entries: Sequence[Entry]) -> str:
    """A Markdown text with what lies between its two atlas marks replaced by the table.

    Raises:
      ValueError: the marks are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the text has no place for the atlas; put the lines {BEGIN} and {END} where it belongs")
    return f"{before}{BEGIN}\n{markdown(entries)}{END}{after}"


def write(folder: str | Path, *, readme: str | Path, html_page: str | Path) -> tuple[Entry, ...]:
    """Renew the atlas in `readme` (between its marks) and `html_page` from the results in `folder`."""
    entries = read(folder)
    write_text(Path(readme), update(Path(readme).read_text(encoding="utf-8"), entries))
    write_text(Path(html_page), page(entries))
    return entries


def write_atlas(folder: str | Path | None = None) -> str:
    """Renew the atlas in the folder of results and in the project's README.md; returns a line that says so."""
    folder = results_folder() if folder is None else Path(folder)
    readme = folder / "README.md"
    if not readme.exists():
        write_text(readme, f"# Results\n\nRenewed by `stagejax report --atlas`.\n\n{BEGIN}\n{END}\n")
    entries = write(folder, readme=readme, html_page=folder / "atlas.html")
    project = folder.parent.parent / "README.md"
    if project.exists() and BEGIN in project.read_text(encoding="utf-8"):
        write_text(project, update(project.read_text(encoding="utf-8"), entries))
    return f"{len(entries)} results in {readme} and {folder / 'atlas.html'}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

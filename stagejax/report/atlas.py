"""The atlas: one row for every committed result, as a section of the README and as a page."""

from __future__ import annotations

import html
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagejax.report.html import MARKS, badge, document
from stagejax.report.report import write_text

BEGIN, END = "<!-- atlas: begin -->", "<!-- atlas: end -->"
COLUMNS = ("experiment", "paper", "preset", "seeds", "verdicts", "headline", "commit")


@dataclass(frozen=True)
class Entry:
    """One committed result."""

    experiment: str
    number: str  # of the paper
    title: str
    preset: str
    seeds: int
    verdicts: tuple[tuple[str, int], ...]  # (verdict, how many)
    headline: str  # the first claim that was tested: ours beside the paper's
    commit: str
    path: Path


def read(folder: str | Path) -> tuple[Entry, ...]:
    """The results in a folder of report.json files, whatever their names, by paper number, experiment and preset.

    Raises:
      ValueError: a file is not a report; the error names it and the field.
    """
    entries = [_entry(path) for path in sorted(Path(folder).rglob("*.json"))]
    return tuple(sorted(entries, key=lambda e: (e.number, e.experiment, e.preset)))


def markdown(entries: Sequence[Entry]) -> str:
    """The table in Markdown."""
    lines = [" | ".join(("", *COLUMNS, "")).strip(), "|" + " --- |" * len(COLUMNS)]
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
        f"<header><h1>Atlas of results</h1><p class='paper'>{len(entries)} results. {signs}.</p></header>\n"
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


def results_folder() -> Path:
    """Where results are committed: `experiments/results`.

    Raises:
      FileNotFoundError: the package `experiments` is not installed.
    """
    spec = importlib.util.find_spec("experiments")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("no package `experiments`: install stagejax, or run in its checkout")
    return Path(next(iter(spec.submodule_search_locations))) / "results"


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


def last_result(experiment: str, folder: str | Path | None = None) -> dict[str, Any] | None:
    """The youngest committed result of an experiment: its preset, commit, claims and verdicts counted; None if none."""
    found = [e for e in read(results_folder() if folder is None else folder) if e.experiment == experiment]
    pages = [json.loads(entry.path.read_text(encoding="utf-8")) for entry in found]
    if not pages:
        return None
    best = max(range(len(pages)), key=lambda i: pages[i]["environment"].get("date") or "")
    picked = {name: pages[best][name] for name in ("preset", "commit", "claims")}
    return picked | {"verdicts": dict(found[best].verdicts)}


def _entry(path: Path) -> Entry:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        claims = data["claims"]
        found = [c["verdict"] for c in claims]
        tested = next((c for c in claims if c["verdict"] != "not tested"), None)
        return Entry(
            experiment=data["experiment"],
            number=data["number"],
            title=data["title"],
            preset=data["preset"],
            seeds=len(data["seeds"]),
            verdicts=tuple((v, found.count(v)) for v in MARKS if v in found),
            headline=f"{tested['statement']}: {tested['shown']} (paper: {tested['paper']})" if tested else "",
            commit=(data["commit"] or "")[:10] + ("+" if data["environment"].get("dirty") else ""),
            path=path,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no report.json: {error!r}. Results are written by Report.write") from error


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

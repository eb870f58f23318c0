"""A report as one HTML file that needs nothing else, no network and no scripts; for screen, phone, dark and paper."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stagejax.report.claims import Claim, counts
from stagejax.report.curves import Result
from stagejax.report.figures import Figure
from stagejax.report.metrics import plain
from stagejax.report.tables import Table, cell

MARKS = {"holds": "✓", "does not hold": "✗", "not tested": "?"}
HANDOVER_COLUMNS = ("part", "leaves", "numbers", "action", "note")

STYLE = """
:root{--ink:#1b1f24;--soft:#5c6570;--line:#dfe3e8;--paper:#fff;--panel:#f6f7f9;--link:#0b5cad;
--good:#17693a;--good-bg:#e2f4e8;--bad:#a32b22;--bad-bg:#fbe6e3;--open:#6b5300;--open-bg:#f8efd0;
color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e4e7eb;--soft:#98a2ad;--line:#30363d;--paper:#12151a;--panel:#1a1f26;
--link:#7ab8ff;--good:#7fd8a1;--good-bg:#143322;
--bad:#ff9d93;--bad-bg:#43201d;--open:#e6c860;--open-bg:#383013}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
-webkit-text-size-adjust:100%}
main{max-width:66rem;margin:0 auto;padding:3rem 1.5rem 5rem}
h1{font-size:clamp(1.6rem,4vw,2.3rem);line-height:1.15;letter-spacing:-.02em;margin:.2rem 0 .5rem;text-wrap:balance}
h2{font-size:1.25rem;letter-spacing:-.01em;margin:3rem 0 .8rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
a{color:var(--link)}
code,pre{font-family:ui-monospace,"SF Mono",SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.85em}
pre{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;
overflow-x:auto;line-height:1.5}
.eyebrow{color:var(--soft);font-size:.85rem;font-weight:600;letter-spacing:.02em}
.paper,.note,figcaption{color:var(--soft)}
.note,figcaption{font-size:.85rem}
.badges{display:flex;flex-wrap:wrap;gap:.5rem;margin:1.2rem 0 0;padding:0;list-style:none}
.badge{display:inline-block;white-space:nowrap;border-radius:99px;padding:.1rem .65rem;font-size:.85rem;font-weight:600}
.holds{color:var(--good);background:var(--good-bg)}
.does-not-hold{color:var(--bad);background:var(--bad-bg)}
.not-tested{color:var(--open);background:var(--open-bg)}
.scroll{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:baseline;padding:.45rem .9rem .45rem 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:.8rem;vertical-align:bottom}
tr:last-child td{border-bottom:0}
.number{text-align:right;white-space:nowrap}
.number+:not(.number){padding-left:.9rem}
td:first-child{font-weight:500}
th:last-child,td:last-child{padding-right:0}
.ours{font-weight:600}
figure{margin:1.2rem 0 2rem}
figure h3{margin:0 0 .4rem}
figure svg{display:block;width:100%;height:auto;font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
details{border:1px solid var(--line);border-radius:8px;margin:.5rem 0;padding:0 1rem}
summary{cursor:pointer;padding:.55rem 0;font-weight:500}
summary small{color:var(--soft);font-weight:400;margin-left:.6rem}
details[open]{padding-bottom:.8rem}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.25rem 1.5rem;margin:.6rem 0;font-size:.9rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media (max-width:40rem){main{padding:1.5rem 1rem 3rem}figure{overflow-x:auto}figure svg,.scroll table{min-width:34rem}}
@media print{main{max-width:none;padding:0}h2{break-after:avoid}figure,tr{break-inside:avoid}details{border:0;padding:0}
details::details-content{content-visibility:visible}}
"""


def document(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def header(eyebrow: str, title: str, paper: str, link: str, claims: Sequence[Claim]) -> str:
    """Title, reference and the count of verdicts."""
    shown = html.escape(paper)
    if link.startswith(("https://", "http://")):
        shown = f'<a href="{html.escape(link)}">{shown}</a>'
    number = counts(tuple(claims))
    badges = "".join(f"<li>{badge(v, f'{n} {_verb(v, n)}')}</li>" for v, n in number.items() if n)
    return (
        f'<header>\n<div class="eyebrow">{html.escape(eyebrow)}</div>\n<h1>{html.escape(title)}</h1>\n'
        f'<p class="paper">{shown}</p>\n<ul class="badges">{badges}</ul>\n</header>'
    )


def badge(verdict: str, text: str | None = None) -> str:
    """A verdict, told by a sign and words as well as by colour."""
    kind = verdict.replace(" ", "-")
    return f'<span class="badge {kind}">{MARKS[verdict]} {html.escape(text or verdict)}</span>'


def section(title: str, *parts: str) -> str:
    """A heading and what belongs to it; nothing if there is nothing."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{body}\n</section>" if body else ""


def claim_table(claims: Sequence[Claim]) -> str:
    """Claim, the paper's figure, ours, margin, verdict."""
    if not claims:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(c.statement)}</td><td>{html.escape(c.paper)}</td>"
        f'<td class="ours">{html.escape(c.shown)}</td><td>{html.escape(c.margin)}</td>'
        f"<td>{badge(c.verdict)}</td></tr>\n"
        for c in claims
    )
    heads = "".join(f"<th>{name}</th>" for name in ("Claim", "Paper", "Here", "Holds if", "Verdict"))
    return f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>'


def table(value: Table, *, titled: bool = True) -> str:
    """A table with its note."""
    kinds = [' class="number"' if n else "" for n in value.numeric()]
    head = "".join(f"<th{kind}>{html.escape(name)}</th>" for name, kind in zip(value.columns, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{html.escape(c)}</td>" for c, k in zip(row, kinds, strict=True)) + "</tr>\n"
        for row in value.cells()
    )
    title = f"<h3>{html.escape(value.title)}</h3>\n" if titled and value.title else ""
    note = f'\n<p class="note">{html.escape(value.note)}</p>' if value.note else ""
    grid = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
    return f'{title}<div class="scroll">{grid}</div>{note}'


def figure(value: Figure) -> str:
    """A drawing with its caption."""
    caption = f"\n<figcaption>{html.escape(value.caption)}</figcaption>" if value.caption else ""
    return f"<figure>\n<h3>{html.escape(value.title)}</h3>\n{value.svg}{caption}\n</figure>"


def fold(summary: str, aside: str, body: str) -> str:
    """A part that is closed until it is asked for."""
    small = f"<small>{html.escape(aside)}</small>" if aside else ""
    return f"<details>\n<summary>{html.escape(summary)}{small}</summary>\n{body}\n</details>"


def stage_details(stages: Iterable[Result]) -> str:
    """For each stage its hand-over table and its growth receipt, if it has them."""
    parts = []
    for stage in stages:
        handover, receipt = getattr(stage, "handover", ()), getattr(stage, "receipt", None)
        if handover:
            rows = tuple(tuple(map(str, row)) for row in handover)
            columns = HANDOVER_COLUMNS if len(rows[0]) == len(HANDOVER_COLUMNS) else ("",) * len(rows[0])
            parts.append(fold(stage.name, "hand-over", table(Table("", columns, rows))))
        if receipt:
            parts.append(fold(stage.name, "growth receipt", value_list(receipt)))
    return "\n".join(parts)


def value_list(value: Any) -> str:
    """Named values as a list, nested names joined by dots; any other value as text."""
    if not isinstance(value, Mapping):
        return f"<pre>{html.escape(value if isinstance(value, str) else json.dumps(plain(value), indent=1))}</pre>"
    rows = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>\n" for k, v in _flat(value))
    return f"<dl>\n{rows}</dl>"


def code(value: Any) -> str:
    """Commands, one a line, or a configuration as JSON."""
    if isinstance(value, str):
        return f"<pre>{html.escape(value)}</pre>"
    if isinstance(value, Mapping):
        return f"<pre>{html.escape(json.dumps(plain(value), indent=2, ensure_ascii=False))}</pre>"
    return f"<pre>{html.escape(chr(10).join(map(str, value)))}</pre>"


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, Mapping):
            rows += _flat(item, f"{prefix}{name}.")
        else:
            text = json.dumps(plain(item)) if isinstance(item, list | tuple) else cell(item)
            rows.append((f"{prefix}{name}", text))
    return rows


def _verb(verdict: str, number: int) -> str:
    """1 holds, 2 hold; 1 does not hold, 2 do not hold."""
    if number == 1:
        return verdict
    return {"holds": "hold", "does not hold": "do not hold"}.get(verdict, verdict)

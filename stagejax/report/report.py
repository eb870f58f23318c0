"""The report of an experiment: what it claims, what came out, and how to make it again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from stagejax.report import html
from stagejax.report.claims import Claim, claim_json
from stagejax.report.curves import Arm, Result, curve, find, saving
from stagejax.report.figures import Figure, figures
from stagejax.report.machine import environment as machine
from stagejax.report.metrics import plain
from stagejax.report.tables import Table, cost_table, result_table, stage_table


@dataclass(frozen=True)
class Report:
    """What a pipeline returns. `write` makes report.html and report.json of it, `render` shows it in a terminal.

    Args:
      experiment: name of the module.
      title: what stands above it.
      paper: authors or system, venue, arXiv number.
      claims: the verdicts; make each by `claim`.
      arms: what is compared; curves and the tables of results and costs are made from them.
      tables, figures: beside those.
      notes: departures from the paper, surprises.
      baseline: name of the arm that the others are measured against; None: the first.
      metric: of the evaluations, by which arms are compared.
      rising: whether more of it is better.
      number: of the paper in the atlas.
      link: to the paper.
      seeds: those that were run.
      preset: filled in by the command line.

    Raises:
      ValueError: two arms share a name, or there is no such baseline.
    """

    experiment: str
    title: str
    paper: str
    claims: tuple[Claim, ...]
    arms: tuple[Arm, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    baseline: str | None = None
    metric: str = "loss"
    rising: bool = False
    number: str = ""
    link: str = ""
    seeds: tuple[int, ...] = (0,)
    preset: str = ""

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"report {self.experiment!r}: two arms share a name among {names}")
        if self.baseline is not None:
            find(self.arms, self.baseline)

    @property
    def against(self) -> str:
        """Name of the baseline; empty without arms."""
        return self.baseline or (self.arms[0].name if self.arms else "")

    def result_tables(self) -> tuple[Table, ...]:
        """The table of the arms and the experiment's own."""
        own = (result_table(self.arms, self.against, metric=self.metric, rising=self.rising),) if self.arms else ()
        return own + self.tables

    def to_json(
        self, *, stages: Sequence[Result], environment: Mapping[str, Any], commands: Sequence[str], config: Any
    ) -> dict[str, Any]:
        """Everything the report says, in strict JSON: NaN and infinities are null."""
        page = {
            "experiment": self.experiment,
            "title": self.title,
            "number": self.number,
            "paper": self.paper,
            "link": self.link,
            "preset": self.preset,
            "seeds": self.seeds,
            "commit": environment.get("commit"),
            "environment": environment,
            "commands": commands,
            "claims": [claim_json(c) for c in self.claims],
            "baseline": self.against,
            "metric": self.metric,
            "arms": [_arm_json(arm, self) for arm in self.arms],
            "stages": [_stage_json(stage) for stage in stages],
            "tables": [t.to_json() for t in self.tables],
            "notes": self.notes,
            "config": config,
        }
        return plain(page)

    def to_html(
        self, *, stages: Sequence[Result], environment: Mapping[str, Any], commands: Sequence[str], config: Any
    ) -> str:
        """The report as one page."""
        curves = figures(self.arms, self.against, metric=self.metric, rising=self.rising) if self.arms else ()
        drawn = "\n".join(html.figure(f) for f in curves + self.figures)
        tables = [html.table(t, titled=i > 0 or not self.arms) for i, t in enumerate(self.result_tables())]
        eyebrow = " · ".join(
            part for part in (self.number, self.experiment, f"preset {self.preset}", self._seeds()) if part
        )
        sections = (
            html.header(eyebrow, self.title, self.paper, self.link, self.claims),
            html.section("Claims", html.claim_table(self.claims)),
            html.section("Results", *tables),
            html.section("Curves", drawn),
            html.section("Notes", *(f"<p>{html.html.escape(note)}</p>" for note in self.notes)),
            html.section("Costs", html.table(cost_table(self.arms), titled=False) if self.arms else ""),
            html.section(
                "Stages", html.table(stage_table(stages), titled=False) if stages else "", html.stage_details(stages)
            ),
            html.section("Make it again", html.code(commands) if commands else "", *_config(config)),
            html.section("Environment", html.value_list(environment)),
        )
        return html.document(f"{self.title} ({self.preset})", "\n".join(s for s in sections if s))

    def write(
        self,
        directory: str | Path,
        *,
        stages: Sequence[Result] = (),
        environment: Mapping[str, Any] | None = None,
        commands: Sequence[str] = (),
        config: Any = None,
    ) -> Path:
        """Write report.html, then report.json, each whole or not at all; only process 0 does.

        Args:
          directory: made if absent.
          stages: all results of the run in order; `parameters`, `handover` (rows), `receipt` and `diverged` are shown
            where they exist.
          environment: None asks `environment()`.
          commands: lines that make the report again.
          config: the expanded configuration, as text or as what JSON can hold.

        Returns:
          The path of report.html.

        Raises:
          OSError: the folder cannot be written; reports that were there are as before.
        """
        directory = Path(directory)
        parts = {
            "stages": stages,
            "environment": machine() if environment is None else environment,
            "commands": commands,
            "config": config,
        }
        if jax.process_index() == 0:
            text = json.dumps(self.to_json(**parts), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            page = self.to_html(**parts)
            write_text(directory / "report.html", page)
            write_text(directory / "report.json", text)
        return directory / "report.html"

    def _repr_html_(self) -> str:
        """The page, as a notebook shows it."""
        from stagejax.report.notebook import page_html

        return page_html(self.to_html(stages=(), environment=machine(), commands=(), config=None))

    def render(self, console: Any) -> None:
        """Show result tables and claims on a `rich.console.Console`."""
        from rich.markup import escape
        from rich.table import Table as Grid
        from rich.text import Text

        for value in self.result_tables():
            grid = Grid(title=escape(value.title), title_justify="left", caption_justify="left")
            for name, numeric in zip(value.columns, value.numeric(), strict=True):
                grid.add_column(escape(name), justify="right" if numeric else "left")
            for row in value.cells():
                grid.add_row(*map(escape, row))
            console.print(grid)
        if self.claims:
            grid = Grid(title="Claims", title_justify="left")
            for name in ("claim", "paper", "here", "holds if", "verdict"):
                grid.add_column(name)
            colors = {"holds": "green", "does not hold": "red", "not tested": "yellow"}
            for c in self.claims:
                verdict = Text(f"{html.MARKS[c.verdict]} {c.verdict}", style=colors[c.verdict])
                grid.add_row(*map(escape, (c.statement, c.paper, c.shown, c.margin)), verdict)
            console.print(grid)

    def _seeds(self) -> str:
        return f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
      OSError: the disk is full or read-only; the file keeps its old content, and no part of the new one stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(
            error.errno, f"{error.strerror}: {path} was not written. Free space there, or give another --workdir"
        ) from error


def _arm_json(arm: Arm, report: Report) -> dict[str, Any]:
    base = find(report.arms, arm.against or report.against)
    flops = curve(arm, metric=report.metric)
    steps = curve(arm, over="steps", metric=report.metric)
    savings = {
        key: None if arm is base else saving(arm, base, with_source=s, metric=report.metric, rising=report.rising)
        for key, s in (("saving", False), ("saving_with_source", True))
    }
    return {
        "name": arm.name,
        "stages": [r.name for r in arm.results],
        "charged": [r.name for r in arm.charged],
        "cost": arm.cost.to_json(),
        "charged_cost": arm.charged_cost.to_json(),
        "final": flops.last,
        **savings,
        "curve": {
            "flops": [p.x for p in flops.points],
            "steps": [p.x for p in steps.points],
            report.metric: [p.y for p in flops.points],
            "stage": [p.stage for p in flops.points],
        },
    }


def _stage_json(stage: Result) -> dict[str, Any]:
    optional = {name: getattr(stage, name, None) or None for name in ("parameters", "handover", "receipt", "diverged")}
    page = {"name": stage.name, "kind": stage.kind, "steps": stage.steps, "costs": stage.cost.to_json()}
    return page | {"digest": stage.digest} | {k: v for k, v in optional.items() if v is not None}


def _config(config: Any) -> tuple[str, ...]:
    return () if config is None else (html.fold("Configuration", "", html.code(config)),)

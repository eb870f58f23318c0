"""Tables of a report: values in rows, each column with its format, shown alike in the terminal, in HTML and as text."""

from __future__ import annotations

import math
import numbers
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stagejax.ledger import Number
from stagejax.report.curves import Arm, Result, curve, find, flops_to_reach, saving
from stagejax.report.metrics import plain


@dataclass(frozen=True)
class Table:
    """A titled table.

    `formats` has one entry a column: a format specification such as ".3f" or ".1%"; "si" for large numbers with a
    prefix; "time" for seconds; "" for text as it is.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    formats: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r} has the columns {self.columns} but a row {row}")
        if self.formats and len(self.formats) != len(self.columns):
            raise ValueError(f"table {self.title!r} has {len(self.columns)} columns but {len(self.formats)} formats")

    def cells(self) -> list[list[str]]:
        """Every cell as text."""
        formats = self.formats or ("",) * len(self.columns)
        return [[cell(value, form) for value, form in zip(row, formats, strict=True)] for row in self.rows]

    def numeric(self) -> list[bool]:
        """Which columns hold numbers, to be aligned to the right."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        formats = self.formats or ("",) * len(self.columns)

        def holds_numbers(form: str, values: tuple[Any, ...]) -> bool:
            known = [v for v in values if v is not None]
            return form != "" or (bool(known) and all(map(_is_number, known)))

        return [holds_numbers(form, values) for form, values in zip(formats, columns, strict=True)]

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from stagejax.report import html

        return html.table(self)

    def to_json(self) -> dict[str, Any]:
        """Title, columns and raw rows."""
        return {"title": self.title, "columns": list(self.columns), "rows": plain(self.rows), "note": self.note}


def table_of_means(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    measure: Callable[[str, str], Sequence[float]],
    *,
    scale: Number = 100.0,
    digits: int = 1,
    note: str = "In %: mean ± standard deviation over repeats.",
) -> Table:
    """A table whose cells are means ± standard deviations of what `measure(row, column)` gives; times `scale`.

    What was not measured (NaN, as in planning) is left out.

    >>> table_of_means("Accuracy", ["a"], ["x"], lambda row, column: [0.5, 0.6]).rows
    (('a', '55.0 ± 7.1'),)
    >>> table_of_means("Loss", ["a"], ["x"], lambda row, column: [2.5], scale=1, digits=3, note="Nats.").rows
    (('a', '2.500'),)
    """

    def shown(values: Sequence[float]) -> str:
        known = [value for value in values if not math.isnan(value)]
        several = f" ± {scale * statistics.stdev(known):.{digits}f}" if len(known) > 1 else ""
        return f"{scale * statistics.fmean(known):.{digits}f}{several}" if known else "–"  # noqa: RUF001

    cells = tuple((row, *(shown(measure(row, column)) for column in columns)) for row in rows)
    return Table(title, ("arm", *columns), cells, note=note)


def table_of_rates(tried: Mapping[str, Mapping[float, Any]], title: str, form: str = ".3f", note: str = "") -> Table:
    """A table of what each arm's learning rates gave on development data, the rates as columns; some arms lack some.

    >>> table_of_rates({"a": {1e-3: 0.5}, "b": {1e-3: 0.25, 1e-4: 0.75}}, "Rates").cells()
    [['a', '–', '0.500'], ['b', '0.750', '0.250']]
    """
    rates = sorted({rate for own in tried.values() for rate in own})
    rows = tuple((arm, *(own.get(rate) for rate in rates)) for arm, own in tried.items())
    return Table(title, ("arm", *(f"{rate:g}" for rate in rates)), rows, ("", *[form] * len(rates)), note)


def cell(value: Any, form: str = "") -> str:
    """One value as text.

    >>> cell(0.4519, ".1%"), cell(7.3e19, "si"), cell(83.0, "time"), cell(12000), cell(float("nan")), cell(float("inf"))
    ('45.2%', '73.0 E', '1:23', '12,000', '–', 'never')
    """
    if value is not None and not _is_number(value):
        return str(value)
    if value is None or math.isnan(value):
        return "–"  # noqa: RUF001
    if math.isinf(value):
        return "never"
    if form == "si":
        return si(value)
    if form == "time":
        return duration(value)
    return format(value, form or ("," if isinstance(value, numbers.Integral) else ".4g"))


def si(value: Number) -> str:
    """A number with three digits and a prefix.

    >>> si(1.234e12), si(950), si(0)
    ('1.23 T', '950', '0')
    """
    for power, letter in ((24, "Y"), (21, "Z"), (18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if abs(value) >= 10**power:
            scaled = value / 10**power
            return f"{scaled:.{max(0, 2 - int(math.log10(abs(scaled))))}f} {letter}"
    return f"{value:.3g}"


def duration(seconds: Number) -> str:
    """Seconds below a minute, else minutes or hours.

    >>> duration(0.523), duration(83), duration(7384)
    ('0.5 s', '1:23', '2:03:04')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def result_table(arms: Sequence[Arm], baseline: str, *, metric: str = "loss", rising: bool = False) -> Table:
    """Every arm: its last evaluation, FLOPs to reach the baseline's, and the saving without and with its source."""
    find(arms, baseline)
    rows = []
    for arm in arms:
        base = find(arms, arm.against or baseline)
        target = curve(base, metric=metric).last
        own = curve(arm, metric=metric)
        spread = max((p.high - p.low for p in own.points[-1:]), default=0.0)
        savings = [
            None if arm is base else saving(arm, base, with_source=source, metric=metric, rising=rising)
            for source in (False, True)
        ]
        needed = own.points[-1].x if arm is base and own.points else flops_to_reach(own, target, rising=rising)
        rows.append((arm.name, own.last, spread or None, float(needed), *savings))
    columns = ("arm", f"final {metric}", "spread", f"FLOPs to {baseline}'s {metric}", "saving", "saving with source")
    formats = ("", ".4f", ".4f", "si", ".1%", ".1%")
    note = (
        f"Saving: 1 - FLOPs to reach the final {metric} of {baseline} / all FLOPs of {baseline}. With source: the "
        "FLOPs of what an arm was made from are charged to it."
        + (" Each arm against the baseline of its own seed." if any(arm.against for arm in arms) else "")
    )
    if any(row[2] is not None for row in rows):
        return Table("Results", columns, tuple(rows), formats, f"{note} Spread: largest minus smallest over seeds.")
    rows = [row[:2] + row[3:] for row in rows]
    return Table("Results", columns[:2] + columns[3:], tuple(rows), formats[:2] + formats[3:], note)


def cost_table(arms: Sequence[Arm]) -> Table:
    """Every arm: its own FLOPs, those of its source, and what else it spent."""
    rows = tuple(
        (
            arm.name,
            float(own.flops),
            float(source.flops),
            float(own.flops + source.flops),
            float(own.eval_flops),
            own.tokens,
            own.sampled_tokens,
            own.steps,
            float(own.seconds),
        )
        for arm in arms
        for own, source in [(arm.cost, arm.charged_cost)]
    )
    columns = ("arm", "FLOPs", "source's", "together", "evaluation", "tokens", "sampled", "steps", "time")
    note = "FLOPs of matrix products, forward and backward, of one seed. Evaluation is not part of any comparison."
    return Table("Costs", columns, rows, ("", "si", "si", "si", "si", "si", "si", "", "time"), note)


def stage_table(stages: Sequence[Result]) -> Table:
    """Every stage: what it is, what it cost, and the digest of its final parameters."""
    rows = tuple(
        (
            stage.name,
            stage.kind,
            stage.steps or None,
            getattr(stage, "parameters", None) or None,
            float(stage.cost.flops),
            stage.cost.tokens,
            float(stage.cost.seconds),
            "diverged" if getattr(stage, "diverged", None) else stage.digest[:12],
        )
        for stage in stages
    )
    columns = ("stage", "kind", "steps", "parameters", "FLOPs", "tokens", "time", "sha256")
    note = (
        "FLOPs of all seeds together. sha256 of the final parameters, its first 12 digits; report.json has all of them."
    )
    return Table("Stages", columns, rows, ("", "", "", ",", "si", "si", "time", ""), note)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)

"""Curves as inline SVG: the same bytes for the same numbers, text in the page's font, ink in the page's colour."""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stagejax.ledger import Number
from stagejax.report.curves import Arm, Curve, curve, find, flops_to_reach
from stagejax.report.tables import si

#: Paul Tol's "bright" scheme, told apart by colour-blind readers on white and on black; the baseline is drawn in ink.
PALETTE = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#999999")
DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)))
INK = "#010203"  # becomes the page's currentColor


@dataclass(frozen=True)
class Figure:
    """A drawing for the report."""

    title: str
    svg: str  # an <svg> element
    caption: str = ""


def figures(arms: Sequence[Arm], baseline: str, *, metric: str = "loss", rising: bool = False) -> tuple[Figure, ...]:
    """An experiment's curves: over FLOPs, over FLOPs with sources where any arm has one, and over steps."""
    caption = f"Diamonds mark stage borders, dots where an arm reaches the final {metric} of {baseline} (dotted line)."
    drawn = []

    def add(title: str, curves: list[Curve], label: str, caption: str) -> None:
        if any(c.points for c in curves):
            svg = draw(curves, baseline=baseline, xlabel=label, ylabel=f"held-out {metric}", rising=rising)
            drawn.append(Figure(title, svg, caption))

    find(arms, baseline)
    add("Over training FLOPs", [curve(a, metric=metric) for a in arms], "training FLOPs", caption)
    if any(a.charged for a in arms):
        charged = [curve(a, metric=metric, with_source=True) for a in arms]
        text = "The curves begin at the cost of what each arm was made from."
        add("Over training FLOPs, the source's included", charged, "training FLOPs with source", text)
    over_steps = [curve(a, over="steps", metric=metric) for a in arms]
    add("Over steps", over_steps, "steps", "Steps of different stages may cost different amounts.")
    return tuple(drawn)


def draw(curves: Sequence[Curve], *, baseline: str, xlabel: str, ylabel: str, rising: bool = False) -> str:
    """An SVG element with one line a curve, drawn stage by stage, and a legend in the order of the final values."""
    from matplotlib.ticker import FuncFormatter

    def paint(canvas: Any) -> None:
        axes = canvas.add_axes((0.07, 0.125, 0.645, 0.85))
        handles = _lines(axes, curves, baseline, rising)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.set_xlim(left=0)
        axes.set_ylim(*_range(curves, rising))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value).replace(" ", "")))
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        ends = sorted(handles, key=lambda item: item[2], reverse=not rising)
        axes.legend(
            [handle for handle, _, _ in ends],
            [f"{end:.3f}  " + "\n".join(textwrap.wrap(name, 20, break_on_hyphens=False)) for _, name, end in ends],
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            labelspacing=0.8,
            handlelength=1.8,
        )

    return svg_of(paint, (9.0, 4.3), f"{ylabel} over {xlabel}", salt=xlabel)


def svg_of(paint: Callable[[Any], None], size: tuple[float, float], label: str, *, salt: str) -> str:
    """The <svg> element of what `paint` draws on a matplotlib figure of `size` inches, in the page's font and ink.

    Args:
      label: what the drawing shows, for those who cannot see it.
      salt: of the identifiers in it, so that the same drawing has the same bytes.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    style = {
        "svg.hashsalt": salt,
        "svg.fonttype": "none",
        "path.simplify": True,
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style)
        canvas = Canvas(figsize=size)
        FigureCanvasSVG(canvas)
        paint(canvas)
        out = io.StringIO()
        canvas.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(out.getvalue(), label)


def _lines(axes: Any, curves: Sequence[Curve], baseline: str, rising: bool) -> list[tuple[Any, str, float]]:
    """Draw every curve; returns a handle, the name and the mean final value of each group, for the legend."""
    base = next((c for c in curves if c.name == baseline), Curve(baseline, ()))
    axes.axhline(base.last, color=INK, alpha=0.45, linewidth=0.9, linestyle=(0, (1, 2)))
    groups: dict[str, list[Curve]] = {}
    for c in curves:
        if c.points:
            groups.setdefault(c.group or c.name, []).append(c)
    others = [name for name in groups if name != (base.group or base.name)]
    handles = []
    for name, members in groups.items():
        color, dash, width = INK, "solid", 2.2
        if name in others:
            i = others.index(name)
            color, dash, width = PALETTE[i % len(PALETTE)], DASHES[i // len(PALETTE) % len(DASHES)], 1.7
        for i, c in enumerate(members):
            style = {"color": color, "alpha": 1.0 if i == 0 else 0.45}
            drawn = _line(axes, c, style | {"linestyle": dash, "linewidth": width if i == 0 else 1.0}, style)
            if i == 0:
                handle = drawn
            reached = flops_to_reach(c, base.last, rising=rising)
            if name in others and reached < float("inf"):
                axes.plot([reached], [base.last], marker="o", markersize=5, linestyle="none", **style)
        handles.append((handle, name, sum(c.last for c in members) / len(members)))
    return handles


def _line(axes: Any, c: Curve, line: dict[str, Any], style: dict[str, Any]) -> Any:
    """One curve, stage by stage, with a diamond at each border."""
    handle = None
    for stage in sorted({p.stage for p in c.points}):
        part = [p for p in c.points if p.stage == stage]
        xs = [p.x for p in part]
        (handle,) = axes.plot(xs, [p.y for p in part], marker="o" if len(part) == 1 else None, markersize=3, **line)
        if any(p.high > p.low for p in part):
            low, high = [p.low for p in part], [p.high for p in part]
            axes.fill_between(xs, low, high, color=style["color"], alpha=0.15, linewidth=0)
    for a, b in zip(c.points, c.points[1:], strict=False):
        if a.stage != b.stage:
            axes.plot([a.x, b.x], [a.y, b.y], linewidth=0.9, linestyle=(0, (1, 1.5)), **style)
            axes.plot([b.x], [b.y], marker="D", markersize=5, markerfacecolor="none", linestyle="none", **style)
    return handle


def _range(curves: Sequence[Curve], rising: bool) -> tuple[Number, Number]:
    """The part of the ordinate worth seeing: the worst tenth of all evaluations, the earliest, may lie outside."""
    values = sorted(p.y for c in curves for p in c.points)
    keep = max(1, round(0.9 * len(values)))
    values = values[-keep:] if rising else values[:keep]
    pad = 0.05 * (values[-1] - values[0]) or 0.5
    return values[0] - pad, values[-1] + pad


def _inline(svg: str, label: str) -> str:
    """The <svg> element alone, sized by the page, in the page's ink; identifiers that nothing refers to are dropped."""
    svg = svg[svg.index("<svg") :]
    used = set(re.findall(r"#([\w.-]+)[\")]", svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: m.group(0) if m.group(1) in used else "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"font: [^;\"]*?(\d+(?:\.\d+)?)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = svg.replace(INK, "currentColor")
    head = re.sub(r' (?:width|height|version|xmlns(?::\w+)?)="[^"]*"', "", svg[: svg.index(">")])
    svg = f'{head} role="img" aria-label="{html.escape(label)}"' + svg[svg.index(">") :]
    return svg.replace("xlink:href", "href").strip()

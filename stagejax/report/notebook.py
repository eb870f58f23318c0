"""What a notebook shows of a stage's result and of a report, when either is the last value of a cell."""

from __future__ import annotations

from html import escape

from stagejax.report import html
from stagejax.report.curves import Arm, Result
from stagejax.report.figures import figures
from stagejax.report.tables import stage_table

HEIGHT = 640  # of a report's frame, in pixels; the frame scrolls


def result_html(result: Result) -> str:
    """A finished stage: what it cost, what it took over, what growth did to the function, and its held-out loss.

    In the notebook's own style: tables, an SVG in the colour of the text, closed parts for what is longer.
    """
    measured = [name for row in result.history.evals[:1] for name in row if name not in ("step", "flops", "tokens")]
    metric = "loss" if "loss" in measured or not measured else measured[0]
    over_steps = figures((Arm(result.name, (result,)),), result.name, metric=metric)[-1:]
    parts = (html.table(stage_table((result,)), titled=False), html.stage_details((result,)))
    return "\n".join((*parts, *(figure.svg for figure in over_steps)))


def page_html(page: str) -> str:
    """A whole page in a frame, so that neither its style nor the notebook's reaches the other."""
    style = f"width:100%;height:{HEIGHT}px;border:0"
    return f'<iframe style="{style}" srcdoc="{escape(page, quote=True)}"></iframe>'

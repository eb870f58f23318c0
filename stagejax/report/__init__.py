"""Reports: claims with verdicts, curves, costs, one HTML and one JSON file per run, and the atlas of all results."""

from stagejax.report.atlas import write_atlas
from stagejax.report.claims import Claim, claim
from stagejax.report.curves import Arm, curve, flops_to_reach, saving
from stagejax.report.dots import draw_dots
from stagejax.report.figures import Figure
from stagejax.report.machine import environment
from stagejax.report.report import Report
from stagejax.report.seeds import above_spread, by_seed, mean, shown, spread
from stagejax.report.tables import Table, table_of_means

__all__ = [
    "Arm",
    "Claim",
    "Figure",
    "Report",
    "Table",
    "above_spread",
    "by_seed",
    "claim",
    "curve",
    "draw_dots",
    "environment",
    "flops_to_reach",
    "mean",
    "saving",
    "shown",
    "spread",
    "table_of_means",
    "write_atlas",
]

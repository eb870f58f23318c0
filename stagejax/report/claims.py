"""A claim of a paper, what was measured for it here, and the verdict. The rule is decided before the run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stagejax.ledger import Number

Verdict = Literal["holds", "does not hold", "not tested"]


@dataclass(frozen=True)
class Claim:
    """One row of the verdict table; make it with `claim`."""

    statement: str  # what the paper says, as a sentence that can be true or false
    paper: str  # the paper's figure, with its conditions
    measured: Number | str  # ours: a number, or a few words
    margin: str  # the rule by which it was judged
    verdict: Verdict
    unit: str = ""  # of `measured`; "%" shows the fraction 0.25 as 25.0%

    @property
    def shown(self) -> str:
        """What was measured, as text.

        >>> claim("AKI saves FLOPs", paper="45.2%", measured=0.3125, margin=">= 20%", holds=True, unit="%").shown
        '31.2%'
        """
        if isinstance(self.measured, str):
            return self.measured
        if math.isnan(self.measured):
            return "not measured"
        if math.isinf(self.measured):
            return "never"
        return f"{self.measured:.1%}" if self.unit == "%" else f"{self.measured:.4g} {self.unit}".rstrip()


def claim(
    statement: str,
    *,
    paper: str,
    measured: Number | np.generic | str | None,
    margin: str,
    holds: bool | np.bool_ | None,
    unit: str = "",
) -> Claim:
    """Judge one claim.

    Args:
      statement: what the paper says, as a sentence that can be true or false.
      paper: its figure.
      measured: ours; None or NaN (as in planning) is "not tested" whatever `holds` says.
      margin: the rule, in words.
      holds: what the rule says of `measured`; None if it says nothing.
      unit: of `measured`; "%" shows a fraction as a percentage.

    >>> claim("FPI keeps the function", paper="exact", measured=3e-6, margin="< 1e-4", holds=3e-6 < 1e-4).verdict
    'holds'
    >>> claim("FPI keeps the function", paper="exact", measured=float("nan"), margin="< 1e-4", holds=False).verdict
    'not tested'
    """
    value = float("nan") if measured is None else measured.item() if isinstance(measured, np.generic) else measured
    unmeasured = holds is None or (isinstance(value, float) and math.isnan(value))
    verdict: Verdict = "not tested" if unmeasured else "holds" if holds else "does not hold"
    return Claim(statement, paper, value, margin, verdict, unit)


def counts(claims: tuple[Claim, ...]) -> dict[str, int]:
    """How many claims got each verdict."""
    return {verdict: sum(c.verdict == verdict for c in claims) for verdict in ("holds", "does not hold", "not tested")}


def claim_json(claim: Claim) -> dict[str, Any]:
    """The claim as the JSON report holds it; a number that is NaN or infinite becomes null."""
    finite = isinstance(claim.measured, str) or math.isfinite(claim.measured)
    return {
        "statement": claim.statement,
        "paper": claim.paper,
        "measured": claim.measured if finite else None,
        "shown": claim.shown,
        "margin": claim.margin,
        "verdict": claim.verdict,
    }

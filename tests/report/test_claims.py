"""Verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stagejax.report.claims import claim, claim_json, counts


@pytest.mark.parametrize(
    ("measured", "holds", "verdict"),
    [
        (0.3, True, "holds"),
        (0.3, False, "does not hold"),
        (0.3, None, "not tested"),
        (math.nan, True, "not tested"),
        (np.float32("nan"), np.bool_(False), "not tested"),
        (None, False, "not tested"),
        (-math.inf, False, "does not hold"),  # measured, and never reached
        (np.float32(2.0), np.bool_(True), "holds"),
        (3, True, "holds"),
        ("38% >= 30%", True, "holds"),
    ],
)
def test_verdicts(measured, holds, verdict):
    made = claim("s", paper="p", measured=measured, margin="m", holds=holds)
    assert made.verdict == verdict
    assert made == claim("s", paper="p", measured=measured, margin="m", holds=holds) or math.isnan(made.measured)


def test_shown_and_json():
    def of(measured, unit=""):
        return claim_json(claim("s", paper="p", measured=measured, margin="m", holds=True, unit=unit))

    assert of(0.452, "%")["shown"] == "45.2%"
    assert of(2.5, "nats")["shown"] == "2.5 nats"
    assert of(-math.inf, "%") == {**of(-math.inf, "%"), "measured": None, "shown": "never", "verdict": "holds"}
    assert of(math.nan) == {
        "statement": "s",
        "paper": "p",
        "measured": None,
        "shown": "not measured",
        "margin": "m",
        "verdict": "not tested",
    }


def test_counts():
    made = [claim("s", paper="p", measured=1, margin="m", holds=h) for h in (True, True, None)]
    assert counts(tuple(made)) == {"holds": 2, "does not hold": 0, "not tested": 1}

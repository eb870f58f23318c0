"""Losses by place: stretches of equal length, each with its own targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows
from stagejax.inference import likelihood
from stagejax.inference.frozen import Frozen
from stagejax.result import Result


def test_every_stretch_has_the_loss_of_its_own_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(function: Any, net: Any, rows: Any, batch: int) -> np.ndarray:
        return (rows["targets"] * rows["weights"]).sum(1) / np.maximum(rows["weights"].sum(1), 1)

    monkeypatch.setattr(likelihood, "apply", losses)
    monkeypatch.setattr(Frozen, "of", classmethod(lambda cls, result: None))
    targets = np.array([[1, 3, 5, 7], [2, 4, 6, 0]], np.int32)
    arrays = {"tokens": targets, "targets": targets, "weights": (targets > 0).astype(np.float32)}
    rows = (Row("tokens", (4,), "int32"), Row("targets", (4,), "int32"), Row("weights", (4,)))
    data = MadeRows(rows=rows, of="a1", arrays=arrays, batch=2, count=1)
    found = likelihood.losses_by_place(Result("net", "train", "a1", 0), data, 2)
    assert found == pytest.approx([(1 + 3 + 2 + 4) / 4, (5 + 7 + 6) / 3])

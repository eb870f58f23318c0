"""The shortest step of each stage: more work takes longer, and the stages come back in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stagejax import Stage
from stagejax.data import Images
from stagejax.models.vit import ViT
from stagejax.objectives.classification import classification
from stagejax.optimizer import adamw
from stagejax.steps.timing import step_seconds


@pytest.mark.slow
def test_more_work_takes_longer() -> None:
    net = ViT(8, 1, 4, embed=8, heads=1, mlp=8, layers=1)
    small = Stage("small", net, classification, adamw(1e-3), Images(batch=4), steps=5)
    large = replace(small, name="large", model=replace(net, embed=256, mlp=1024, layers=2), data=Images(batch=64))
    first, second, third = step_seconds(small, large, small, repeats=5)
    assert 0 < first < second
    assert 0 < third < second

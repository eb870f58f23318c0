"""How far parameters are from where they began: by hand, by layer, over borders, and without changing them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spine import assert_same, drive, flat, go, stage
from toy import Toy

from stagejax import Handover
from stagejax.models.anchored import Anchored
from stagejax.optimizer import sgd
from stagejax.steps.distances import DistanceStep


def anchored(layers: tuple[str, ...] = (), **fields: Any) -> Any:
    own = {"model": Anchored(Toy()), "optimizer": sgd(0.05, decay="constant"), "step": DistanceStep(layers)}
    return stage(**(own | fields))


def test_the_distance_is_that_from_the_first_parameters() -> None:
    program, state, record = drive(anchored(("up", "blocks")))
    first, last = flat(program.initial(0).params), flat(state.params)
    squares = {path: float(np.sum((last[path] - first[path]) ** 2)) for path in first}
    train = record.history.train
    assert train["distance"][-1] == pytest.approx(sum(squares.values()) ** 0.5, rel=1e-5)
    assert train["distance_up"][-1] == pytest.approx(squares["up"] ** 0.5, rel=1e-5)
    assert train["distance_blocks"][-1] == pytest.approx(squares["blocks"] ** 0.5, rel=1e-5)
    assert train["distance"][0] > 0  # after the first update, not before it


def test_nothing_else_changes() -> None:
    assert_same(drive(anchored())[1].params, drive(stage(optimizer=anchored().optimizer))[1].params)


def test_the_start_stays_over_a_border(tmp_path: Path) -> None:
    own = anchored(model=Anchored(Toy(noise=0.0)), steps=2)  # no noise: keys of two stages are not those of one
    second = replace(own, name="b", handover=Handover(moments="carry", data="carry"))

    def pipeline(run: Any) -> tuple[Any, ...]:
        first = run.train(own)
        return first, run.train(second, first)

    found = go(tmp_path, pipeline)
    both = found[0].history.train["distance"] + found[1].history.train["distance"]
    np.testing.assert_array_equal(both, drive(replace(own, steps=4))[2].history.train["distance"])


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no parameter lies under 'left'; there are"):
        drive(anchored(("left",)))

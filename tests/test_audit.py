"""Growths of a run are done again from what is stored, compared to the bit, and undone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from test_growing import SMALL, STAGE

from stagejax import running
from stagejax.audit import audit
from stagejax.growth import AKI, DirectCopy, Growth, stack, uniform


def pipeline(run: Any) -> list[Any]:
    small = run.train(replace(STAGE, name="base"))
    large = replace(SMALL, embed=32, heads=4, mlp=50, layers=2)
    return [
        run.grow("aki", small, to=large, operator=AKI(), moments="dual"),
        run.grow("corner", small, to=large, operator=DirectCopy(depth=stack)),
    ]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    with running(folder, "audited", mesh="data=1") as run:
        pipeline(run)
    return folder


def test_what_is_stored_is_what_the_growth_makes(workdir: Path) -> None:
    """Also the moments, averages and counts; from seeds alone where parameters are drawn; and the source comes back."""
    with running(workdir, "audited", mesh="data=1") as run:
        for grown in pipeline(run):
            found = audit(grown)
            assert found.holds, found.differing
            assert found.leaves == len(jax.tree.leaves(grown.state()))
            assert found.recovers < 1e-6
            page = json.loads((Path(workdir) / "store" / grown.fingerprint / "result.json").read_text())
            assert page["receipt"]["operator"]["type"].endswith(found.operator.split("(")[0])


def test_what_differs_is_named(workdir: Path, tmp_path: Path) -> None:
    shutil.copytree(workdir, tmp_path / "copy")
    with running(tmp_path / "copy", "audited", mesh="data=1") as run:
        grown = pipeline(run)[0]
        state = grown.state()
        params = jax.tree.map(lambda x: x, state.params)
        params["norm"]["gain"] = params["norm"]["gain"] + np.float32(0.25)
        found = audit(replace(grown, load=lambda: replace(state, params=params)))
    assert not found.holds
    assert found.differing == {"params/norm/gain": pytest.approx(0.25)}
    assert found.to_json()["holds"] is False


def test_another_map_than_the_stored_one_is_named(workdir: Path) -> None:
    """The stored one is used all the same: the state is what it makes, and the way back its inverse."""
    with running(workdir, "audited", mesh="data=1") as run:
        grown = pipeline(run)[0]
        assert grown.grown is not None
        now = Growth(AKI(draw=uniform), grown.grown.growth.old, grown.grown.growth.new)
        found = audit(replace(grown, grown=replace(grown.grown, growth=now)))
    assert not found.holds
    assert not found.differing
    assert found.recovers < 1e-6
    assert found.maps.startswith("AKI(draw=uniform): terms[0], axis 'embed' where it is on side 'gain': stored is")
    stored = np.load(workdir / "store" / grown.fingerprint / "maps.npz")
    assert sum(stored[name].nbytes for name in stored) < 20_000


def test_only_growths_are_audited(workdir: Path) -> None:
    with running(workdir, "audited", mesh="data=1") as run:
        pipeline(run)
        with pytest.raises(ValueError, match="train 'base' is no growth"):
            audit(run.results[0])

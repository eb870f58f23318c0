"""Med-MAT: no arm sees its target, all see as much, pairs share what they say, first-stage sets no two elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.multimodal import compositional_generalization_mat
from experiments.multimodal.compositional_generalization_mat import (
    ARMS,
    BROKEN,
    EXPERIMENT,
    FEW,
    FEW_RELATED,
    FEW_UNRELATED,
    MULTI,
    RELATED,
    TARGET,
    TWO,
    UNRELATED,
    known,
    preset,
    rows_of,
    sets_of,
    way_of,
)
from stagejax.data.multimodal.triplets import ELEMENTS, covered, shared

SMOKE, LAPTOP = preset("smoke"), preset("laptop")
finished = smoke_run(EXPERIMENT, SMOKE)
PLACES = range(len(LAPTOP.targets))


def test_targets_are_balanced_and_the_first_stage_shares_no_two_elements_with_any() -> None:
    targets = LAPTOP.targets
    assert len(set(targets)) == 12
    for column in zip(*targets, strict=True):
        assert sorted(column.count(own) for own in set(column)) == [3, 3, 3, 3]
    first = known(LAPTOP)
    assert max(sum(shared(own, target)) for own in first for target in targets) == 1
    for place, elements in enumerate(zip(*first, strict=True)):
        assert set(elements) == set(LAPTOP.grid[place])


@pytest.mark.slow
@pytest.mark.parametrize("seed", LAPTOP.seeds)
def test_mixtures_share_with_their_target_what_they_are_named_after(seed: int) -> None:
    wanted = {name: tuple(name == own for own in ELEMENTS) for name in ELEMENTS}
    wanted |= {RELATED: (True,) * 3, MULTI: (True,) * 3, UNRELATED: (False,) * 3, BROKEN: (False,) * 3}
    for place in PLACES:
        target = LAPTOP.targets[place]
        made = {label: sets_of(LAPTOP, label, place, seed) for label in ARMS}
        for label, own in wanted.items():
            assert covered(made[label], target) == own
        assert covered(made[TWO], target) == way_of(LAPTOP, place)[0]
        assert made[TWO][0] == made[RELATED][0]
        assert made[MULTI][:6] == made[BROKEN][:6]
        assert {len(made[label]) for label in (MULTI, BROKEN)} == {12}
        used = {own for sets in made.values() for own in sets}
        assert target not in used
        assert not used & set(known(LAPTOP))
    assert len({way_of(LAPTOP, place) for place in PLACES}) == 3


def test_arms_read_as_many_rows_and_only_those_of_the_target_see_it() -> None:
    for label in ARMS:
        data = rows_of(LAPTOP, label, 0, 0)
        read = [part.source.triplet for part in data.parts]
        assert data.batch == LAPTOP.batch
        assert (LAPTOP.targets[0] in read) == (label in (TARGET, FEW, FEW_RELATED, FEW_UNRELATED))
    counts = np.bincount(rows_of(LAPTOP, FEW_RELATED, 0, 0).owners(np.arange(1000)))
    assert counts.tolist() == [500, 250, 250]
    few = rows_of(LAPTOP, FEW, 0, 0).parts
    assert [len(part.source) for part in few] == [50]
    assert LAPTOP.steps * LAPTOP.batch / 2 <= LAPTOP.scenes[1]


def test_tests_are_of_images_that_training_lacks() -> None:
    test = compositional_generalization_mat.test_of(SMOKE, 0)
    assert test.source.split == "test"
    assert test.source.triplet == SMOKE.targets[0]
    assert not test.sample_spec().keys() - {"image", "tokens", "at", "label", "open"}
    assert not test.take(np.arange(16))["open"].any()


@pytest.mark.slow
def test_every_arm_starts_from_the_first_stage_and_owes_it_and_the_search(finished: Any) -> None:
    results, report, _ = finished
    assert len(results) == 2 + len(SMOKE.peaks) + len(ARMS)
    assert results["base"].history.evals[-1]["loss"] < results["base"].history.evals[0]["loss"]
    for arm in report.arms:
        assert {one.name for one in arm.charged} == {"base", "rates/0.001", "rates/0.003"}
        assert arm.results[0].value["accuracy"].shape == (len(SMOKE.targets),)
    assert len({arm.results[0].cost.flops for arm in report.arms}) == 1
    losses = {peak: results[f"rates/{peak:g}"].value["loss"].mean() for peak in SMOKE.peaks}
    rates = next(table for table in report.tables if table.title == "Rates")
    assert dict(rates.rows) == pytest.approx(losses)


@pytest.mark.slow
def test_the_report_judges_three_claims_by_target_and_seed(finished: Any) -> None:
    results, report, _ = finished
    pairs = (("related", "unrelated", 5, 0.75), ("multi-task", "multi-task-broken", 3, 0), ("related", "task", 2, 0))
    for own, (one, other, least, share) in zip(report.claims, pairs, strict=True):
        leads = 100 * (results[f"0/{one}"].value["accuracy"] - results[f"0/{other}"].value["accuracy"])
        assert f"{leads.mean():+.1f} points" in own.shown
        assert (own.verdict == "holds") == bool(leads.mean() >= least and (leads > 0).mean() >= share)

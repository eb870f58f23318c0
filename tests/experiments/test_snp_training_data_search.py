"""SnP: what the search sees of the target, what pruning keeps, and what all arms share."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.snp_training_data_search import (
    ARMS,
    EXPERIMENT,
    GREEDY,
    LONGER,
    RANDOM,
    SEARCH,
    SNP,
    SNP_RANDOM,
    STYLES,
    WHOLE,
    contrast,
    identifying,
    pool,
    preset,
    target,
)
from stagejax import Plan
from stagejax.data.sources import labels_of
from stagejax.names import slug

pytestmark = pytest.mark.slow  # eleven trainings
LIMITED = [arm for arm, choice in ARMS.items() if choice.images]
SMOKE = preset("smoke")
LABELS = labels_of(pool(SMOKE))
BUDGET = round(SMOKE.share * len(np.unique(LABELS)))
finished = smoke_run(EXPERIMENT, SMOKE)


def made(finished: Any, arm: str) -> dict[str, np.ndarray]:
    return finished[0][f"0/{slug(arm)}/chosen"].value


def test_the_target_shares_no_letter_that_is_tested_and_no_style(finished: Any) -> None:
    known, tested = target(SMOKE, False), target(SMOKE, True)
    assert known.split == tested.split == "test"
    assert not set(labels_of(known)) & set(labels_of(tested))
    assert known.source.style not in STYLES.values()
    data = identifying(SMOKE, "any", ARMS[SNP], finished[0]["0/snp/chosen"], 0).evaluate.data
    assert set(data.take(np.arange(100))["label"].tolist()) <= set(labels_of(tested).tolist())


def test_sets_within_the_budget_have_as_many_identities_and_half_of_their_images(finished: Any) -> None:
    for arm in (SNP, SNP_RANDOM, RANDOM, GREEDY):
        rows = made(finished, arm)["rows"]
        assert len(set(rows.tolist())) == len(rows)
        own = np.unique(LABELS[rows])
        assert len(own) <= BUDGET
        held = np.isin(LABELS, own).sum()
        if arm in (SNP, GREEDY):  # one image of each identity at least
            found = finished[0]["0/search"].value
            most = np.isin(found["cluster"], found["best"]).sum() if arm == SNP else BUDGET
            assert len(own) == min(BUDGET, most)
            assert len(rows) == round(SMOKE.ratio * held)
    assert len(made(finished, WHOLE)["rows"]) == len(LABELS)


def test_images_are_pruned_farthest_first_and_not_at_random(finished: Any) -> None:
    x = finished[0]["features"].value["pool"]

    def covered(arm: str) -> float:
        """How far the farthest image of the arm's identities is from what was kept of them."""
        rows = made(finished, arm)["rows"]
        own = np.flatnonzero(np.isin(LABELS, np.unique(LABELS[rows])))
        return max(np.linalg.norm(x[rows] - x[i], axis=1).min() for i in own)

    assert np.array_equal(
        np.unique(LABELS[made(finished, SNP)["rows"]]), np.unique(LABELS[made(finished, SNP_RANDOM)["rows"]])
    )
    assert covered(SNP) < covered(SNP_RANDOM)


def test_the_search_keeps_the_prefix_that_is_nearest_to_the_target(finished: Any) -> None:
    search = finished[0]["0/search"].value
    sizes = np.bincount(search["cluster"])
    assert sizes.max() - sizes.min() <= 1
    assert np.all(np.diff(search["own"][search["order"]]) >= 0)
    assert np.array_equal(search["best"], search["order"][: 1 + np.argmin(search["unions"])])
    names = np.unique(LABELS)
    found = set(names[np.isin(search["cluster"], search["best"])].tolist())
    assert set(LABELS[made(finished, SEARCH)["rows"]].tolist()) == found
    assert set(LABELS[made(finished, SNP)["rows"]].tolist()) <= found
    assert made(finished, SEARCH)["FD"] < made(finished, RANDOM)["FD"]


def test_greedy_takes_the_nearest_clusters_whole(finished: Any) -> None:
    search, names = finished[0]["0/search"].value, np.unique(LABELS)
    own = np.searchsorted(names, np.unique(LABELS[made(finished, GREEDY)["rows"]]))
    taken = search["order"][: len(set(search["cluster"][own].tolist()))]
    assert set(search["cluster"][own].tolist()) == set(taken.tolist())


def test_arms_differ_in_their_rows_alone(finished: Any) -> None:
    results, report, _ = finished
    stages = {arm: identifying(SMOKE, "one", ARMS[arm], results[f"0/{slug(arm)}/chosen"], 0) for arm in LIMITED}
    plain = {replace(s, data=replace(s.data, data=replace(s.data.data, of="", arrays=None))) for s in stages.values()}
    assert len(plain) == 1
    assert {results[f"0/{slug(arm)}"].steps for arm in ARMS if arm != LONGER} == {SMOKE.steps}
    cost = {arm.name: arm for arm in report.arms}
    assert [one.name for one in cost[RANDOM].charged] == ["features-net"]
    assert [one.name for one in cost[SNP].charged] == ["features-net", "features", "0/search"]


def test_only_the_whole_pool_has_another_rate() -> None:
    unmade = SimpleNamespace(fingerprint="unmade", value=None)
    peaks = {arm: identifying(SMOKE, "one", choice, unmade, 0).optimizer.peak for arm, choice in ARMS.items()}
    assert peaks == {arm: SMOKE.rates[arm in (WHOLE, LONGER)] for arm in ARMS}


def test_every_arm_begins_with_the_network_that_saw_no_label(finished: Any) -> None:
    results, _, _ = finished
    net, start = flat(results["features-net"]), flat(results["start"])
    assert not start["head/kernel"].any()
    assert all(np.array_equal(start[leaf], net[f"net/{leaf}"]) for leaf in start if "head" not in leaf)
    data = contrast(SMOKE).data
    assert data.take(np.arange(4))["image"].shape == data.take(np.arange(4))["view"].shape


def test_it_learns_to_find_again(finished: Any) -> None:
    results, report, _ = finished
    assert results["0/whole-pool"].history.last("mAP") > 0.3  # 0.2 by chance of five
    assert "not tested" not in {claim.verdict for claim in report.claims}


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    plan = Plan.on("data=16,fsdp=16" if name == "pod" else "data=1", price=False)
    report = EXPERIMENT.pipeline(plan, replace(preset(name), seeds=(0,)))
    assert {claim.verdict for claim in report.claims} == {"not tested"}

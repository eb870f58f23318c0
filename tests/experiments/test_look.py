"""LOOK: what the arms share, what each is alone in, and what the features are asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.objective.look import (
    CE,
    CIFAR,
    EXPERIMENT,
    FASHION,
    INFO,
    NCA,
    SUPCON,
    arms,
    looking,
    modes,
    parts,
    preset,
)
from stagejax import Plan
from stagejax.objectives.pictures.neighbourhood import NeighbourVote

pytestmark = pytest.mark.slow  # seven programs: half a minute
SMOKE = preset("smoke")
LOOK = looking(SMOKE.k)
WHERE = SMOKE.domains[0]
finished = smoke_run(EXPERIMENT, SMOKE)


def test_all_arms_see_the_same_images_with_the_same_distortions(finished: Any) -> None:
    results, _, _ = finished
    stages = arms(SMOKE, WHERE, 0)
    assert list(stages) == [CE, LOOK, NCA, SUPCON, INFO]
    taken = {arm: stage.data.take(np.arange(64)) for arm, stage in stages.items()}
    for arm, batch in taken.items():
        assert np.array_equal(batch["image"], taken[CE]["image"]), arm
        assert np.array_equal(batch["label"], taken[CE]["label"]), arm
        assert ("view" in batch) == (arm == INFO)
    assert {(s.steps, s.data.batch, s.optimizer, s.seed) for s in stages.values()} == {
        (SMOKE.steps, SMOKE.batch, stages[CE].optimizer, 0)
    }
    assert {results[s.name].steps for s in stages.values()} == {SMOKE.steps}


def test_upstream_knows_coarse_labels_alone(finished: Any) -> None:
    labels = arms(SMOKE, WHERE, 0)[LOOK].data.take(np.arange(200))["label"]
    assert set(labels.tolist()) == {0, 1}
    for coarse, classes in ((CIFAR, 2), (FASHION, 4)):
        assert len(coarse) == 10
        assert set(coarse) == set(range(classes))


def test_the_network_is_of_one_size_in_every_arm(finished: Any) -> None:
    results, _, _ = finished
    stages = arms(SMOKE, WHERE, 0)
    shapes = {
        arm: {n.removeprefix("net/"): x.shape for n, x in flat(results[s.name]).items() if "head" not in n}
        for arm, s in stages.items()
    }
    for arm in (LOOK, NCA, SUPCON, INFO):
        assert {n: shape for n, shape in shapes[arm].items() if n != "last/kernel"} == shapes[CE]


def test_an_image_is_left_out_of_its_own_vote_and_k_narrows(finished: Any) -> None:
    results, _, _ = finished
    stage = arms(SMOKE, WHERE, 0)[LOOK]
    assert isinstance(stage.objective, NeighbourVote)
    assert stage.objective.most == SMOKE.queue // 4
    options = stage.step.step.keywords["options"]
    assert (options.first, options.last) == (SMOKE.queue // 4, SMOKE.k)
    queue = results[stage.name].state().rest["queue"]
    seen = stage.data.take(np.arange(SMOKE.steps * SMOKE.batch))["record"]
    held = np.asarray(queue["record"])
    assert sorted(held.tolist()) == sorted(seen[-SMOKE.queue :].tolist())
    fine = arms(SMOKE, WHERE, 0)[NCA].objective
    assert fine.most is None


def test_votes_learn_the_coarse_labels(finished: Any) -> None:
    results, report, _ = finished
    for arm in (CE, LOOK, NCA, SUPCON):
        assert results[arms(SMOKE, WHERE, 0)[arm].name].history.last("accuracy") > 0.6, arm
    assert "not tested" not in {claim.verdict for claim in report.claims}
    cost = {arm.name: arm.cost.flops for arm in report.arms}
    names = {arm: f"{WHERE.name}: {arm}" for arm in (CE, LOOK, NCA, INFO)}
    assert 1.2 < cost[names[LOOK]] / cost[names[CE]] < 1.6  # one forward pass of the average more, and the queue
    assert cost[names[INFO]] == pytest.approx(cost[names[NCA]], rel=0.05)


def test_features_are_frozen_and_labelled_images_were_not_seen(finished: Any) -> None:
    results, _, _ = finished
    fit, chosen, test = parts(SMOKE, WHERE.fine)
    assert (fit.skip, chosen.skip, test.split) == (600, 800, "test")
    assert len(fit) == 200
    rows = set(WHERE.fine._rows())
    assert not rows & set(fit._rows())
    assert not rows & set(chosen._rows())
    assert not set(fit._rows()) & set(chosen._rows())
    worth = results[f"{arms(SMOKE, WHERE, 0)[LOOK].name}/worth"].value
    assert worth["fine"] > 0.3  # of ten classes, by a network that was shown two
    assert 0 < worth["variance within"] < 1


def test_fine_tuning_begins_at_the_network_with_a_head_of_zeros(finished: Any) -> None:
    results, _, _ = finished
    name = arms(SMOKE, WHERE, 0)[LOOK].name
    before, start, after = (flat(results[n]) for n in (name, f"{name}/tuned", f"{name}/tuned/tune"))
    assert not start["head/kernel"].any()
    assert start["head/kernel"].shape == (8, 10)
    for leaf in start:
        if not leaf.startswith("head"):
            assert np.array_equal(start[leaf], before[f"net/{leaf}"]), leaf
            assert not np.array_equal(start[leaf], after[leaf]), leaf


def test_modes_are_counted() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 0], [0, 9]])
    x = np.concatenate([c + rng.normal(size=(50, 2)) * 0.3 for c in centres] + [rng.normal(size=(50, 2)) + 50])
    found = modes(x, np.repeat([0, 1], [150, 50]))
    one = modes(x[:150], np.zeros(150, int))
    assert one["modes"] == 3
    assert one["variance within"] == pytest.approx(1.0)
    assert found["variance within"] < 0.1


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    plan = Plan.on("data=16,fsdp=16" if name == "pod" else "data=1", price=False)
    cfg = preset(name)
    report = EXPERIMENT.pipeline(plan, replace(cfg, domains=cfg.domains[:1], seeds=(0,)))
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_seeds_differ_in_order_and_values() -> None:
    first, second = (arms(replace(SMOKE, seeds=(0, 1)), WHERE, seed)[CE] for seed in (0, 1))
    assert first.seed != second.seed
    assert not np.array_equal(first.data.take(np.arange(8))["label"], second.data.take(np.arange(8))["label"])

"""Model assembling at smoke size: what learns, what stands still, what is put together, and what it costs."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.growth.model_assembling import (
    ALONE,
    END,
    EXPERIMENT,
    GREEDY,
    IMITATION,
    OURS,
    SHORT,
    UNTRAINED,
    Place,
    paths,
    preset,
    searched,
    whole,
)
from stagejax import Plan
from stagejax.budget import flops

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_a_module_learns_among_frozen_neighbours(finished: Any) -> None:
    results, _, _ = finished
    meta = flat(results["assembling/1/0/meta"])
    for k in range(2):
        start, end = (flat(results[f"assembling/1/0/module{k}{stage}"]) for stage in ("/start", ""))
        own = np.arange(3)[k : k + 2]
        for where in meta:
            moved = start[where] != end[where]
            if where.startswith("blocks"):
                assert moved[own].any(), where
                np.testing.assert_array_equal(np.delete(end[where], own, 0), meta[where][1 - k : 2 - k])
            else:
                head = where.split("/")[0] in ("norm", "head")
                assert moved.any() == (head == (k == 1)), where


def test_modules_do_not_know_of_each_other(finished: Any) -> None:
    results, _, _ = finished
    first, second = (results[f"assembling/1/0/module{k}"] for k in range(2))
    assert first.generation == second.generation == results["assembling/1/0/meta"].generation + 1


def test_assembled_network_has_the_layers_of_its_modules(finished: Any) -> None:
    results, _, _ = finished
    for label, first in ((OURS, 1), (IMITATION, 1), (UNTRAINED, 1), (ALONE, 0)):
        whole, own = (flat(results[f"{label}/1/0/{name}"]) for name in ("assembled", "module0"))
        other = flat(results[f"{label}/1/0/module1"])
        for where, leaf in whole.items():
            if where.startswith("blocks"):
                expected = np.concatenate([own[where][:2], other[where][first : first + 2]])
                np.testing.assert_array_equal(leaf, expected, err_msg=f"{label} {where}")
            else:
                end = other if where.split("/")[0] in ("norm", "head") else own
                np.testing.assert_array_equal(leaf, end[where], err_msg=f"{label} {where}")


def test_imitation_comes_closer_to_the_meta_layer(finished: Any) -> None:
    results, _, _ = finished
    for k in range(2):
        losses = results[f"imitation/1/0/module{k}"].history.train["loss"]
        assert losses[-1] < losses[0]


def test_greedy_modules_stay_as_they_were_trained(finished: Any) -> None:
    results, _, _ = finished
    below, above = flat(results[f"{GREEDY}/1/0/module0"]), flat(results[f"{GREEDY}/1/0/module1"])
    for where, leaf in below.items():
        if where.startswith("blocks"):
            np.testing.assert_array_equal(above[where][:2], leaf)
    assert not np.array_equal(above["head/kernel"], below["head/kernel"])


def test_equal_total_and_what_the_longest_path_takes(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name.split(",")[0]: arm for arm in report.arms}
    budget = flops(*arms[OURS].results)
    step = results[f"{END}/1/0/whole"].cost.flops / results[f"{END}/1/0/whole"].steps
    for label in (END, IMITATION, ALONE, GREEDY, UNTRAINED):
        assert abs(flops(*arms[label].results) - budget) <= step, label
    meta, *modules, assembly, tuned = arms[OURS].results
    assert assembly.cost.flops == 0
    path = meta.cost.flops + max(module.cost.flops for module in modules) + tuned.cost.flops
    report_arms = {label: replace(arms[label], name=label) for label in (OURS, GREEDY)}
    assert paths(report_arms[OURS]) == (budget, path)
    assert path < budget
    assert paths(report_arms[GREEDY]) == (flops(*arms[GREEDY].results),) * 2
    assert abs(flops(*arms[SHORT].results) - path) <= step


def test_the_price_of_a_module_leaves_its_frozen_neighbours_out(finished: Any) -> None:
    results, _, _ = finished
    steps = [results[f"assembling/1/0/module{k}"].cost.flops / SMOKE.module_steps for k in range(2)]
    forward = results["assembling/1/0/meta"].cost.flops / SMOKE.meta_steps / 3  # two layers and the ends
    assert steps[1] < steps[0]  # nothing passes back through the layer below
    assert steps[0] < 3 * forward * 3 / 2  # less than three whole layers


def test_first_evaluation_is_of_the_assembled_network(finished: Any) -> None:
    results, report, _ = finished
    assert results["assembling/1/0/tuned"].history.evals[0]["step"] == 0
    assert report.claims[0].statement.startswith("With 100% of the data")
    assert len(report.claims) == 4


class Pilots:
    """A run in which accuracy is best at a rate of 8e-3."""

    def __init__(self) -> None:
        self.stages: list[Any] = []

    def train(self, stage: Any, start: Any, **_: Any) -> Any:
        self.stages.append(stage)
        accuracy = 1 - abs(np.log(stage.optimizer.peak / 8e-3))
        return SimpleNamespace(diverged=False, history=SimpleNamespace(last=lambda metric: accuracy))


def test_a_rate_is_searched_once_beyond_its_grid_and_on_images_of_no_other_use() -> None:
    cfg, run, rates = replace(preset("laptop"), source=SMOKE.source, fields=SMOKE.fields, records=1000), Pilots(), {}
    cfg = replace(cfg, model=SMOKE.model)
    for seed in cfg.seeds:
        stage = searched(
            run, Place(cfg, END, 1.0, seed, rates), END, whole(Place(cfg, END, 1.0, seed, rates)), cfg.peaks
        )
        assert stage.optimizer.peak == 8e-3
        assert stage.name == f"end to end/1/{seed}/whole"
    assert [pilot.optimizer.peak for pilot in run.stages] == [1e-3, 2e-3, 4e-3, 8e-3, 16e-3]
    behind = {row["image"].tobytes() for row in run.stages[0].evaluate.data.source}
    for used in (stage.data, stage.evaluate.data):
        assert not behind & {row["image"].tobytes() for row in used.source}


def test_a_quarter_of_the_data_is_seen_many_times_and_searches_are_charged() -> None:
    cfg = replace(preset("laptop"), seeds=(0,))
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), cfg)
    seen = {row[0]: row[1:] for row in report.tables[1].rows}
    assert seen[END][1] == pytest.approx(4 * seen[END][0])
    assert cfg.module_steps * cfg.batch / (cfg.shares[1] * cfg.records) > 4
    for arm in report.arms:
        label = arm.name.split(",")[0]
        own = {"/".join(pilot.name.split("/")[:2]) for pilot in arm.charged}
        assert own == (
            {f"rates/{END}"} if label in (END, SHORT) else {"rates/meta model and modules", f"rates/{label}"}
        )

"""Model assembling at smoke size: what learns, what stands still, what is put together, and what it costs."""

from dataclasses import replace
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
    paths,
    preset,
)
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

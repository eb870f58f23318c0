"""iTool: arms behind one warm-up differ in what they say they do, search with their own policy, and pay for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.reasoning.itool import (
    BASE,
    COIN,
    DPO,
    EXPERIMENT,
    FAST,
    HARD,
    ITOOL,
    LONGER,
    MIXED,
    ONCE,
    WARM,
    WAYS,
    WHOLE,
    Found,
    learned,
    level,
    pool,
    preset,
    prompts,
    reading,
    requests_of,
    rounds,
    supervised,
)
from stagejax import Plan, running
from stagejax.data.prompts.tool_calls import ASKS, LEVELS, names_of
from stagejax.inference.reasoning.fragment_rows import hardest
from stagejax.inference.reasoning.fragment_search import searched
from stagejax.names import slug
from stagejax.objectives.rewards.preference import Preference

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation


@slow
def test_items_of_round_two_are_selected_and_searched_with_what_round_one_left(finished: Any) -> None:
    results, _, _ = finished
    policy, warm = results[f"0/itool/0/{SMOKE.rates[0]}"], results["0/easy-to-hard/2"]
    chosen = results["0/itool/1/chosen"]
    again = hardest(policy, learned(SMOKE, pool(SMOKE, 0)), SMOKE.share, seed=1)
    np.testing.assert_array_equal(again["records"], chosen.value["records"])
    trees = searched(policy, prompts(SMOKE, pool(SMOKE, 0)), chosen, SMOKE.search(WAYS[ITOOL]), 1)
    np.testing.assert_array_equal(trees["tokens"], results["0/itool/1/trees"].value["tokens"])
    once = searched(warm, prompts(SMOKE, pool(SMOKE, 0)), results["0/one-round/1/chosen"], SMOKE.search(WAYS[ONCE]), 1)
    np.testing.assert_array_equal(once["tokens"], results["0/one-round/1/trees"].value["tokens"])


@slow
def test_the_selected_are_the_most_perplexing_of_either_kind(finished: Any) -> None:
    results, _, _ = finished
    made, calls = results["0/itool/0/chosen"].value, pool(SMOKE, 0).column("calls") > 0
    for kind in (True, False):
        own = np.flatnonzero(calls == kind)
        chosen = np.intersect1d(own, made["records"])
        assert len(chosen) == int(len(own) * SMOKE.share)
        others = np.setdiff1d(own, chosen)
        assert made["losses"][chosen].min() >= made["losses"][others].max()


@slow
def test_arms_share_warm_up_and_steps_and_differ_in_loss_and_data(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == {MIXED, WARM, *WAYS}
    steps = {arms[label].cost.steps for label in WAYS}
    assert steps == {SMOKE.base + len(LEVELS) * SMOKE.warm + SMOKE.iterations * SMOKE.steps}
    for label in WAYS:
        stages = [own for own in arms[label].results if own.kind == "train"]
        assert [own.name for own in stages][1:4] == [f"0/easy-to-hard/{k}" for k in range(3)]
        loss = stages[-1].stage.objective
        assert loss == (SMOKE.dpo if label == DPO else SMOKE.simpo) or label in (LONGER, HARD)
    assert SMOKE.simpo == Preference(2.5, mean=True, reference=False, margin=0.5)
    coin, own = (results[f"0/{slug(label)}/0/pairs"].value for label in (COIN, ITOOL))
    both = [np.sort(np.stack([made["chosen"], made["rejected"]]), 0) for made in (coin, own)]
    np.testing.assert_array_equal(*both)


@slow
def test_adapters_are_merged_and_change_kernels_alone(tmp_path: Path) -> None:
    config = replace(SMOKE, rank=2, iterations=1)  # as the pod preset has them
    with running(tmp_path, EXPERIMENT.name, mesh="data=1") as run:
        base = run.train(supervised(config, "base", reading(config), config.base, config.base_rate))
        rounds(run, config, ITOOL, 0, (base,), Found(run, config))
        results = {result.name: result for result in run.results}
        before, after = flat(base), flat(results["0/itool/0/merged"])
    assert set(before) == set(after)
    changed = {path for path in before if (before[path] != after[path]).any()}
    assert changed
    assert all("blocks" in path and path.endswith("kernel") for path in changed)


@slow
def test_searches_are_charged_and_whole_responses_have_no_fewer_tokens_at_first(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert arms[LONGER].charged_cost.sampled_tokens == 0
    for label in set(WAYS) - {LONGER, HARD, COIN}:
        at = slug(label)
        second = results[f"0/{at}/1/trees"].cost.sampled_tokens
        assert arms[label].charged_cost.sampled_tokens > second > 0
    assert arms[COIN].charged_cost.sampled_tokens == arms[ITOOL].charged_cost.sampled_tokens
    first = {label: results[f"0/{slug(label)}/0/trees"].cost.sampled_tokens for label in (ITOOL, WHOLE)}
    assert first[WHOLE] >= first[ITOOL]


@slow
def test_every_arm_and_search_is_in_the_tables(finished: Any) -> None:
    _, report, _ = finished
    tables = {table.title: table for table in report.tables}
    assert {row[0] for row in tables["Right greedy responses"].rows} == {BASE, MIXED, WARM, *WAYS}
    searched = {row[0] for row in tables["What searches over fragments found"].rows}
    assert len(searched) == 7 * SMOKE.iterations
    assert f"{FAST}, round 1" in searched
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}


def test_no_tool_of_tests_is_seen_in_training() -> None:
    config = preset("laptop")
    held = {" ".join(name) for split in ("dev", "test") for name in names_of(split)}
    parts = [part.source for part in reading(config).parts[:3]]  # type: ignore[attr-defined]
    for source in (*parts, *(level(config, k, 0) for k in range(3))):
        docs = " ".join(source[i]["question"].partition(" user ")[0] for i in range(25))
        assert not any(f"{name} (" in docs for name in held)
    asked = requests_of(config, "test")
    assert [asked[i]["ask"] for i in range(0, len(asked), config.tests[0])] == list(ASKS)


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}

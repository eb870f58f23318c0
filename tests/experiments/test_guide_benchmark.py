"""GUIDE at smoke size: what each stage starts from and sees, what is said of which videos, what the arms cost."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.multimodal.guide_benchmark import (
    BLIND,
    EMPTY,
    EXPERIMENT,
    FOUR,
    GUIDED,
    GUIDES,
    NEAR,
    OTHER,
    PLAIN,
    PREDICTED,
    SCRATCH,
    TRUE,
    WRONG,
    annotated,
    guides_of,
    last_videos,
    preset,
    terms,
)
from stagejax import Plan
from stagejax.data.video.guide_records import guideline_of
from stagejax.data.video.guidelines import numbered

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def arms_of(report: Any) -> dict[str, Any]:
    return {arm.group: arm for arm in report.arms}


def test_guidelines_beside_videos_are_what_their_name_says() -> None:
    cfg = replace(SMOKE, held=(4, 12))
    tasks = annotated(cfg)["test"]
    true, wrong = (guides_of(cfg, tasks, guide, None) for guide in (TRUE, WRONG))
    assert true == [numbered(guideline_of(task)) for task in tasks] == guides_of(cfg, tasks, BLIND, None)
    assert guides_of(cfg, tasks, EMPTY, None) == [""] * 12
    for at, (own, other) in enumerate(zip(true, wrong, strict=True)):
        assert own != other
        assert other in true
        assert tasks[true.index(other)]["category"] == tasks[at]["category"]


def test_tasks_of_the_test_are_in_no_stage() -> None:
    records = annotated(SMOKE)
    lists = {
        split: {tuple(step.split()[0] for step in guideline_of(task)) for task in records[split]} for split in records
    }
    assert {split: len(found) for split, found in lists.items()} == {"train": 12, "valid": 4, "test": 4}
    assert not lists["test"] & (lists["train"] | lists["valid"])


@pytest.mark.parametrize("name", ["smoke", "laptop", "pod"])
def test_guidelines_are_predicted_from_other_videos_than_those_captioned(name: str) -> None:
    cfg = preset(name)
    each = cfg.videos.videos
    assert FOUR in cfg.counts
    assert max(cfg.counts) <= each
    first = {at * each + k for at in range(cfg.held[1]) for k in range(cfg.captioned)}
    assert not first & set(np.ravel(last_videos(cfg, FOUR)).tolist())
    assert len(last_videos(cfg, FOUR)) == cfg.held[1]


def test_retrieval_looks_at_words_and_at_what_follows_what() -> None:
    assert terms(["take the boot", "turn the boot"]) == [*["take", "the", "boot", "turn", "the", "boot"], "take>turn"]


@pytest.mark.slow
def test_stages_start_from_stage_2_and_see_what_they_may(finished: Any) -> None:
    results, _, _ = finished
    stages = {name: result.stage for name, result in results.items() if result.kind == "train"}
    guides = {name.split("/")[1]: own.data.guide for name, own in stages.items() if hasattr(own.data, "guide")}
    assert guides == {"captioning": "none", "no-guideline": "none", "guided": "gold"}
    assert all(own.evaluate.data.source.split == "valid" for own in stages.values())
    base = flat(next(result for name, result in results.items() if name.startswith("0/captioning/")))
    sight = flat(results["eyes"])
    for name, result in results.items():
        if result.kind == "train" and name != "eyes":
            own = flat(result)
            for path in sight:
                if not path.startswith("heads/"):
                    assert np.array_equal(own[f"frames/{path}"], sight[path])
        if result.kind == "train" and name != "eyes" and not name.startswith("0/captioning"):
            assert own.keys() == base.keys()
            moved = max(np.abs(own[path] - base[path]).max() for path in base)
            assert 0 < moved < 0.2  # a few steps away, not a start of its own


@pytest.mark.slow
def test_arms_are_of_equal_cost_and_predictions_are_charged(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    assert set(arms) == {PLAIN, GUIDED, f"{GUIDED}, {PREDICTED}"}
    assert float(arms[PLAIN].cost.flops) == float(arms[GUIDED].cost.flops)
    assert float(arms[f"{GUIDED}, {PREDICTED}"].charged_cost.flops) > float(arms[GUIDED].charged_cost.flops)
    names = {result.name for result in arms[f"{GUIDED}, {PREDICTED}"].charged}
    assert any(name.startswith("0/summaries") for name in names)


def test_the_choice_of_a_route_is_charged_with_both() -> None:
    arms = arms_of(EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE))
    names = {result.name for result in arms[f"{GUIDED}, {PREDICTED}"].charged}
    more = names - {result.name for result in arms[GUIDED].charged}
    assert {name.partition("/summaries-")[2].partition("/")[0] for name in more} >= {"videos", "captions"}


@pytest.mark.slow
def test_the_report_judges_all_tasks(finished: Any) -> None:
    results, report, _ = finished
    assert len(report.claims) == 4
    assert {own.verdict for own in report.claims} <= {"holds", "does not hold"}
    tables = {table.title: table for table in report.tables}
    rows = [row[0] for row in tables["Step captioning"].rows]
    assert rows == [PLAIN, *(f"{GUIDED}: {guide}" for guide in GUIDES)]
    routes = [row[0] for row in tables["Guideline summarization"].rows]
    assert len(routes) == 2 * len(SMOKE.counts) + 2
    found = results["0/nearest"].value
    train = [guideline_of(task) for task in results["build"].value["train"]]
    assert all(own in train for own in found["lists"])
    assert f"{NEAR}, {FOUR}" in routes


@pytest.mark.slow
def test_arms_beside_the_claims_have_the_steps_and_rates_of_theirs() -> None:
    plan = Plan.on("data=1", price=False)
    arms = arms_of(EXPERIMENT.pipeline(plan, replace(SMOKE, beside=(SCRATCH, OTHER))))
    assert sum(result.steps for result in arms[SCRATCH].results) == sum(result.steps for result in arms[GUIDED].results)
    assert len(arms[SCRATCH].results) == 1
    assert arms[OTHER].results[-1].stage.data.guide == "other"
    assert arms[OTHER].results[-1].stage.optimizer == arms[GUIDED].results[-1].stage.optimizer

"""UTP: no table in two splits, arms that differ by stage 1 alone, equal tokens and searches, SQL that is executed."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.transfer.unified_table_pretraining import (
    AVERAGE,
    EACH,
    EXPERIMENT,
    MIX,
    NONE,
    SPAN,
    TASKS,
    TEXT,
    Config,
    Trained,
    accuracy,
    compared,
    judged,
    mixed,
    preset,
    table_rows,
    task_rows,
    text_rows,
)
from experiments.transfer.unified_table_pretraining import test_rows as rows_of_tests
from stagejax import Plan
from stagejax.data.tables.table_denoising import MIXED, TokenSpans
from stagejax.names import slug
from stagejax.report import Arm

SMOKE = preset("smoke")
PLAIN, TUNED = SMOKE.studies
finished = smoke_run(EXPERIMENT, SMOKE)


def tables(cfg: Config, split: str) -> set[str]:
    source = cfg.tables.of_split(split)
    return {source[at]["table"] for at in range(len(source))}


def used(data: Any) -> set[str]:
    return {data.source[at]["table"] for at in range(len(data.source))}


@pytest.mark.parametrize(
    "name",
    [
        "smoke",
        pytest.param(
            "laptop",
            marks=(pytest.mark.slow, pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="no data")),
        ),
    ],
)
def test_train_development_and_test_share_no_table(name: str) -> None:
    cfg = preset(name)
    parts = [tables(cfg, split) for split in ("train", "dev", "test")]
    assert all(not a & b for i, a in enumerate(parts) for b in parts[:i])
    assert cfg.tokenizer.source.parts[1].source == cfg.tables
    for arm in (SPAN, MIX):
        assert table_rows(cfg, arm).source == cfg.tables
    if name == "smoke":
        for task in TASKS:
            data = task_rows(cfg, task)
            assert used(data) <= parts[0]
            assert used(data.held_out(1, "dev")) <= parts[1]
            own = used(rows_of_tests(cfg, task))
            assert own <= parts[2]
            assert len(own) == len(rows_of_tests(cfg, task).source)  # one example of a table


def test_rows_of_text_have_as_many_tokens_as_rows_of_tables() -> None:
    text, table = (rows.take(np.arange(200)) for rows in (text_rows(SMOKE), table_rows(SMOKE, SPAN)))
    counts = [float(rows["mask"].sum() + rows["weights"].sum()) / 200 for rows in (text, table)]
    assert counts[0] == pytest.approx(counts[1], rel=0.05)


def test_arms_differ_by_their_denoisers_alone() -> None:
    one, other = table_rows(SMOKE, SPAN), table_rows(SMOKE, MIX)
    assert one.denoisers == (TokenSpans(),)
    assert other.denoisers == MIXED
    assert {type(denoiser).__name__ for denoiser in MIXED} == {"TokenSpans", "Cells", "Columns", "Context"}
    assert one.vocab <= text_rows(SMOKE).vocab


def test_tasks_are_drawn_by_the_root_of_their_sizes() -> None:
    data = mixed(SMOKE)
    counts = np.bincount(data.owners(np.arange(1000)), minlength=3)
    roots = np.sqrt(SMOKE.sizes)
    np.testing.assert_allclose(counts / 1000, roots / roots.sum(), atol=0.002)
    assert [len(part.source) for part in data.parts] == pytest.approx([*SMOKE.sizes], rel=0.1)


@pytest.mark.slow
def test_stage_one_is_as_long_in_all_arms_and_begins_at_one_start(finished: Any) -> None:
    results, report, _ = finished
    at = slug(PLAIN.name)
    stages = [results[f"{at}/{slug(arm)}/continued"] for arm in (TEXT, SPAN, MIX)]
    assert {one.stage.steps for one in stages} == {SMOKE.steps[1]}
    assert f"{at}/{slug(NONE)}/continued" not in results
    arms = {arm.name: arm for arm in report.arms}
    for arm in (TEXT, SPAN, MIX):
        names = [one.name for one in arms[f"{PLAIN.name}: {arm}"].results]
        assert names[:2] == [f"{at}/start", f"{at}/{slug(arm)}/continued"]
    assert len(arms[f"{PLAIN.name}: {NONE}"].results) == 2


@pytest.mark.slow
def test_every_arm_is_charged_with_the_same_search_and_the_unified_model_is_not_trained_longer(finished: Any) -> None:
    results, report, _ = finished
    rates: dict[str, list[str]] = {}
    for arm in (NONE, TEXT, SPAN, MIX):
        rates[arm] = [name for name in results if name.startswith(f"{slug(PLAIN.name)}/{slug(arm)}/rate/")]
        assert len(rates[arm]) == len(SMOKE.rates)
    arms = {arm.name: arm for arm in report.arms}
    for arm in (NONE, TEXT, SPAN, MIX):
        own = arms[f"{PLAIN.name}: {arm}"]
        assert sorted(one.name for one in (own.results[-1], *own.charged)) == sorted(rates[arm])
    apart = [results[f"{slug(PLAIN.name)}/{slug(MIX)}/apart/{task}"] for task in TASKS]
    unified = arms[f"{PLAIN.name}: {MIX}"].results[-1]
    assert {one.stage.steps for one in (*apart, unified)} == {SMOKE.steps[2]}
    assert {one.stage.optimizer for one in (*apart, unified)} == {unified.stage.optimizer}
    own = arms[f"{PLAIN.name}: {EACH}"]
    assert {one.name for one in apart} <= {one.name for one in (*own.results, *own.charged)}


@pytest.mark.slow
def test_the_chosen_rate_has_the_lowest_loss_on_development_tables(finished: Any) -> None:
    results, report, _ = finished
    for row in report.tables[1].rows:
        study, arm = row[0].split(": ")
        losses = [results[f"{slug(study)}/{slug(arm)}/rate/{rate:g}"].history.last("loss") for rate in SMOKE.rates]
        assert list(row[1:-1]) == pytest.approx(losses)
        assert row[-1] == SMOKE.rates[int(np.argmin(losses))]
    data = results[f"{slug(PLAIN.name)}/{slug(MIX)}/rate/{SMOKE.rates[0]:g}"].stage.evaluate.data
    assert {part.source.split for part in data.parts} == {"dev"}


@pytest.mark.slow
def test_accuracies_are_of_what_is_said_and_not_of_strings(finished: Any) -> None:
    from stagejax.data.tables.table_sql import same_result

    results, report, _ = finished
    said = results[f"{slug(PLAIN.name)}/{slug(MIX)}/0/sql"].value
    source = rows_of_tests(SMOKE, "sql").source
    wanted = [same_result(text, source[at]["answer"], source[at]["grid"]) for at, text in enumerate(said["said"])]
    assert said["right"] == wanted
    assert said["tokens"] > 0
    row = next(row for row in report.tables[0].rows if row[0] == f"{PLAIN.name}: {MIX}")
    means = [100 * np.mean(results[f"{slug(PLAIN.name)}/{slug(MIX)}/0/{task}"].value["right"]) for task in TASKS]
    assert [float(cell) for cell in row[1:]] == pytest.approx([*means, np.mean(means)], abs=0.051)
    assert len(report.claims) == 4


@pytest.mark.slow
def test_the_other_start_has_learned_text_tasks(finished: Any) -> None:
    results, report, _ = finished
    tuned = results[f"{slug(TUNED.name)}/tuned"]
    assert tuned.stage.data.parts[0].source == TUNED.tuned[0][0]
    arms = {arm.name: [one.name for one in arm.results] for arm in report.arms}
    assert arms[f"{TUNED.name}: {NONE}"][:2] == [f"{slug(TUNED.name)}/start", tuned.name]


def marks(answer: list[float], sql: list[float]) -> Trained:
    names = [f"t{at}" for at in range(len(answer))]
    own = {"answer": answer, "sql": sql, "statement": [1.0] * len(answer)}
    return Trained(Arm("", ()), {task: dict(zip(names, row, strict=True)) for task, row in own.items()})


def test_claims_follow_their_rules() -> None:
    few, many = marks([0.0, 0.0, 1.0, 0.0], [0.0] * 4), marks([1.0, 0.0, 1.0, 1.0], [1.0] * 4)
    own = {NONE: {0: few}, TEXT: {0: few}, MIX: {0: many}, EACH: {0: few}}
    assert accuracy(own, MIX, AVERAGE) == [pytest.approx(100 * (0.75 + 1 + 1) / 3)]
    gap = compared(own, MIX, NONE)
    assert gap.difference == pytest.approx(50.0)
    assert gap.low > 0
    every = {PLAIN.name: own, TUNED.name: {NONE: {0: few}, MIX: {0: many}}}
    assert [claim.verdict for claim in judged(SMOKE, every)] == ["holds"] * 4
    swapped = {NONE: {0: many}, TEXT: {0: many}, MIX: {0: few}, EACH: {0: many}}
    every = {PLAIN.name: swapped, TUNED.name: {NONE: {0: many}, MIX: {0: few}}}
    assert [claim.verdict for claim in judged(SMOKE, every)] == ["does not hold"] * 4


def test_the_pod_preset_spans_the_papers_scale() -> None:
    pod = preset("pod")
    assert [study.net.embed for study in pod.studies[:3]] == [1024, 2048, 4096]
    assert pod.lengths == (1024, 256)
    assert pod.batch == 512


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}

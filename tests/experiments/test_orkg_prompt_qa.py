"""Prompt-QA: no test text is tuned on or learned from, the best epoch counts, arms differ by one thing alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.orkg_prompt_qa import (
    CARRY,
    EXPERIMENT,
    LENT,
    NO_QA,
    SCRATCH,
    TUNED,
    VANILLA,
    answering,
    few,
    of_reading,
    preset,
    scored,
    tuning,
)
from stagejax import Plan
from stagejax.inference.prompts.span_guesses import GUESSES

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_tokenizers_see_the_texts_of_tuning_rows_and_of_no_test_row() -> None:
    known = SMOKE.tokenizer(SMOKE.readers[0]).source
    texts = {known.parts[1][i]["text"] for i in range(len(known.parts[1]))}
    test = {row["context"] for row in SMOKE.rows.of_split("test").rows()}
    assert texts == {row["context"] for row in SMOKE.rows.rows()}
    assert test
    assert not texts & test


def test_an_epoch_of_a_share_has_its_part_of_the_steps_and_one_schedule() -> None:
    whole, part = (tuning(SMOKE, SMOKE.readers[0], "x", replace(SMOKE.rows, share=x), 1e-3, 0) for x in (1.0, 0.2))
    assert whole.steps == round(SMOKE.sizes[0] / SMOKE.batch)
    assert part.steps == round(0.2 * SMOKE.sizes[0] / SMOKE.batch)
    assert whole.optimizer.horizon == SMOKE.epochs * whole.steps
    assert len(part.data.source) == round(0.2 * len(whole.data.source))
    assert whole.evaluate.data.source == replace(SMOKE.rows, split="dev")
    assert part.evaluate.data.source.rows() == whole.evaluate.data.source.rows()
    assert answering(SMOKE, SMOKE.readers[0], 3).seed == 3
    assert CARRY.data == "carry"
    assert not of_reading("encoder/head/dense", None)
    assert of_reading("ends/kernel", None)


def test_scores_are_of_the_rows_that_are_kept() -> None:
    rows = SMOKE.rows.of_split("test")
    said = [row["context"][row["start"] : row["end"]] if i % 2 else "" for i, row in enumerate(rows.rows())]
    hidden = scored(SMOKE, said, "test", lambda row: row["predicate"] in SMOKE.rows.unseen)
    kept = [i for i, row in enumerate(rows.rows()) if row["predicate"] in SMOKE.rows.unseen]
    assert kept
    assert hidden["strict"] == pytest.approx(np.mean([i % 2 for i in kept]))
    assert np.isnan(scored(SMOKE, None, "test", lambda row: True)["strict"])


@pytest.mark.parametrize("name", ["smoke", "full", "pod"])
def test_a_plan_tests_no_claim_and_has_every_arm(name: str) -> None:
    cfg = preset(name)
    report = EXPERIMENT.pipeline(Plan.on("data=16,fsdp=2" if name == "pod" else "data=1", price=False), cfg)
    assert {own.verdict for own in report.claims} == {"not tested"}
    assert len(report.claims) == 6
    groups = {arm.group for arm in report.arms}
    assert len(groups) == 5 + 2 * len(cfg.shares) + 2 * len(cfg.readers[1:])


@pytest.mark.slow
def test_arms_start_where_they_should(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert {VANILLA, TUNED, NO_QA, SCRATCH, LENT, few(TUNED, 0.2), few(NO_QA, 0.2)} <= set(arms)
    charged = {name: {own.name for own in arm.charged} for name, arm in arms.items()}
    assert {"uncased/read", "uncased/general/0"} <= charged[TUNED] & charged[LENT] & charged[few(TUNED, 0.2)]
    assert "uncased/read" in charged[NO_QA]
    assert "uncased/general/0" not in charged[NO_QA]
    assert not {"uncased/read", "uncased/general/0"} & charged[SCRATCH]
    for arm in (TUNED, NO_QA, SCRATCH, LENT):
        assert len(arms[arm].results) == SMOKE.epochs
    assert results["uncased/general/0"].history.last("loss") < np.log(SMOKE.length)


@pytest.mark.slow
def test_tuning_moves_all_but_the_head_of_tokens(finished: Any) -> None:
    results, report, _ = finished
    before = flat(results["uncased/general/0"])
    after = flat(next(own for own in report.arms if own.name == TUNED).results[-1])
    moved = {path for path in before if np.abs(before[path] - after[path]).max() > 0}
    assert moved
    assert not any(path.startswith("encoder/head") for path in moved)
    assert any("tokens" in path for path in moved)
    assert any(path.startswith("ends") for path in moved)


@pytest.mark.slow
def test_all_arms_and_rules_are_scored_on_the_same_rows(finished: Any) -> None:
    results, report, _ = finished
    said = results["uncased/said/vanilla/0"].value
    assert len(said) == len(SMOKE.rows.of_split("test"))
    tables = {table.title: table for table in report.tables}
    rows = {row[0] for row in tables["Test rows of tuned predicates"].rows}
    assert {VANILLA, TUNED, NO_QA, SCRATCH, LENT, *GUESSES} <= rows
    assert results["guesses/test"].value.keys() == GUESSES.keys()
    assert "not tested" not in {own.verdict for own in report.claims}

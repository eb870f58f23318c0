"""Qwen2.5-Math: each product comes of the one before, tests are not trained on, drawn tokens are equal and charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.reasoning import qwen25_math_self_improvement as own
from stagejax import Plan
from stagejax.data.selection.decontaminated import left_out
from stagejax.state import digest

EXPERIMENT, SHAPED = own.EXPERIMENT, own.SHAPED
SMOKE = own.preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


@pytest.mark.slow
def test_each_product_comes_of_the_one_before(finished: Any) -> None:
    results, _, _ = finished
    for turn in "01":
        assert results[f"0/rm-{turn}"].handover[0][3] in {"carry", "reset"}
        heads = set(flat(results[f"0/rm-{turn}"])) - set(flat(results[f"0/sft-{turn}"]))
        assert heads == {"inner/kernel", "inner/bias", "score/kernel", "score/bias"}
    assert results["0/scores-0"].value["score"].shape == results["0/answers-0"].value["right"].shape
    assert len(results["0/sft-1/rows"].value["tokens"]) > len(results["0/sft-0/rows"].value["tokens"])
    last = results["0/grpo-shaped"].state()
    assert digest(last["reference"].params) == results["0/sft-1"].digest != digest(last["policy"].params)
    assert digest(last["judge"].params) == results["0/rm-1"].digest


@pytest.mark.slow
def test_drawn_tokens_are_charged_and_answers_equal(finished: Any) -> None:
    results, report, _ = finished
    for name in ("0/answers-0", "0/answers-1", "0/grpo-shaped"):
        assert results[name].cost.sampled_tokens > 0
    rows = [len(results[f"0/answers-{part}"].value["right"]) for part in ("0", "1")]
    plain = [len(results[f"0/answers-0{part}"].value["right"]) for part in ("", "-again", "-more")]
    assert sum(plain) == sum(rows) + SMOKE.rl_answers
    for arm in report.arms:
        drew = arm.cost.sampled_tokens + arm.charged_cost.sampled_tokens
        assert (drew == 0) == (arm.name in {own.SFT0, own.LONGER, own.TOOL0})
    assert results["0/sft-longer"].stage.steps == SMOKE.longer


@pytest.mark.slow
def test_a_number_is_that_of_the_same_problem_in_all_draws(finished: Any) -> None:
    """Votes and known answers of plain RFT go by the numbers of prompts, over three draws."""
    results, _, _ = finished
    asked = []
    for part in ("", "-again", "-more"):
        told = results[f"0/answers-0{part}"].value
        rows = zip(told["prompt"], told["tokens"], told["starts"], strict=True)
        asked.append({p: tuple(row[:at]) for p, row, at in rows})
    assert len(asked[0]) > len(asked[2]) == SMOKE.rl_answers // SMOKE.samples
    assert all(own.items() <= asked[0].items() for own in asked)


@pytest.mark.slow
def test_a_report_has_all_tables(finished: Any) -> None:
    _, report, folder = finished
    assert [len(table.rows) for table in report.tables] == [8, 3, 3, 1, 3]
    assert (folder / "report.json").exists()


def test_training_and_tests_share_no_program_and_half_of_the_answers_are_unknown() -> None:
    assert left_out(own.read_by(SMOKE), "program")["tests"] == 4 * SMOKE.tests
    tests = {own.held_out(SMOKE, split)[0]["question"] for split in own.SPLITS}
    assert len(tests) == 3
    source = own.practice(SMOKE, 0)
    data = own.prompts(SMOKE, source)
    numbers = data.records(np.arange(len(source)))
    share = np.mean(own.loop.known({"prompt": numbers}))
    assert abs(share - 0.5) <= 0.5 / len(source)


def test_arms_are_charged_for_the_scores_that_select_and_for_the_rates_that_were_tried() -> None:
    cfg = replace(SMOKE, rates=(1e-3, 1e-4))
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), cfg)
    charged = {arm.name: [result.name for result in arm.charged] for arm in report.arms}
    tried = {"0/rate-0.001", "0/rate-0.0001"}
    assert {arm for arm, names in charged.items() if "0/scores-0" in names} == {own.SFT1, *own.TRUST} & set(charged)
    assert {arm for arm, names in charged.items() if tried <= set(names)} == set(own.TRUST) & set(charged)
    assert not any(tried & set(names) for arm, names in charged.items() if arm not in own.TRUST)


@pytest.mark.parametrize("name", ["smoke", pytest.param("laptop", marks=pytest.mark.slow)])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), own.preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}

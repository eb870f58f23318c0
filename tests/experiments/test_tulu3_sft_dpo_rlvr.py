"""Tülu 3: the reference is where the stage began, pairs are ordered by the verifier, all drawn tokens are charged."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.preference_rl.tulu3_sft_dpo_rlvr import DPO, EXPERIMENT, FULL, preset, splits, tuning
from stagejax import Plan
from stagejax.data.prompts.constrained import contents
from stagejax.objectives.rewards.preference import answer_logprobs
from stagejax.state import digest

pytestmark = pytest.mark.slow  # a smoke run of a minute, most of it compilation
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def own(report: Any, name: str) -> Any:
    return next(arm for arm in report.arms if arm.name == name)


def test_references_are_the_starting_models(finished: Any) -> None:
    results, report, _ = finished
    dpo, rl = own(report, FULL).results
    assert dpo.name.startswith("0/dpo/")
    last = rl.state()
    assert digest(last["reference"].params) == dpo.digest
    assert digest(last["policy"].params) != dpo.digest
    pairs = results["0/pairs"].value
    tokens, weights = map(jnp.asarray, (pairs["chosen"], pairs["chosen_weights"]))
    cached = answer_logprobs(results["sft/0.005"].module(), tokens, weights)
    np.testing.assert_allclose(pairs["chosen_reference"], cached, rtol=1e-4)
    assert results["0/reward"].handover[0][3] == "carry"
    assert {row[3] for row in results["0/reward"].handover if row[0] == "params"} == {"carry", "reset"}
    critic, before = flat(results["0/reward"]), flat(results["sft/0.005"])
    assert set(critic) - set(before) == {"score/kernel", "score/bias"}


def test_seeds_of_more_fine_tuning_see_other_orders() -> None:
    orders = [tuning(SMOKE, "sft-more", 4, seed).data.take(np.arange(8))["tokens"] for seed in (0, 1)]
    assert (orders[0] != orders[1]).any()


def test_all_drawn_tokens_are_charged(finished: Any) -> None:
    results, report, _ = finished
    for name in ("0/pairs", "0/more-pairs"):
        assert results[name].cost.sampled_tokens == results[name].value["drawn"].sum() > 0
        assert results[name].cost.flops > 0
    arm = own(report, FULL)
    rl = arm.results[-1]
    assert rl.cost.sampled_tokens == sum(rl.history.train["sampled_tokens"]) > 0
    assert arm.cost.sampled_tokens + arm.charged_cost.sampled_tokens == sum(
        result.cost.sampled_tokens for result in (results["0/pairs"], rl)
    )
    assert {arm.cost.steps for arm in report.arms} == {SMOKE.dpo_steps + SMOKE.rl_steps}


def test_prompts_that_choose_are_not_tested() -> None:
    every = splits(preset("laptop"))
    assert not contents([every["choice"]]) & contents([every["dev"], every["unseen"]])
    assert len(every["choice"]) >= preset("laptop").tests


def test_rates_are_chosen_by_answers_and_every_arm_owes_its_search(finished: Any) -> None:
    results, report, _ = finished
    table = next(table for table in report.tables if table.title == "Learning rates")
    chosen = {row[0]: row[3] for row in table.rows}
    for search, arm, stage in (("stage DPO", FULL, "0/dpo"), (DPO, DPO, "0/dpo-long")):
        tried = {name: net for name, net in results.items() if name.startswith(f"{stage}/")}
        wrong = {name: 1 - net.history.last("accuracy") for name, net in tried.items()}
        assert len(tried) >= 2
        best = own(report, arm).results[0]
        assert best.name == f"{stage}/{chosen[search]:g}"
        assert wrong[best.name] == min(wrong.values())
        assert {net.name for net in own(report, arm).charged} >= set(tried) - {best.name}


def test_training_and_tests_share_nothing_and_answers_are_shown(finished: Any) -> None:
    results, report, _ = finished
    assert results["decontamination"].value["shared"] == 0
    examples = report.tables[-1]
    assert {row[0] for row in examples.rows} == {"stage SFT", "stage DPO", FULL}
    assert all(isinstance(text, str) for row in examples.rows for text in row)
    assert results["sft/0.005"].history.last("accuracy") > results["base"].history.last("accuracy")


@pytest.mark.parametrize("name", ["smoke", "laptop", "long"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}

"""Tülu 3: the reference is where the stage began, pairs are ordered by the verifier, all drawn tokens are charged."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.preference_rl.tulu3_sft_dpo_rlvr import EXPERIMENT, FULL, preset, tuning
from stagejax import Plan
from stagejax.objectives.rewards.preference import answer_logprobs
from stagejax.state import digest

pytestmark = pytest.mark.slow  # a smoke run of a minute, most of it compilation
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_references_are_the_starting_models(finished: Any) -> None:
    results, _, _ = finished
    last = results["0/sft-dpo-rlvr"].state()
    assert digest(last["reference"].params) == results["0/dpo"].digest
    assert digest(last["policy"].params) != results["0/dpo"].digest
    pairs = results["0/pairs"].value
    tokens, weights = map(jnp.asarray, (pairs["chosen"], pairs["chosen_weights"]))
    cached = answer_logprobs(results["sft"].module(), tokens, weights)
    np.testing.assert_allclose(pairs["chosen_reference"], cached, rtol=1e-4)
    assert results["0/reward"].handover[0][3] == "carry"
    assert {row[3] for row in results["0/reward"].handover if row[0] == "params"} == {"carry", "reset"}
    critic, before = flat(results["0/reward"]), flat(results["sft"])
    assert set(critic) - set(before) == {"score/kernel", "score/bias"}


def test_seeds_of_more_fine_tuning_see_other_orders() -> None:
    orders = [tuning(SMOKE, "sft-more", 4, seed).data.take(np.arange(8))["tokens"] for seed in (0, 1)]
    assert (orders[0] != orders[1]).any()


def test_all_drawn_tokens_are_charged(finished: Any) -> None:
    results, report, _ = finished
    for name in ("0/pairs", "0/more-pairs"):
        assert results[name].cost.sampled_tokens == results[name].value["drawn"].sum() > 0
        assert results[name].cost.flops > 0
    rl = results["0/sft-dpo-rlvr"]
    assert rl.cost.sampled_tokens == sum(rl.history.train["sampled_tokens"]) > 0
    arm = next(arm for arm in report.arms if arm.name == FULL)
    assert arm.cost.sampled_tokens + arm.charged_cost.sampled_tokens == sum(
        results[name].cost.sampled_tokens for name in ("0/pairs", "0/sft-dpo-rlvr")
    )
    assert {arm.cost.steps for arm in report.arms} == {SMOKE.dpo_steps + SMOKE.rl_steps}


def test_training_and_tests_share_nothing_and_answers_are_shown(finished: Any) -> None:
    results, report, _ = finished
    assert results["decontamination"].value["shared"] == 0
    examples = report.tables[-1]
    assert {row[0] for row in examples.rows} == {"stage SFT", "stage DPO", FULL}
    assert all(isinstance(text, str) for row in examples.rows for text in row)
    assert results["sft"].history.last("accuracy") > results["base"].history.last("accuracy")


@pytest.mark.parametrize("name", ["smoke", "laptop", "long"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}

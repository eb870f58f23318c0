"""RISE-Judge: own critiques of hard, new pairs; SFT as reference; equal rows and steps; both orders; nothing told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.preference_rl.rise_judge_sft_dpo import (
    CHOSEN,
    EXPERIMENT,
    LONGER,
    RANDOM,
    RISE,
    SCALAR,
    SFT,
    SHORT,
    preset,
    problems_of,
    prompts,
)
from stagejax import Plan
from stagejax.data.prompts.judging import KINDS, verdict
from stagejax.objectives.rewards.preference import answer_logprobs

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


@pytest.mark.slow  # a minute, most of it compilation
def test_pairs_are_the_judges_own_critiques_of_new_pairs_that_it_finds_hard(finished: Any) -> None:
    results, _, _ = finished
    drawn, pairs = results["0/critiques"].value, results["0/pairs"].value
    said = drawn["said"] == np.tile([[0], [1]], (len(drawn["said"]) // 2, 1))
    hard = said.any(1) & ~said.all(1)
    assert 0 < len(pairs["prompt"]) <= hard.sum()
    assert hard[pairs["prompt"]].all()
    code = SMOKE.rows.code
    for k, prompt in enumerate(pairs["prompt"]):
        told = [code.decode(pairs[side][k]) for side in ("chosen", "rejected")]
        asked, critiques = zip(*(text.split(" check", 1) for text in told), strict=True)
        assert asked[0] == asked[1]
        assert verdict(critiques[0]) == prompt % 2
        same = [(drawn["tokens"][prompt] == pairs[side][k]).all(1) for side in ("chosen", "rejected")]
        assert (drawn["said"][prompt][same[0]] == prompt % 2).any()
        assert (drawn["said"][prompt][same[1]] != prompt % 2).any()  # the other answer, or cut before its end
    tokens, weights = jnp.asarray(pairs["rejected"]), jnp.asarray(pairs["rejected_weights"])
    sft = next(result for name, result in results.items() if name.startswith("0/sft/0"))
    cached = answer_logprobs(sft.module(), tokens, weights)  # the reference is the SFT judge
    np.testing.assert_allclose(pairs["rejected_reference"], cached, rtol=1e-4)
    both = [results[f"0/{name}/pairs"].value if name else pairs for name in ("", "sides-at-random")]
    assert sorted(map(tuple, both[0]["chosen"])) != sorted(map(tuple, both[1]["chosen"]))


@pytest.mark.slow
def test_arms_have_equal_steps_and_critiques_are_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == {SFT, LONGER, RISE, CHOSEN, RANDOM, SCALAR, SHORT}
    assert {arms[name].cost.steps for name in arms if name != SFT} == {sum(SMOKE.steps)}
    drawn = results["0/critiques"]
    assert drawn.cost.sampled_tokens == (drawn.value["ends"] - drawn.value["starts"]).sum() > 0
    assert arms[RISE].charged_cost.sampled_tokens == drawn.cost.sampled_tokens
    assert arms[LONGER].charged_cost.sampled_tokens == arms[SCALAR].charged_cost.sampled_tokens == 0
    rows = results["0/sft/rows"].value
    assert rows["outcomes"].sum() == len(results["sft/pairs"].value) == SMOKE.sizes[0]
    assert len(rows["tokens"]) == rows["outcomes"][0] < SMOKE.sizes[0]
    assert len(results["0/sft-longer/rows"].value["tokens"]) > len(rows["tokens"])  # DPO's pairs, too


@pytest.mark.slow
def test_every_test_pair_is_judged_in_both_orders_and_the_policy_learns_from_labels(finished: Any) -> None:
    results, report, _ = finished
    pairs = results["test/pairs"].value
    assert len(pairs) == SMOKE.tests  # none is left out
    for arm in ("sft", "sft-dpo-nll", "bradley-terry", "verdict-alone"):
        assert np.array(results[f"0/{arm}/test"].value).shape == (len(pairs), 2)
    scalar = np.array(results["0/bradley-terry/test"].value)
    assert ((scalar[:, 0] != scalar[:, 1]) | (scalar[:, 0] == -1)).all()  # it knows no order
    table = next(table for table in report.tables if table.title.startswith("Right verdicts"))
    assert table.columns[2:] == KINDS
    for who in ("sft-dpo-nll", "verifier", "coin"):
        assert 0 <= results[f"0/policy/{who}/test"].value <= 1
    assert len({claim.verdict for claim in report.claims} - {"not tested"}) > 0


def test_tests_share_no_problem_with_training_or_choices() -> None:
    config = replace(preset("laptop"), read=200, sizes=(100, 60))
    known = {record["program"] for name in ("read", "sft", "dpo") for record in problems_of(config, name)}
    dev, test = ([record["program"] for record in problems_of(config, name)] for name in ("dev", "test"))
    assert not known & {*dev, *test}
    assert not {*dev} & {*test}
    one_step = [np.mean([len(program.split()) == 3 for program in own]) for own in (dev, test)]
    assert abs(one_step[0] - one_step[1]) < 0.1  # rates are chosen on problems like those of the test


@pytest.mark.parametrize("name", [pytest.param("smoke", marks=pytest.mark.slow), "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}


@pytest.mark.parametrize("name", ["laptop", pytest.param("pod", marks=pytest.mark.slow)])
def test_problems_fit_their_prompts(name: str) -> None:
    config = replace(preset(name), tests=100)
    told = prompts(config, problems_of(config, "test"), 4).take(np.arange(100))
    assert told["lengths"].max() <= config.rows.problem

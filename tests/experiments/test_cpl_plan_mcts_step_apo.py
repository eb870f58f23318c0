"""CPL: round 2 searches with what round 1 trained, pairs are single steps of one model's trees, arms are equal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.reasoning.cpl_plan_mcts_step_apo import (
    APO,
    BASE,
    BASE_SOLVES,
    COIN,
    EXPERIMENT,
    KINDS,
    OWN,
    REAL,
    RFT,
    SFT,
    SHUFFLED,
    SOLVES,
    STEP,
    TUNED,
    WAYS,
    WHOLE,
    held_out,
    of_kind,
    preset,
    prompts,
    searchable,
)
from stagejax import Plan
from stagejax.inference.reasoning.tree_search import searched
from stagejax.names import slug
from stagejax.objectives.rewards.preference import Preference, answer_logprobs

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation
RATES = f"{SMOKE.tuning[0]:g}", f"{SMOKE.preferring[0]:g}"


@slow
def test_round_two_is_searched_by_round_ones_policy_and_value_net(finished: Any) -> None:
    results, _, _ = finished
    for style in ("plan", "solve"):
        asked, how = searchable(SMOKE, style, 0, 2), SMOKE.search(style, 2)
        policy, value = results[f"0/{style}/1/step-apo/{RATES[1]}"], results[f"0/{style}/1/value"]
        trees = results[f"0/{style}/2/trees"].value
        least = results["0/plan/2/trees"] if style == "solve" else None
        again = searched(policy, value, asked, how, 0, least)
        np.testing.assert_array_equal(again["tokens"], trees["tokens"])
        other = searched(policy, results[f"0/{style}/head"], asked, how, 0, least)
        assert (other["value"][0] != again["value"][0]).any()


@slow
def test_sft_and_the_value_net_start_from_the_base_and_preferences_from_sft(finished: Any) -> None:
    """By what lies between: one stage of training in SFT's, two in Step-APO's, whatever the round."""
    results, _, _ = finished
    for number in (1, 2):
        assert results[f"0/plan/{number}/sft/{RATES[0]}"].generation == results["base"].generation + 1
        assert results[f"0/plan/{number}/step-apo/{RATES[1]}"].generation == results["base"].generation + 2
    assert results["0/plan/1/value"].generation == results["base"].generation + 1
    head, base = flat(results["0/plan/head"]), flat(results["base"])
    for path in set(head) & set(base):
        np.testing.assert_array_equal(head[path], base[path])
    assert set(head) - set(base) == {"score/kernel", "score/bias"}


@slow
def test_pairs_are_single_steps_behind_one_prefix_with_the_difference_of_their_q(finished: Any) -> None:
    results, _, _ = finished
    made, trees = results["0/plan/2/pairs/steps"].value, results["0/plan/2/trees"].value
    for k in range(len(made["margin"])):
        first = [int(np.argmax(made[f"{side}_weights"][k] > 0)) for side in ("chosen", "rejected")]
        assert first[0] == first[1]
        np.testing.assert_array_equal(made["chosen"][k, : first[0] + 1], made["rejected"][k, : first[0] + 1])
        values, ends = [], []
        for side in ("chosen", "rejected"):
            own = np.flatnonzero((trees["tokens"] == made[side][k]).all(1))
            values.append({round(float(q), 4) for q in trees["value"][own]})
            ends.append(bool(trees["final"][own[0]]))
            assert made[f"{side}_weights"][k].sum() == trees["end"][own[0]] - trees["start"][own[0]]
        gap = float(made["margin"][k]) / (0.3 if all(ends) else 1.0)
        assert any(abs(good - bad - gap) < 1e-3 for good in values[0] for bad in values[1])
    tuned = results[f"0/plan/2/sft/{RATES[0]}"].module()
    cached = answer_logprobs(tuned, *(jnp.asarray(made[f"chosen{name}"]) for name in ("", "_weights")))
    np.testing.assert_allclose(made["chosen_reference"], cached, rtol=1e-4)  # the reference is SFT


@slow
def test_arms_differ_in_margins_alone_and_have_equal_steps(finished: Any) -> None:
    results, report, _ = finished
    rows = {label: results[f"0/plan/2/{slug(label)}/rows"].value for label in WAYS}
    assert not rows[STEP]["margin"].any()
    assert not rows[WHOLE]["margin"].any()
    assert sorted(rows[APO]["margin"]) == sorted(rows[SHUFFLED]["margin"])
    assert rows[APO]["margin"].min() > 0
    for other in (STEP, SHUFFLED):
        for name in ("chosen", "rejected", "chosen_weights", "rejected_weights"):
            np.testing.assert_array_equal(rows[APO][name], rows[other][name])
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == {BASE, BASE_SOLVES, TUNED, SFT, RFT, SOLVES, *WAYS}
    steps = {arms[name].cost.steps for name in arms if name not in (BASE, BASE_SOLVES, TUNED)}
    assert steps == {SMOKE.base + SMOKE.tuned + SMOKE.preferred}
    assert arms[COIN].results[-1].stage.objective == Preference(SMOKE.beta)


@slow
def test_every_search_or_draw_has_the_tokens_of_the_search_over_plans_and_is_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    spent = [results[f"0/plan/{number}/trees"].cost.sampled_tokens for number in (1, 2)]
    assert min(spent) > 0
    for label in (SFT, *WAYS):
        assert arms[label].charged_cost.sampled_tokens == sum(spent)
    for label in (RFT, SOLVES):
        assert arms[label].charged_cost.sampled_tokens >= sum(spent)


@pytest.mark.slow
def test_no_program_that_is_tested_is_trained_on() -> None:
    config = replace(preset("laptop"), tests=(64, 48), dev=32, test_batch=16)
    tested = {held_out(config, kind, "plan").source[i]["program"] for kind in (*KINDS, "dev") for i in range(32)}
    for kind in KINDS:
        source = of_kind(config, kind, "plan", size=50, seed=11)
        assert not tested & {source[i]["program"] for i in range(50)}
    for number in (1, 2):
        source = searchable(config, "solve", 0, number).source
        assert not tested & {source[i]["program"] for i in range(100)}
        assert "so" not in source[0]["asked"].split()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    config = replace(preset(name), real=None)
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), config)
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_questions_and_answers_of_the_laptop_fit() -> None:
    config = preset("laptop")
    for style in ("plan", "solve"):
        for kind in KINDS:
            source = of_kind(config, kind, style, size=40, seed=5)
            told = prompts(config, source, 16).take(np.arange(40))
            assert told["lengths"].max() <= config.prompt
            assert max(len(source[i]["said"].split()) + 1 for i in range(40)) <= config.limit
    assert config.prompt + config.limit == config.length
    assert OWN in KINDS
    assert REAL not in KINDS

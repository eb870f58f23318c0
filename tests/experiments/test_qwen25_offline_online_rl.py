"""Qwen2.5: pairs are the SFT model's own, DPO is merged with SFT's change, queries are in order, nothing is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.preference_rl.qwen25_offline_online_rl import (
    ADAM,
    BOTH,
    EXPERIMENT,
    LONGER,
    NOISE,
    ONLINE,
    RANDOM,
    SFT,
    UPWARD,
    Found,
    asked,
    merged,
    preset,
    reading,
)
from stagejax.data.prompts.mannered import DONE, MARKED, TOTAL, token_of
from stagejax.names import slug
from stagejax.objectives.rewards.preference import answer_logprobs
from stagejax.state import digest

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def one(results: dict[str, Any], start: str) -> Any:
    return next(result for name, result in results.items() if name.startswith(f"0/{slug(start)}/0"))


@pytest.mark.slow  # minutes, most of it compilation
def test_pairs_are_own_answers_to_new_queries_one_right_and_one_wrong(finished: Any) -> None:
    results, _, _ = finished
    pairs, drawn = results["0/pairs"].value, results["0/answers"].value
    right = {row.tobytes() for row in drawn["tokens"][drawn["right"] > 0]}
    assert all(row.astype(drawn["tokens"].dtype).tobytes() in right for row in pairs["chosen"])
    assert not any(row.astype(drawn["tokens"].dtype).tobytes() in right for row in pairs["rejected"])
    sft = one(results, SFT)
    cached = answer_logprobs(sft.module(), jnp.asarray(pairs["chosen"]), jnp.asarray(pairs["chosen_weights"]))
    np.testing.assert_allclose(pairs["chosen_reference"], cached, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_the_long_stage_turns_angles_alone_and_dpo_merges_what_sft_changed(finished: Any) -> None:
    results, _, _ = finished
    same, changed = results["long-same-base"], results["long-base-changed"]
    assert (same.model.rotary_theta, changed.model.rotary_theta) == (1e4, 1e6)
    assert {row[3] for row in changed.handover if row[0] == "params"} == {"carry"}
    sft, far = one(results, SFT), one(results, merged(1e-2))
    states = far.state()
    assert digest(states["tuned"].params) == sft.digest
    assert digest(states["base"].params) == changed.digest
    adam, none = one(results, ADAM), one(results, merged(0.0))
    own = {name: flat(result) for name, result in (("sft", sft), ("adam", adam), ("base", changed))}
    by = {"none": none.member("policy"), "far": far.member("policy")}
    own |= {name: flat(result) for name, result in by.items()}

    def moved(name: str) -> np.ndarray:
        return np.concatenate([(own[name][path] - own["sft"][path]).ravel() for path in own["sft"]])

    assert 0.3 < np.linalg.norm(moved("none")) / np.linalg.norm(moved("adam")) < 0.9  # masks keep half
    tau = np.concatenate([(own["sft"][path] - own["base"][path]).ravel() for path in own["sft"]])
    along = [float(moved(name) @ tau / (tau @ tau)) for name in ("none", "far")]
    assert along[1] - along[0] == pytest.approx(SMOKE.dpo * 1e-2 / 2, rel=0.3)


@pytest.mark.slow
def test_queries_are_in_order_and_arms_of_grpo_share_the_rest(finished: Any) -> None:
    results, report, _ = finished
    queries = {arm: results[f"0/{slug(arm)}-queries"].value for arm in (BOTH, UPWARD, RANDOM, NOISE, ONLINE)}
    down = queries[BOTH]["variance"]
    assert (np.diff(down) <= 0).all()
    assert down[0] > down[-1]
    assert (np.diff(queries[UPWARD]["variance"]) >= 0).all()
    assert sorted(queries[RANDOM]["variance"].tolist()) == sorted(down.tolist())
    assert queries[NOISE]["trust"].tolist() == [[0.0, 1.0]] * len(down)
    starts = {arm: one(results, arm).state()["reference"] for arm in (BOTH, ONLINE, NOISE)}
    assert digest(starts[ONLINE].params) == one(results, SFT).digest
    assert digest(starts[BOTH].params) == digest(starts[NOISE].params)
    assert digest(one(results, BOTH).state()["policy"].params) != digest(starts[BOTH].params)
    arms = {arm.name: arm for arm in report.arms}
    spent = arms[LONGER].cost.flops / (arms[BOTH].cost + arms[BOTH].charged_cost).flops
    assert spent == pytest.approx(1, abs=0.2)  # scores of the queries are beside
    assert arms[BOTH].charged_cost.sampled_tokens > 0


@pytest.mark.slow
def test_the_report_says_what_was_measured(finished: Any) -> None:
    _, report, _ = finished
    assert len(report.claims) == 6
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}
    titles = {table.title: table for table in report.tables}
    assert len(titles["The long stage"].rows) == 3
    assert {row[0] for row in titles["Manners by answers drawn in online RL"].rows} == {BOTH, RANDOM, UPWARD, NOISE}


@pytest.mark.slow
def test_sft_sees_few_constraints_and_tests_unseen_programs() -> None:
    cfg = preset("laptop")
    tuned = asked(cfg, "train", 300, 21, constrained=0.03)
    tasks = np.array([tuned[i]["task"] for i in range(300)])
    assert 0 < np.isin(tasks, (DONE, TOTAL, MARKED)).mean() < 0.06
    programs = [{own.source[i]["program"] for i in range(len(own))}
                for own in (tuned, asked(cfg, "test", 200, 102))]  # fmt: skip
    assert not programs[0] & programs[1]
    rows = reading(replace(cfg, read=50), cfg.long)
    batch = rows.take(np.arange(100))
    filled = (batch["weights"] > 0).sum(1) / (cfg.long - 1)
    assert (filled == 1).mean() == pytest.approx(0.4, abs=0.01)
    assert filled[filled < 1].max() < 0.25
    assert jax.tree.leaves(rows.spec())
    assert token_of("silly") in batch["tokens"]


def test_answers_to_half_are_counted_from_where_the_stage_began() -> None:
    assert Found(preset("laptop")).answers_to_half(BOTH) == []

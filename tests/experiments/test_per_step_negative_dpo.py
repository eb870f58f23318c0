"""Per-step DPO: Q comes from completions alone, arms have equal steps, and what is drawn is equal and charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.preference_rl.per_step_negative_dpo import (
    ANYWHERE,
    CLEAN,
    CLEAN_STEP,
    EXPERIMENT,
    HEAVY,
    RFT,
    SFT,
    STEP,
    TUNED,
    WHOLE,
    best_way,
    fresh,
    held_out,
    preset,
    prompts,
    synthetic,
)
from stagejax import Plan
from stagejax.inference.reasoning.rollouts import Rollouts, WrongAnswers, answer_by_answer, step_values
from stagejax.inference.reasoning.stepwise import solutions
from stagejax.objectives.rewards.preference import answer_logprobs

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
AT = f"{SMOKE.main}/0/"


@pytest.mark.slow  # half a minute, most of it compilation
def test_q_is_what_sampled_completions_say(finished: Any) -> None:
    """Not greedy ones, and with no knowledge of the wrong step: the same artifact from the model and answers alone."""
    results, _, _ = finished
    tuned, drawn, values = (results[AT + name] for name in ("sft", "drawn/0", "values"))
    rolled = Rollouts(SMOKE.how, SMOKE.token(";"), 8, 5)
    again = step_values(tuned, drawn, WrongAnswers(SMOKE.wrong), rolled, 0)
    np.testing.assert_array_equal(again["value"], values.value["value"])
    other = step_values(tuned, drawn, WrongAnswers(SMOKE.wrong), rolled, 1)
    assert (other["right"] != again["right"]).any()  # drawn with another seed
    inner = again["right"][again["right"] >= 0]
    assert len(set(inner.tolist())) > 2  # estimates, not verdicts
    told, rows = drawn.value, np.unique(again["row"])
    assert (told["right"][rows] == 0).all()
    assert np.unique(told["prompt"][rows], return_counts=True)[1].max() <= SMOKE.wrong


@pytest.mark.slow
def test_rejected_answers_end_at_the_first_pit(finished: Any) -> None:
    results, _, _ = finished
    told, values = results[f"{AT}drawn/0"].value, results[f"{AT}values"].value
    pairs = {name: results[f"{AT}{name}/pairs"].value for name in ("per-step-dpo", "dpo", "dpo-cut-anywhere")}
    for other in ("dpo", "dpo-cut-anywhere"):
        np.testing.assert_array_equal(pairs["per-step-dpo"]["chosen"], pairs[other]["chosen"])
    solved = solutions(synthetic(SMOKE, SMOKE.main, 0))[0]
    for k, (row, ends, q) in enumerate(answer_by_answer(values)):
        prompt, start = told["prompt"][row], told["starts"][row]
        pit = ends[next(i for i in range(len(q)) if q[i] == min(q))]
        assert pairs["per-step-dpo"]["rejected_weights"][k].sum() == pit - start
        assert pairs["dpo"]["rejected_weights"][k].sum() == told["ends"][row] - start
        own = told["prompt"] == prompt
        right = [tuple(tokens) for tokens in told["tokens"][own & (told["right"] > 0)]] or [tuple(solved[prompt])]
        assert tuple(pairs["dpo"]["chosen"][k]) in right
    tokens, weights = (jnp.asarray(pairs["dpo"][name]) for name in ("rejected", "rejected_weights"))
    cached = answer_logprobs(results[f"{AT}sft"].module(), tokens, weights)  # the reference is SFT
    np.testing.assert_allclose(pairs["dpo"]["rejected_reference"], cached, rtol=1e-4)


@pytest.mark.slow
def test_arms_have_equal_steps_and_rft_as_many_drawn_tokens(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == {SFT, RFT, HEAVY, WHOLE, STEP, ANYWHERE, TUNED, CLEAN, CLEAN_STEP}
    assert {arms[name].cost.steps for name in arms if name != TUNED} == {sum(SMOKE.steps)}
    spent = [results[AT + name].cost.sampled_tokens for name in ("drawn/0", "values")]
    assert min(spent) > 0
    assert arms[STEP].charged_cost.sampled_tokens == sum(spent)
    assert arms[WHOLE].charged_cost.sampled_tokens == spent[0]
    assert arms[RFT].charged_cost.sampled_tokens == arms[HEAVY].charged_cost.sampled_tokens >= 0.9 * sum(spent)


@pytest.mark.slow
def test_sft_is_measured_at_all_sizes_and_rft_learns_from_solutions_and_right_answers(finished: Any) -> None:
    results, report, _ = finished
    errors = next(table for table in report.tables if table.title == "Errors by N")
    assert [str(n) for n in SMOKE.sizes] == list(errors.columns[1:])
    assert "–" not in errors.rows[0]  # noqa: RUF001
    few, every = (results[f"{AT}{name}/rows"].value for name in ("rft-4-right-answers", "rft-all-right-answers"))
    rounds = [result.value for name, result in results.items() if name.startswith(f"{AT}drawn/")]
    assert len(rounds) > 1
    assert len(every["tokens"]) == SMOKE.main + sum(int(own["right"].sum()) for own in rounds)
    assert SMOKE.main < len(few["tokens"]) < len(every["tokens"])
    assert results["clean/sft"].fingerprint != results[f"{AT}sft"].fingerprint


@pytest.mark.slow
def test_tests_share_no_program_with_training_or_choices() -> None:
    config = replace(preset("laptop"), tests=128)
    known = {record["program"] for record in synthetic(config, 200, 0).source}
    dev = {record["program"] for record in held_out(config, "dev")}
    for name in ("test", "shifted"):
        programs = [record["program"] for record in held_out(config, name)]
        assert not known & set(programs)
        kept = fresh(config, name)
        assert kept.sum() == sum(program not in dev for program in programs) > 50
    assert not known & dev


def test_betas_and_rates_are_tried_past_the_ends_of_their_grids() -> None:
    asked: list[tuple[float, float]] = []

    def error(beta: float, rate: float) -> tuple[float, tuple[Any, ...]]:
        asked.append((beta, rate))
        return abs(np.log(beta / 0.03)) + abs(np.log(rate / 1e-5)), ((beta, rate),)

    config = preset("laptop")
    found = best_way(config.betas, config.dpo_rates, error)
    assert min(config.dpo_rates) > found.best[1] == pytest.approx(1e-5, rel=0.2)
    assert min(config.betas) > found.best[0] == pytest.approx(0.03, rel=0.2)
    assert {(beta, rate) for beta, own in found.rates.items() for rate in own.tried} == set(asked)
    assert len(asked) == len(set(asked))
    assert found.best == min(tuple(asked), key=lambda way: error(*way)[0])


@pytest.mark.slow
def test_every_way_that_was_tried_is_charged_and_shown(finished: Any) -> None:
    _, report, _ = finished
    table = next(table for table in report.tables if table.title == "What was tried on development problems")
    taken = {row[0]: (row[1], row[4]) for row in table.rows if row[-1]}
    arms = {arm.name: arm for arm in report.arms}
    for arm in (WHOLE, STEP, ANYWHERE):
        tried = {(row[1], float(rate)) for row in table.rows if row[0] == arm for rate in row[2].split(", ")}
        assert len(tried) > 2

        def way(result: Any) -> tuple[float, float]:
            return result.stage.objective.beta, result.stage.optimizer.peak

        owed = {way(result) for result in arms[arm].charged if result.kind == "train"}
        assert way(arms[arm].results[-1]) == pytest.approx(taken[arm])
        assert len(owed | {way(arms[arm].results[-1])}) == len(tried)


@pytest.mark.slow
def test_the_worth_of_sft_itself_is_shown_beside_that_of_the_arms(finished: Any) -> None:
    _, report, _ = finished
    table = next(table for table in report.tables if table.title.startswith("Worth"))
    assert [row[0] for row in table.rows] == [SFT, RFT, WHOLE, STEP]
    assert all("of SFT itself" in claim.measured for claim in report.claims[:2])


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}


@pytest.mark.slow
def test_prompts_and_solutions_of_the_laptop_fit_their_rows() -> None:
    config = preset("laptop")
    assert synthetic(config, 300, 0).take(np.arange(2))["tokens"].shape == (2, config.length - 1)
    for name in ("dev", "test", "shifted"):
        told = prompts(config, replace(held_out(config, name), size=300), 4).take(np.arange(300))
        assert told["lengths"].max() <= config.prompt
        assert told["lengths"].max() + 27 <= config.length  # the longest answer: four steps, the number and the end

"""SELF-GUIDE: held-out rules are in no pre-training, tests in no row, arms differ in rows alone; rules of claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.self_training.self_guide_synthetic_finetuning import (
    ARMS,
    ASKED,
    BARE,
    COMMON,
    DEMOS,
    DEV_TASKS,
    EXPERIMENT,
    FREE,
    GOLD,
    GUIDE,
    ICL,
    OTHER,
    RAW,
    SINGLE,
    TASKS,
    Found,
    given,
    judged,
    measured,
    preset,
)
from stagejax import Plan
from stagejax.data.prompts.word_tasks import word_task_tokenizer
from stagejax.inference.prompts.own_examples import drawn_tokens, kept_pairs
from stagejax.names import slug
from stagejax.report import Arm
from stagejax.result import Result
from stagejax.search.lowest import Lowest

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


@pytest.mark.slow  # it plans a run
def test_rules_that_are_held_out_have_parts_that_others_have_and_a_plan_tests_no_claim() -> None:
    plan = Plan.on("data=1", price=False)
    report = EXPERIMENT.pipeline(plan, replace(preset("laptop"), seeds=(0,), arms=(GUIDE,), rates=(1e-3,)))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    read = {rule for result in plan.results if result.name.startswith("base") for rule in result.stage.data.rules}
    held_out = {task.rule for task in (*TASKS, *DEV_TASKS)}
    assert len(held_out) == len(TASKS) + len(DEV_TASKS) == 10
    assert not held_out & read
    assert len(read) == 21
    for first, second in held_out:
        assert any(rule[0] == first for rule in read)
        assert any(rule[1] == second for rule in read)
    assert sum(bool(task.labels) for task in TASKS) == 3


@pytest.mark.parametrize("task", [*TASKS, *DEV_TASKS])
def test_demonstrations_tests_and_true_pairs_have_no_word_in_common(task: Any) -> None:
    cfg, tests = preset("laptop"), set()
    for seed in cfg.seeds:
        own, more = given(cfg, task, seed)
        shown = [word for word, _ in own.shown]
        assert (len(set(shown)), len(set(own.tested)), len(set(more))) == (3, cfg.tested, len(more))
        assert len(more) >= 200  # as many as can be invented
        assert not set(shown) & set(own.tested) | set(more) & (set(own.tested) | set(shown))
        assert all(task.fits(word) for word in (*shown, *own.tested, *more))
        assert all(task.answer(word) == output for word, output in own.shown)
        tests.add(own.tested)
    assert len(tests) == 1


@pytest.mark.slow
def test_arms_learn_what_they_say_and_never_a_word_of_the_test(finished: Any) -> None:
    results, _, _ = finished
    code, sizes = word_task_tokenizer(), []
    for task in SMOKE.tasks:
        own, pool = given(SMOKE, task, 0)[0], results[f"0/{task.name}/pool"]
        rows = results[f"0/{task.name}/rows"].value
        pairs = kept_pairs(SMOKE.writing, own, pool.value)
        sizes.append(len(pairs))
        assert pool.cost.sampled_tokens == drawn_tokens(pool.value) > 0
        assert rows[f"{GUIDE}/right"].tolist() == [task.answer(text) == said for text, said in pairs]
        assert rows[f"{GUIDE}/fit"].tolist() == [task.fits(text) for text, _ in pairs]
        assert int(rows[f"{GOLD}/size"][0]) == max(1, len(pairs))
        assert rows[f"{GOLD}/right"].all()
        assert len(rows[f"{DEMOS}/tokens"]) == SMOKE.demonstrations
        assert (f"{FREE}/tokens" in rows) == bool(task.labels)
        for arm in (arm for arm in ARMS if f"{arm}/tokens" in rows):
            arrays = (rows[f"{arm}/{name}"] for name in ("tokens", "targets", "weights"))
            for tokens, targets, weights in zip(*arrays, strict=True):
                prompt = code.decode(tokens[: int(weights.argmax()) + 1]).split(" ; ")
                assert prompt[-1].removesuffix(" =") not in own.tested
                spared = arm == DEMOS or not rows[f"{arm}/size"]
                assert len(prompt) == 1 + SMOKE.demonstrations + (0 if spared else 1)
                assert code.decode(targets[weights > 0]).endswith(";")
    assert max(sizes) > 3  # the smoke run has own pairs to learn


@pytest.mark.slow
def test_arms_have_equal_steps_and_are_charged_with_what_they_read(finished: Any) -> None:
    results, report, _ = finished
    flops = {arm: results[f"0/{slug(arm)}"].cost.flops for arm in ARMS}
    assert len({flops[arm] for arm in ARMS if arm != FREE}) == 1
    assert 0 < flops[FREE] < flops[GUIDE]
    charged = {arm.name.partition(",")[0]: {own.name for own in arm.charged} for arm in report.arms}
    pools = {f"0/{task.name}/pool" for task in SMOKE.tasks}
    assert all({"base/0", "base/1"} <= own for own in charged.values())
    assert pools <= charged[GUIDE] & charged[SINGLE] & charged[RAW] & charged[OTHER]
    assert not pools & (charged[DEMOS] | charged[GOLD] | charged[ICL])
    assert {f"dev/{slug(GUIDE)}/{rate:g}" for rate in SMOKE.rates} <= charged[GUIDE]
    losses = results["base/0"].history.train["loss"]
    assert losses[-1] < 0.7 * losses[0]
    asked = results["0/asked"].value
    assert set(asked) == {*ASKED, COMMON}
    assert all(0 <= value <= 1 for own in asked.values() for value in own)


@pytest.mark.slow
def test_a_smoke_run_tells_rates_and_pairs(finished: Any) -> None:
    _, report, _ = finished
    titles = {table.title: table for table in report.tables}
    assert [row[0] for row in titles["Rates: wrong outputs of the tasks for choices"].rows] == list(ARMS)
    assert [row[0] for row in titles["Right outputs"].rows] == [*ASKED, *ARMS, COMMON]
    assert len(report.claims) == 3


def found_of(shares: dict[str, list[list[float]]]) -> Found:
    """What `judged` reads: shares of right outputs by arm, (seeds, tasks)."""
    cfg = preset("laptop")
    arms = {arm: dict(enumerate(shares[arm])) for arm in shares if arm != ICL}
    asked = {seed: Result("", "make", "", 1, value={ICL: own, BARE: own}) for seed, own in enumerate(shares[ICL])}
    made = {
        arm: {seed: Arm("", (Result("", "make", "", 1, value={"accuracy": np.array(own)}),))
              for seed, own in seeds.items()}
        for arm, seeds in arms.items()
    }  # fmt: skip
    return Found(cfg, asked=asked, arms=made)


def test_claims_are_judged_by_the_rules_of_the_docstring() -> None:
    def verdicts(**points: list[float]) -> list[bool]:
        """Points of SELF-GUIDE over each, by seed."""
        shares = {GUIDE: [[0.5] * 6] * 3}
        for arm, name in ((ICL, "icl"), (SINGLE, "single"), (RAW, "raw"), (OTHER, "other"), (DEMOS, "demos")):
            shares[arm] = [[0.5 - own / 100] * 6 for own in points.get(name, [10, 10, 10])]
        return [claim.verdict == "holds" for claim in judged(found_of(shares))]

    assert verdicts() == [True, True, True]
    assert verdicts(icl=[4, 5, 5]) == [False, True, True]
    assert verdicts(single=[-1, 3, 1]) == [True, False, True]  # a mean of 1, a deviation of 2
    assert verdicts(raw=[1, 1.2, 0.9]) == [True, True, True]
    assert verdicts(other=[0, 0, 0], demos=[5, 5, 5]) == [True, True, False]
    few = found_of({arm: [[0.9, 0.9, 0.9, 0.4, 0.4, 0.4]] * 3 for arm in (GUIDE, SINGLE, RAW, OTHER, DEMOS)}
                   | {ICL: [[0.5] * 6] * 3})  # fmt: skip
    assert judged(few)[0].verdict == "does not hold"  # three of six


def test_measures_are_those_of_the_tasks_that_an_arm_has() -> None:
    labels = [task.name for task in TASKS if task.labels]
    found = found_of({GUIDE: [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]], FREE: [[0.0, 0.5, 0.5]], ICL: [[0.0] * 6]})
    assert found.tasks(FREE) == labels
    assert found.right(FREE, labels[1]) == [0.5]
    assert found.right(FREE, TASKS[0].name) == []
    assert np.allclose(found.lead(GUIDE, FREE), [[40, 0, 10]])
    assert np.allclose(found.lead(GUIDE, ICL).mean(), 35)


def test_what_is_not_searched_takes_the_first_rate_and_a_plan_has_no_answers() -> None:
    cfg = preset("laptop")
    assert Found(cfg, searches={GUIDE: Lowest(3e-3, (), (), ())}).rate(GUIDE) == 3e-3
    assert Found(cfg).rate(GUIDE) == cfg.rates[0]
    assert measured((Result("", "make", "", 1),)) == []

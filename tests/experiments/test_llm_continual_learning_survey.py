"""Continual learning of language models: equal budgets, no test rows in choices, who sees which task, what is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.llm_continual_learning_survey import (
    EWC,
    EXPERIMENT,
    JOINT,
    LORA,
    LWF,
    REPLAY,
    SEQUENCE,
    preset,
)
from stagejax.report.continual import accuracy_matrix

SMOKE = preset("smoke")
TASKS, PHASE = len(SMOKE.data.tasks), SMOKE.phase
pytestmark = pytest.mark.slow  # many short stages
finished = smoke_run(EXPERIMENT, SMOKE)


def test_every_arm_takes_equal_steps_and_tokens(finished: Any) -> None:
    _, report, _ = finished
    for arm in report.arms:
        own = [result for result in arm.results if not result.name.endswith("fisher")]
        assert sum(result.steps for result in own) == TASKS * PHASE, arm.name
        assert sum(result.cost.tokens for result in own) == TASKS * PHASE * SMOKE.data.batch * SMOKE.data.length


def test_choices_see_no_test_row(finished: Any) -> None:
    results, _, _ = finished
    chosen = [result for name, result in results.items() if name.startswith("choice/") and result.kind == "train"]
    scored = [result.stage.evaluate for result in chosen if result.stage.evaluate is not None]
    assert scored
    for evaluation in scored:
        parts = evaluation.data.data[:TASKS]
        assert all(part == SMOKE.data.suite("valid").data[j] for j, part in enumerate(parts))


def test_only_joint_training_sees_a_task_before_its_phase(finished: Any) -> None:
    results, _, _ = finished
    rows = np.arange(PHASE * SMOKE.data.batch)
    stages = {name: results[name].stage for name in ("0/in-sequence/0", "0/replay-5/0", "0/jointly/0")}
    seen = {name: np.bincount(own.data.take(rows)["task"], minlength=TASKS) for name, own in stages.items()}
    assert (seen["0/in-sequence/0"] > 0).tolist() == [True, False, False]
    assert (seen["0/replay-5/0"] > 0).tolist() == [True, False, False]
    assert (seen["0/jointly/0"] > 0).all()


def test_replay_is_of_a_twentieth_of_a_tasks_records_and_a_quarter_of_a_phase(finished: Any) -> None:
    results, _, _ = finished
    data, size = results["0/replay-5/0"].stage.data, PHASE * SMOKE.data.batch
    last = data.take(np.arange((TASKS - 1) * size, TASKS * size))
    for task in range(TASKS - 1):
        rows = np.unique(last["tokens"][last["task"] == task], axis=0)
        assert len(rows) <= round(0.05 * data.data.size_of(task)) == data.kept(task)
    town = results["0/facts/replay-5-0.01"].stage.data
    assert [town.kept(task) for task in range(2)] == [round(0.05 * town.data.size_of(task)) for task in range(2)]
    second = data.take(np.arange(size, 2 * size))["task"]
    assert np.bincount(second).tolist() == [size // 4, 3 * size // 4]


def test_no_prompt_of_training_is_in_a_test_or_in_validation() -> None:
    for task in range(TASKS):
        parts = [SMOKE.data.rows(task, part) for part in ("train", "valid", "test")]
        seen = [{tuple(row) for row in part.take(np.arange(part.size()))["tokens"].tolist()} for part in parts]
        prompts = [{row[: row.index(arrow()) + 1] for row in own} for own in seen]
        assert not prompts[0] & (prompts[1] | prompts[2])
        assert not prompts[1] & prompts[2]


def arrow() -> int:
    """The token before an answer."""
    whole = SMOKE.data.tokenizer.tokenizer
    return int(whole.id("=>"))  # type: ignore[attr-defined]


def test_the_chain_before_is_charged_to_every_arm(finished: Any) -> None:
    _, report, _ = finished
    for arm in report.arms:
        charged = {result.name for result in arm.charged}
        assert {"0/general", "0/corpora/replay-5", "0/domain/0.1"} <= charged, arm.name


def test_tasks_are_learnt_and_the_router_is_right_more_often_than_not(finished: Any) -> None:
    results, _, _ = finished
    first = accuracy_matrix((results["0/in-sequence/0"],), TASKS)
    assert first[1, 0] > first[0, 0]
    said = results["0/lora/answers"].value
    assert said["free"].shape == (1 + TASKS, TASKS, SMOKE.tested[0])
    nearest = said["distances"].argmin(-1) == np.arange(TASKS)[:, None]
    assert nearest.mean() > 0.5


def test_adapters_are_beside_a_model_that_stays_as_it_is(finished: Any) -> None:
    results, _, _ = finished
    base, adapted = flat(results["0/domain/0.1"]), flat(results["0/lora/0"])
    frozen = {path.removesuffix("/frozen"): leaf for path, leaf in adapted.items() if not path.endswith(("down", "up"))}
    assert frozen.keys() == base.keys()
    kept = {path for path, leaf in base.items() if (frozen[path] == leaf).all()}
    assert base.keys() - kept == {"tokens/table"}  # words of a task are new to the model


def test_the_report_has_all_arms_and_five_verdicts(finished: Any) -> None:
    _, report, _ = finished
    assert {arm.group for arm in report.arms} == {SEQUENCE, EWC, REPLAY, LORA, JOINT, LWF}
    assert len(report.claims) == 5
    assert all(claim.shown != "not measured" for claim in report.claims)
    facts = next(table for table in report.tables if table.title == "Facts")
    assert [row[0] for row in facts.rows] == [SEQUENCE, REPLAY, "adapter for each episode"]

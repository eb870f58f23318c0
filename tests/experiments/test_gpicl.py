"""GPICL: phases differ in their tasks alone, no test task was trained on, no query's label is seen, all is equal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.gpicl import (
    EXPERIMENT,
    KEPT,
    RECURRENT,
    SEEN,
    STAGED,
    UNIFORM,
    UNSEEN,
    Found,
    preset,
    sets_of,
    settings,
    slug,
    tasks_of,
)
from stagejax import Plan
from stagejax.data import Mixture
from stagejax.inference import Frozen, apply
from stagejax.inference.tasks.in_context import right_after_descent, right_of
from stagejax.objectives.in_context import positions

pytestmark = pytest.mark.slow  # a smoke run of half a minute, and nine compiled steps
SMOKE = preset("smoke")
FEW = "2 tasks"
finished = smoke_run(EXPERIMENT, SMOKE)


def phases(results: dict[str, Any], label: str) -> list[Any]:
    return [results[f"{slug(label)}/0/{number}"] for number in (1, 2)]


def keys_of(data: Any, samples: int = 400) -> set[tuple[int, ...]]:
    return set(map(tuple, data.take(np.arange(samples))["task"].tolist()))


def test_the_bias_is_in_the_phases_where_it_should_be(finished: Any) -> None:
    results, _, _ = finished
    shares = {STAGED: (0.9, 0.0), UNIFORM: (0.0, 0.0), KEPT: (0.9, 0.9), FEW: (0.9, 0.0)}
    for label, wanted in shares.items():
        for result, share in zip(phases(results, label), wanted, strict=True):
            data = result.stage.data
            if share == 0:
                assert data.permuted
                continue
            assert isinstance(data, Mixture)
            fixed, uniform = data.parts
            assert (fixed.permuted, uniform.permuted) == (False, True)
            assert abs(np.bincount(data.owners(np.arange(1000)), minlength=2)[0] / 1000 - share) < 1e-3
            assert fixed.seed != uniform.seed
            sample = fixed.take(np.arange(50))
            assert len(np.unique(sample["task"], axis=0)) > 1  # the order of labels is one, the maps are not


def test_phases_are_one_run_whose_tasks_change(finished: Any) -> None:
    results, _, _ = finished
    for label in settings(SMOKE):
        first, second = phases(results, label)
        assert [int(result.state().step) for result in (first, second)] == [20, 40]
        assert first.stage.optimizer == second.stage.optimizer
        assert any(row[0].startswith("moments") and row[3] == "carry" for row in second.handover)
    uniform = phases(results, UNIFORM)
    assert not keys_of(uniform[0].stage.data) & keys_of(uniform[1].stage.data)  # no task comes again


def test_all_arms_take_equally_many_sequences_by_one_recipe(finished: Any) -> None:
    results, _, _ = finished
    trained = {name: result for name, result in results.items() if result.kind == "train"}
    assert {result.stage.optimizer for result in trained.values()} == {phases(results, STAGED)[0].stage.optimizer}
    for label in settings(SMOKE):
        assert {result.cost.samples for result in phases(results, label)} == {16 * 20}
        assert sum(result.steps for result in phases(results, label)) == trained["maml/0/1"].steps == SMOKE.steps
    start = {label: phases(results, label)[0] for label in (STAGED, UNIFORM)}
    assert start[STAGED].history.evals[0] == start[UNIFORM].history.evals[0]  # the same initial values


def test_few_tasks_are_few_and_come_again(finished: Any) -> None:
    results, report, _ = finished
    for result in phases(results, FEW):
        assert len(keys_of(result.stage.data)) == 2
    table = next(table for table in report.tables if table.title.startswith("What becomes"))
    assert [row[2] for row in table.rows] == [SMOKE.batch * SMOKE.steps / 2, 1.0] * 2
    assert len({results[f"narrow-{tasks}/0/2"].stage.data for tasks in ("2-tasks", "endless-tasks")}) == 2


def test_no_task_of_a_test_was_trained_on(finished: Any) -> None:
    results, _, _ = finished
    trained = set().union(*(keys_of(r.stage.data, 640) for r in results.values() if r.kind == "train"))
    scored = set().union(*(keys_of(r.stage.evaluate.data) for r in results.values() if r.kind == "train"))
    sets = sets_of(SMOKE, SMOKE.most)
    other = SMOKE.unseen[0][0]
    assert not trained & (scored | keys_of(sets[UNSEEN]) | keys_of(sets[other]))
    assert keys_of(sets_of(SMOKE, 2)[SEEN]) == keys_of(tasks_of(SMOKE, 2, 0))
    assert {name: data.source.split for name, data in sets.items()} == {SEEN: "train", UNSEEN: "test", other: "test"}
    images = [set(map(bytes, sets[name].take(np.arange(300))["image"].reshape(-1, 64))) for name in (SEEN, UNSEEN)]
    assert not images[0] & images[1]


def test_accuracies_are_those_of_each_position(finished: Any) -> None:
    results, _, _ = finished
    last, made = phases(results, STAGED)[1], results[f"{slug(STAGED)}/0/accuracies"].value
    rows = sets_of(SMOKE, SMOKE.most)[UNSEEN].take(np.arange(SMOKE.tested))
    module = last.module()
    _, right = positions(module, {name: jnp.asarray(leaf) for name, leaf in rows.items()})
    np.testing.assert_allclose(made[UNSEEN], np.asarray(right).mean(0), atol=1e-6)
    changed = rows | {"label": np.concatenate([rows["label"][:, :-1], (rows["label"][:, -1:] + 1) % 3], axis=1)}
    wrong = apply(right_of, Frozen.of(last), changed, SMOKE.batch)
    np.testing.assert_array_equal(wrong[:, :-1], np.asarray(right)[:, :-1])
    assert not (wrong[:, -1] * np.asarray(right)[:, -1]).any()  # the last label changes nothing but what is right


def test_the_baselines_see_no_label_of_the_query(finished: Any) -> None:
    results, _, _ = finished
    net = Frozen.of(results["maml/0/1"])
    rows = sets_of(SMOKE, SMOKE.most)[UNSEEN].take(np.arange(16))
    changed = rows | {"label": np.concatenate([rows["label"][:, :-1], (rows["label"][:, -1:] + 1) % 3], axis=1)}
    right, wrong = (apply(right_after_descent(2, 0.5), net, own, 16) for own in (rows, changed))
    assert not (right * wrong).any()
    assert (
        results["maml/0/accuracies"].value[UNSEEN].shape == results["descent/0/accuracies"].value[UNSEEN].shape == (1,)
    )
    assert results["descent/0/accuracies"].value["rate"].item() in SMOKE.learning.rates
    assert results["descent/0/accuracies"].cost.flops == 2 * 6 * 8 * 67 * 7 * 5 * 32


def test_the_lstm_has_less_state(finished: Any) -> None:
    results, _, _ = finished
    laptop = preset("laptop")
    transformer, lstm = laptop.net, laptop.recurrent
    assert transformer.body.state(transformer.embed, laptop.length) > 20 * lstm.body.state(lstm.embed, laptop.length)
    assert "body/cells/0/hidden/kernel" in flat(phases(results, RECURRENT)[1])


def test_phases_by_improvement() -> None:
    cases = [(0.3, 0.3, 0.3, "learns"), (0.3, 0, 0.3, "identifies"), (0, 0, 0.9, "memorises"), (0, 0, 0.3, "nothing")]
    for seen, unseen, first, name in cases:
        value = {SEEN: np.array([first, first + seen]), UNSEEN: np.array([0.3, 0.3 + unseen])}
        assert Found(SMOKE, {}, {"arm": {0: SimpleNamespace(value=value)}}).phase("arm") == name
    assert Found(SMOKE, {}, {"arm": {0: SimpleNamespace(value=None)}}).phase("arm") == ""


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}

"""ScaLearn: what is frozen, what begins anew, who is among the sources, equal budgets, and what is charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.scalearn import (
    ADAPTER,
    CLAIMED,
    EXPERIMENT,
    FULL,
    FUSION,
    SCALEARN,
    SMALLEST,
    TRANSFERS,
    Config,
    preset,
    slug,
)
from stagejax import Plan
from stagejax.axes import Axes
from stagejax.data import codec
from stagejax.models.text.combiners import Fusion

pytestmark = pytest.mark.slow  # two dozen programs
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
TASKS = len(SMOKE.tasks)
SECOND = [f"0/{slug(label)}" for label in TRANSFERS]


def part(result: Any, name: str) -> dict[str, np.ndarray]:
    return {path: leaf for path, leaf in flat(result).items() if path.startswith(name)}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    assert one.keys() == other.keys()
    return all(np.array_equal(one[path], other[path]) for path in one)


def test_the_encoder_is_frozen_for_good(finished: Any) -> None:
    results, _, _ = finished
    encoder = part(results["encoder"], "encoder")
    for name in ("0/adapter", "0/longer", "0/joint", *SECOND, "0/few/adapter", "0/few/scalearn"):
        assert same(part(results[name], "encoder"), encoder), name
    assert not same(part(results["0/full/who"], "encoder"), encoder)


def test_all_stages_read_the_tokens_that_the_encoder_was_trained_on(finished: Any) -> None:
    results, _, _ = finished
    encoder, tuned = results["encoder"].stage, results["0/scalearn"].stage
    code = codec(encoder.data.tokenizer, encoder.data.source).digest()
    assert codec(encoder.evaluate.data.tokenizer, encoder.evaluate.data.source).digest() == code
    for data in (tuned.data, tuned.evaluate.data):
        assert codec(data.tokenizer, data.learned_from).digest() == code
    assert encoder.evaluate.data.digest() != encoder.data.digest()


def test_the_second_stage_freezes_the_adapters_and_begins_with_fresh_heads(finished: Any) -> None:
    results, _, _ = finished
    source = results["0/adapter"]
    assert any(np.abs(leaf).max() > 0 for path, leaf in part(source, "bank").items() if path.endswith("up"))
    for name in SECOND:
        rule = results[name].stage.handover.params
        assert same(part(results[name], "bank"), part(source, "bank")), name
        assert {rule(f"{new}/leaf", Axes((), ())) for new in ("heads", "combine")} == {"reset"}
        assert {rule(f"{old}/leaf", Axes((), ())) for old in ("encoder", "bank")} == {"carry"}
    few = results["0/few/bank"]
    for label in CLAIMED[1:]:
        assert same(part(results[f"0/few/{slug(label)}"], "bank"), part(few, "bank")), label


def test_stages_have_equal_steps_on_the_same_rows(finished: Any) -> None:
    results, _, _ = finished
    own = results["0/adapter"]
    for name in SECOND:
        assert results[name].steps == own.steps == SMOKE.steps
        assert results[name].stage.data == own.stage.data
        assert results[name].stage.evaluate == own.stage.evaluate
    assert results["0/longer"].steps == 2 * own.steps
    for task in SMOKE.tasks:
        alone = results[f"0/full/{task.name}"].stage
        assert alone.steps == own.steps
        assert alone.data.tasks == (task,)
        assert alone.data.rows == own.stage.data.rows


def test_every_target_has_its_own_adapter_among_its_sources(finished: Any) -> None:
    results, _, _ = finished
    for label, name in zip(TRANSFERS, SECOND, strict=True):
        model = results[name].model
        assert model.adapters == model.tasks == TASKS
        assert model.combine == TRANSFERS[label]
        assert model.combine.sees is None  # all of them
    few = results["0/few/scalearn"].model
    for new, (target, rows) in enumerate(SMOKE.few):
        assert TASKS + new in few.combine.sees[new]
        assert target not in few.combine.sees[new]  # the adapter of all rows would have seen more than these
        assert len(few.combine.sees[new]) == TASKS
        assert len(results["0/few/scalearn"].stage.data.tasks[new].source) == rows


def test_the_bank_of_few_shot_targets_is_the_adapters_that_were_trained(finished: Any) -> None:
    results, _, _ = finished
    own, bank, source = (results[name] for name in ("0/few/adapter", "0/few/bank", "0/adapter"))
    batch = own.stage.data.take(np.arange(8))
    tokens, task = jnp.asarray(batch["tokens"]), jnp.asarray(batch["task"])
    wanted = own.module().answers(tokens, task)
    np.testing.assert_allclose(bank.module().answers(tokens, task), wanted, atol=1e-5)
    np.testing.assert_array_equal(flat(bank)["bank/down"][:, :TASKS], flat(source)["bank/down"])


def test_omega_is_free_and_fusion_begins_at_the_identity(finished: Any) -> None:
    results, _, _ = finished
    omega = flat(results["0/scalearn"])["combine/omega"]
    assert omega.shape == (TASKS, 2, TASKS, 16)
    assert np.abs(omega - 2 / TASKS).max() > 0.01  # it was trained
    assert np.abs(omega.sum(2) - 1).min() > 0.2  # and began, far from a mean, at sums of 2
    assert flat(results[f"0/{slug(SMALLEST)}"])["combine/omega"].shape == (TASKS, TASKS)
    fusion = results["0/adapterfusion"].model
    assert isinstance(fusion.combine, Fusion)
    for name in ("query", "key", "value"):
        drift = flat(results["0/adapterfusion"])[f"combine/{name}"]
        assert drift.shape == (TASKS, 2, 16, 16)
    assert 0 < np.abs(drift - np.eye(16)).max() < 0.5


def test_adapters_learn(finished: Any) -> None:
    results, _, _ = finished
    for name in ("0/adapter", "0/longer", "0/scalearn", "encoder"):
        losses = results[name].history.train["loss"]
        assert np.mean(losses[-5:]) < np.mean(losses[:5]), name


def test_sources_are_charged_to_what_was_made_of_them(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    encoder, adapters = results["encoder"].cost.flops, results["0/adapter"].cost.flops
    assert arms[ADAPTER].charged_cost.flops == encoder
    for label in TRANSFERS:
        assert arms[label].charged_cost.flops == encoder + adapters
    tuned = [results[f"0/full/{task.name}"].cost.flops for task in SMOKE.tasks]
    assert arms[FULL].cost.flops + arms[FULL].charged_cost.flops == pytest.approx(encoder + sum(tuned))


def test_the_report_has_every_task_arm_and_coefficient(finished: Any) -> None:
    results, report, _ = finished
    scores, few, sizes = report.tables
    assert scores.columns == ("arm", *(task.name for task in SMOKE.tasks), "mean")
    row = next(row for row in scores.rows if row[0] == SCALEARN)
    assert float(row[1]) == pytest.approx(100 * results["0/scalearn"].history.last("right_0"), abs=0.06)
    assert float(row[-1]) == pytest.approx(np.mean([float(cell) for cell in row[1:-1]]), abs=0.1)
    assert [row[0] for row in few.rows] == list(CLAIMED)
    assert {row[0]: row[3] for row in sizes.rows}[FUSION] == 3 * 12 * 768**2
    learned = flat(results["0/scalearn"])["combine/omega"].mean((1, 3))
    assert f">{learned[0, 0]:.2f}<" in report.figures[0].svg
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}


@pytest.mark.parametrize("config", [SMOKE, Config(), replace(SMOKE, few=())], ids=["smoke", "laptop", "no few-shot"])
def test_a_plan_tests_no_claim(config: Config) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), config)
    assert {claim.verdict for claim in report.claims} == {"not tested"}

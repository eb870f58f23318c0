"""GBNN: earlier units never change, every stage adds rho h, the network is the sum of its blocks, budgets are equal."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.growth import gradient_boosted_nn
from experiments.growth.gradient_boosted_nn import (
    ADAM,
    CANCER,
    DIABETES,
    EXPERIMENT,
    GBNN,
    SGD,
    WINE,
    Task,
    best,
    boosting_stage,
    network,
    preset,
)
from stagejax import Plan
from stagejax.data.tables.tabular import Embedded, Rows
from stagejax.mesh import make_mesh
from stagejax.models.shallow import Shallow
from stagejax.program import build, step_keys
from stagejax.steps.full_batch import flops_of_gradient

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = replace(preset("smoke"), sgd_rates=(0.1, 1e3))  # the second is too large for a squared error
finished = smoke_run(EXPERIMENT, SMOKE)


@pytest.fixture(scope="module", params=[WINE, CANCER, DIABETES], ids=lambda task: task.name)
def trajectory(request: pytest.FixtureRequest) -> tuple[Task, Any, Any, list[Any], list[Any]]:
    """States and metrics of three boosting stages on one batch."""
    task = request.param
    stage = replace(boosting_stage(replace(SMOKE, units=6), task, "x", 0, 2, 0.5), evaluate=None)
    program = build(stage, make_mesh("data=1"))
    batch = {name: jnp.asarray(x) for name, x in stage.data.take(np.arange(task.rows)).items()}
    states, metrics, step = [program.initial(0)], [], jax.jit(program.step)
    for _ in range(3):
        state, values = step(states[-1], batch, step_keys(stage, 0), program.schedule)
        states.append(state)
        metrics.append(values)
    return task, stage, batch, states, metrics


def outputs(stage: Any, state: Any, x: jax.Array) -> np.ndarray:
    """What the one network gives."""
    up, down = state.params["up"], state.params["down"]
    return np.asarray(jax.nn.sigmoid(x @ up["kernel"] + up["bias"]) @ down["kernel"] + down["bias"])


def test_earlier_units_never_change_and_later_ones_are_silent(trajectory: Any) -> None:
    _, _, _, states, _ = trajectory
    for t, (before, after) in enumerate(itertools.pairwise(states)):
        old = slice(0, 2 * t)
        np.testing.assert_array_equal(after.params["up"]["kernel"][:, old], before.params["up"]["kernel"][:, old])
        np.testing.assert_array_equal(after.params["down"]["kernel"][old], before.params["down"]["kernel"][old])
        assert np.abs(np.asarray(after.params["down"]["kernel"][2 * t : 2 * t + 2])).max() > 0
        assert np.abs(np.asarray(after.params["down"]["kernel"][2 * t + 2 :])).max(initial=0) == 0


def test_the_network_is_the_constant_and_the_sum_of_its_blocks(trajectory: Any) -> None:
    task, stage, batch, states, _ = trajectory
    constant = task.loss.scale * task.loss.constant(batch["y"], task.outputs)
    x, last = batch["x"], states[-1].params
    total, bias = np.broadcast_to(constant, (task.rows, task.outputs)), np.asarray(constant)
    for t in range(3):
        own = slice(2 * t, 2 * t + 2)
        hidden = jax.nn.sigmoid(x @ last["up"]["kernel"][:, own] + last["up"]["bias"][own])
        shift = np.asarray(states[t + 1].params["down"]["bias"]) - bias
        total, bias = total + np.asarray(hidden @ last["down"]["kernel"][own]) + shift, bias + shift
    np.testing.assert_allclose(outputs(stage, states[-1], x), total, rtol=1e-4, atol=1e-5)


def test_every_stage_lowers_the_loss_by_a_shrunk_newton_step(trajectory: Any) -> None:
    task, stage, batch, states, metrics = trajectory
    losses = []
    for state in states[1:]:
        z = jnp.asarray(outputs(stage, state, batch["x"]))
        losses.append(float(task.loss.objective(lambda x, key, z=z: z, batch, None)[0]))
    assert losses == sorted(losses, reverse=True)
    if task is DIABETES:
        assert [float(m["rho"]) for m in metrics] == [0.5] * 3  # the shrinkage alone
    else:
        before, after = (jnp.asarray(outputs(stage, s, batch["x"])) / task.loss.scale for s in states[1:3])
        rho = float(metrics[1]["rho"])
        whole = float(task.loss.rho(before, batch["y"], (after - before) / rho))
        assert rho == pytest.approx(0.5 * whole, rel=2e-3)


def test_blocks_are_fitted_on_another_random_half_each(trajectory: Any) -> None:
    _, stage, batch, states, _ = trajectory
    program = build(stage, make_mesh("data=1"))
    other = jax.jit(program.step)(states[0], batch, step_keys(replace(stage, seed=9), 0), program.schedule)[0]
    assert not np.array_equal(other.params["up"]["kernel"][:, :2], states[1].params["up"]["kernel"][:, :2])


def test_all_arms_learn(finished: Any) -> None:
    results, report, _ = finished
    for name, result in results.items():
        if result.kind == "train" and not name.endswith("sgd/1"):
            losses = [row["loss"] for row in result.history.evals]
            assert losses[-1] < losses[0] or "tuned" in name, name
    assert [row[0] for row in report.tables[0].rows] == [
        GBNN,
        "GBNN + fine-tuning",
        ADAM,
        "SGD",
        "L-BFGS",
        "boosted trees",
    ]


def test_a_candidate_that_diverges_loses_is_charged_and_named(finished: Any) -> None:
    results, report, _ = finished
    sound, broken = (results[f"diabetes/0/sgd/{i}"] for i in (0, 1))
    assert best([broken, sound]) is sound
    assert 0 < broken.cost.flops == broken.steps / sound.steps * sound.cost.flops < sound.cost.flops
    at = list(SMOKE.tasks).index(DIABETES) + 1
    costs = {row[0]: row[at] for row in next(t for t in report.tables if t.title.startswith("Costs")).rows}
    assert costs[SGD] == sound.cost.flops + broken.cost.flops
    assert f"diabetes/0/sgd/1 diverged and lost: {broken.diverged}; its steps are charged." in report.notes


def test_scores_are_those_of_the_plain_network(finished: Any) -> None:
    results, _, _ = finished
    found, net = results["wine/0/scores"].value, None
    for i in range(len(SMOKE.blocks)):
        candidate = results[f"wine/0/gbnn/{i}"]
        if net is None or candidate.history.evals[-1]["loss"] < net.history.evals[-1]["loss"]:
            net = candidate
    x, y = Embedded("wine", "test").table()
    z = np.asarray(net.module()(jnp.asarray(x)))
    assert found["whole"][GBNN] == pytest.approx((z.argmax(-1) == y).mean())
    assert found["first units"][-1] == pytest.approx(found["whole"][GBNN])
    assert found["random units"][-1] == pytest.approx(found["whole"][ADAM])


def test_the_constants_of_a_step_are_those_of_the_blocks_so_far(trajectory: Any) -> None:
    task, _, _, states, metrics = trajectory
    for state, values in zip(states[1:], metrics, strict=True):
        known = [values[f"constant/{k}"] for k in range(task.outputs)]
        np.testing.assert_array_equal(np.stack(known), state.params["down"]["bias"])


def test_joint_solvers_have_the_budget_of_boosting() -> None:
    """As many gradients of units x examples: passes x rows x units = stages x fit steps x share x rows x J."""
    for units, _ in preset("laptop").blocks:
        cfg = preset("laptop")
        assert cfg.units // units * cfg.fit_steps * cfg.share * units == cfg.passes * cfg.units
    spec = Rows(source=Embedded("wine"), batch=WINE.rows, features=13).spec()
    joint = cfg.passes * flops_of_gradient(network(cfg, WINE), WINE.loss.objective, spec)
    assert joint == pytest.approx(cfg.passes * WINE.rows * cfg.units * (4 * 13 + 6 * 3), rel=0.05)


def test_all_arms_choose_on_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the evaluations of training: L-BFGS and the trees are shown no other ones."""
    evaluation, seen = boosting_stage(SMOKE, WINE, "x", 0, 2, 0.5).evaluate, []
    wanted = evaluation.data.take(np.arange(evaluation.batches * evaluation.data.batch))["x"]

    class Trees:
        def __init__(self, **how: Any) -> None: ...

        def fit(self, x: np.ndarray, y: np.ndarray) -> Any:
            return self

        def score(self, x: np.ndarray, y: np.ndarray) -> float:
            seen.append(x)
            return 0.0

    def network_of(x: jax.Array, key: Any) -> jax.Array:
        seen.append(np.asarray(x))
        return jnp.zeros((len(x), WINE.outputs))

    monkeypatch.setattr("sklearn.ensemble.HistGradientBoostingClassifier", Trees)
    monkeypatch.setattr(gradient_boosted_nn, "lbfgs", lambda *given, **how: (network_of, {}))
    gradient_boosted_nn.joint_lbfgs(SMOKE, WINE, 0)
    gradient_boosted_nn.boosted_trees(SMOKE, WINE, 0)
    np.testing.assert_array_equal(seen[0], wanted)
    np.testing.assert_array_equal(seen[1], wanted)
    assert len(seen) == 3  # the last one is the trees' test


def test_a_mask_switches_units_off() -> None:
    from flax import nnx

    model = Shallow(4, 6, 2).build(nnx.Rngs(0))
    x = jnp.ones((3, 4))
    half = model(x, masks={"mlp": jnp.arange(6) < 3.0})
    hidden = jax.nn.sigmoid(model.up(x))[:, :3]
    np.testing.assert_allclose(half, hidden @ model.down.kernel[...][:3] + model.down.bias[...], rtol=1e-5)


def test_splits_of_a_table_are_disjoint_and_standardised() -> None:
    parts = {split: Embedded("diabetes", split, seed=1).table() for split in ("train", "validation", "test")}
    rows = [set(map(bytes, x)) for x, _ in parts.values()]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 442
    x, y = parts["train"]
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose([x.std(), y.std(), y.mean()], [1, 1, 0], atol=1e-4)
    data = Rows(source=Embedded("diabetes"), batch=4, features=10, numeric=True)
    assert data.take(np.arange(4))["y"].dtype == np.float32
    with pytest.raises(ValueError, match="train, validation and test"):
        Embedded("wine", "dev").table()


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {c.verdict for c in report.claims} == {"not tested"}

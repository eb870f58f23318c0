"""Rich representations: what the episodes share and what not, how features are joined, and what the arms may cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.transfer.rich_representations import (
    APART,
    CAT2,
    CAT5,
    DISTILLED,
    EXPERIMENT,
    INIT,
    LONG,
    ONE,
    SNAPSHOTS,
    WIDE2,
    pipeline,
    preset,
    representations,
    stage_of,
)
from stagejax import Plan
from stagejax.data.pictures.tasks import parts_for_probing
from stagejax.inference import Frozen
from stagejax.mesh import make_mesh
from stagejax.models.ensemble import Ensemble
from stagejax.program import build, step_keys

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_members_share_the_data_but_neither_its_order_nor_their_values(finished: Any) -> None:
    results, _, _ = finished
    kernel = results["0/episodes"].state().params["members"]["head"]["kernel"]
    assert len(np.unique(np.asarray(kernel).reshape(SMOKE.members, -1), axis=0)) == SMOKE.members
    data = results["0/episodes"].stage.data
    size = data.size()
    taken = data.take(np.arange(size))["image"].reshape(size, SMOKE.members, -1)
    assert not np.array_equal(taken[:, 0], taken[:, 1])
    assert sorted(map(bytes, taken[:, 0])) == sorted(map(bytes, taken[:, 1]))


def test_every_net_learns(finished: Any) -> None:
    results, _, _ = finished
    for result in results.values():
        if result.kind == "train" and "snapshots" not in result.name:
            loss = result.history.train["loss"]
            assert np.mean(loss[-3:]) < np.mean(loss[:3]), result.name


def test_cat_holds_the_features_of_its_members_side_by_side(finished: Any) -> None:
    results, _, _ = finished
    images = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype(np.float32)
    labels = (CAT5, SNAPSHOTS, SNAPSHOTS, LONG)
    nets = tuple(results[f"0/{name}"] for name in ("episodes", "snapshots/0", "snapshots/2", "long"))
    found, d = representations(labels, [Frozen.of(net) for net in nets], images), SMOKE.net.channels[-1]
    assert {name: x.shape[1] // d for name, x in found.items()} == {CAT5: 3, SNAPSHOTS: 2, LONG: 1, ONE: 1, CAT2: 2}
    np.testing.assert_array_equal(found[CAT5][:, : 2 * d], found[CAT2])
    single = nets[3].module().features(jnp.asarray(images))
    np.testing.assert_allclose(found[LONG], single, rtol=1e-4, atol=1e-5)
    joint = nets[0].module().features(jnp.asarray(images)).reshape(4, -1)
    np.testing.assert_allclose(found[CAT5], joint, rtol=1e-4, atol=1e-5)


def test_snapshots_are_states_of_one_run(finished: Any) -> None:
    results, _, _ = finished
    parts = [results[f"0/snapshots/{i}"] for i in range(SMOKE.members)]
    assert parts[-1].position["step"] == SMOKE.members * SMOKE.steps
    assert int(parts[-1].state().step) == SMOKE.members * SMOKE.steps


def test_controls_have_the_budget_that_they_stand_for(finished: Any) -> None:
    results, _, _ = finished
    assert results["0/long"].cost.flops == results["0/episodes"].cost.flops  # so many epochs of one net
    single = results["0/long"].parameters
    members = results["0/episodes"].state().params["members"]
    assert sum(leaf.size for leaf in jax.tree.leaves(members)) == SMOKE.members * single
    assert 2 < results["0/wide-2"].parameters / single < 4.2


def test_the_distilled_net_has_a_head_for_each_teacher_and_the_size_of_one(finished: Any) -> None:
    results, _, _ = finished
    student = results["0/distilled"]
    assert student.model == replace(SMOKE.net, classes=SMOKE.members * SMOKE.net.classes)
    said = results["0/distilled/teachers"].value["logits"]
    teachers, data = results["0/episodes"].module(), student.stage.data
    batch = data.take(np.arange(5))
    own = np.asarray(teachers(jnp.repeat(jnp.asarray(batch["image"])[:, None], SMOKE.members, axis=1)))
    np.testing.assert_allclose(batch["logits"], own, rtol=1e-3, atol=1e-4)
    assert said.shape == (data.size(), SMOKE.members, SMOKE.net.classes)
    assert results["0/distilled/teachers"].cost.flops > 0


def test_fine_tuning_begins_with_fresh_heads_and_old_features(finished: Any) -> None:
    results, _, _ = finished
    rows = {row[0]: row[1:] for row in results["0/digits-5-9/apart/0.01"].handover}
    assert any("reset" in str(row) for row in rows.values())
    alone, joint = (results[f"0/digits-5-9/{name}/0.01"].state().params for name in ("apart", "together"))
    assert np.abs(np.asarray(joint["kernel"])).max() > 0  # the common head learns only in the joint one
    assert np.abs(np.asarray(alone["kernel"])).max() == 0


def test_fine_tuned_nets_are_tested_on_the_images_of_the_probes_and_choose_by_others(finished: Any) -> None:
    results, report, _ = finished
    target = dict(SMOKE.targets)["digits 5-9"]
    fit, others, test = parts_for_probing(target, SMOKE.fit, SMOKE.validate, SMOKE.test)
    net = results["0/digits-5-9/together/0.01"]
    said = np.asarray(net.module().joint(jnp.asarray(test["image"]))).argmax(-1)
    assert results["0/digits-5-9/together/test"].value == pytest.approx((said == test["label"]).mean())
    learned, chose = (
        {record.tobytes() for record in data.take(np.arange(data.size()))["image"]}
        for data in (net.stage.data, net.stage.evaluate.data)
    )
    assert learned == {record.tobytes() for record in fit["image"]}
    assert chose == {record.tobytes() for record in others["image"]}
    rows = {row[0]: row[1] for row in report.tables[1].rows}
    assert set(rows) >= {INIT, APART}


def test_fine_tuned_arms_are_charged_the_nets_they_start_from_and_their_probe(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert results["0/episodes"] in arms[f"{INIT}, digits 5-9"].charged
    assert {result.name for result in arms[f"{APART}, digits 5-9"].charged} >= {
        "0/episodes",
        "0/digits-5-9/concatenated",
    }
    assert results["0/digits-5-9/concatenated"].cost.flops > 0
    pilots = replace(SMOKE, tune_peaks=(1e-3, 1e-2))
    planned = pipeline(Plan.on("data=1", price=False), pilots)
    other = next(arm for arm in planned.arms if arm.name == f"{INIT}, digits 5-9")
    assert [result.name for result in other.charged] == ["0/episodes", "0/digits-5-9/together/0.01"]


def test_a_member_of_an_ensemble_learns_as_if_alone() -> None:
    """The gradient of the sum of losses is that of each member by itself."""
    stage = stage_of(SMOKE, "x", Ensemble(SMOKE.net, 2, 8), SMOKE.source, 0)
    single = stage_of(SMOKE, "y", SMOKE.net, SMOKE.source, 0)
    both, one = (build(replace(s, evaluate=None), make_mesh("data=1")) for s in (stage, single))
    state = both.initial(0)
    own = one.initial(0)
    pick = lambda tree: jax.tree.map(lambda x: x[1], tree)  # noqa: E731
    own = replace(own, params=pick(state.params["members"]), rest=pick(state.rest["members"]))
    batch = stage.data.take(np.arange(SMOKE.batch))
    after, _ = jax.jit(both.step)(state, batch, step_keys(stage, 0), both.schedule)
    second = {n: x[:, 1] for n, x in batch.items()}
    alone, _ = jax.jit(one.step)(own, second, step_keys(single, 0), one.schedule)
    for a, b in zip(jax.tree.leaves(pick(after.params["members"])), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)


def test_the_report_compares_all_arms(finished: Any) -> None:
    _, report, _ = finished
    probes, tuned, shift, _ = report.tables
    assert [row[0] for row in probes.rows][-1] == DISTILLED
    assert {row[0] for row in tuned.rows} >= {INIT, WIDE2}
    assert len(shift.rows) == 5
    distilled = next(arm for arm in report.arms if arm.name == DISTILLED)
    assert distilled.charged_cost.flops > 0
    assert {c.verdict for c in report.claims} <= {"holds", "does not hold"}


def test_the_distilled_net_is_charged_for_its_teachers_and_for_what_they_say() -> None:
    report = pipeline(Plan.on("data=1", price=False), SMOKE)
    distilled = next(arm for arm in report.arms if arm.name == DISTILLED)
    assert [result.name for result in distilled.charged] == ["0/episodes", "0/distilled/teachers"]


def test_a_plan_tests_no_claim() -> None:
    report = pipeline(Plan.on("data=2", price=False), SMOKE)
    assert {c.verdict for c in report.claims} == {"not tested"}

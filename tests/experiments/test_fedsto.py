"""FedSTO: no label of a client is in reach, phase 1 is of the backbone, budgets and starts are equal."""

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from smoke import flat, smoke_run

from experiments.self_training.fedsto import (
    ARMS,
    EXPERIMENT,
    FEDAVG,
    FEDSTO,
    PLAIN,
    backbone,
    federated,
    kernels_of,
    penalised,
    preset,
    server_of,
    slug,
)
from stagejax import Plan
from stagejax.objectives.orthogonality import exact_deviations
from stagejax.state import everything

pytestmark = pytest.mark.slow  # a smoke run of half a minute
SMOKE = preset("smoke")
FEDERATED = (FEDSTO, FEDAVG, PLAIN)
finished = smoke_run(EXPERIMENT, SMOKE)


def phases(results: dict[str, Any], arm: str) -> list[Any]:
    return [results[f"0/{slug(arm)}/phase-{i}"] for i in (1, 2)]


def test_no_label_of_a_client_is_in_reach(finished: Any) -> None:
    results, _, _ = finished
    for arm in FEDERATED:
        for result in phases(results, arm):
            data = result.stage.data
            assert set(data.spec()) == {"image", "boxes", "labels", "clients"}
            assert data.server.source == SMOKE.sites[0].source
            with data.batches() as batches:
                batch = next(batches)
            np.testing.assert_array_equal(batch["boxes"], data.server.take(np.arange(data.batch))["boxes"])
    assert results["0/server-only"].stage.data.source == results["0/warm-up"].stage.data.source == SMOKE.sites[0].source


def test_clients_train_and_send_the_backbone_only_in_phase_1(finished: Any) -> None:
    results, _, _ = finished
    for arm in FEDERATED:
        first, second = phases(results, arm)
        assert first.stage.trainable["client"] is (everything if arm == FEDAVG else backbone)
        assert first.stage.step.shared("head/box/kernel") == (arm == FEDAVG)
        assert first.stage.step.shared("backbone/blocks/1/norm/mean")
        assert second.stage.step.shared("head/box/kernel")
        assert second.stage.trainable["client"] is everything
        assert first.stage.step.teacher == second.stage.step.teacher == "local"
        # the server trains all of itself in both phases
        assert first.stage.trainable["server"] is everything


def test_the_penalty_is_of_phase_2_at_clients_and_server(finished: Any) -> None:
    results, _, _ = finished
    for arm in FEDERATED:
        first, second = phases(results, arm)
        asked = SMOKE.penalty if arm == FEDSTO else 0.0
        for who in ("server", "client"):
            assert first.stage.objective[who].keywords["penalty"] == 0
            assert second.stage.objective[who].keywords["penalty"] == asked
        assert ("deviation" in second.history.train) == (asked > 0)


def test_teachers_find_reliable_boxes_and_clients_learn(finished: Any) -> None:
    results, _, _ = finished
    warm = results["0/warm-up"].history.train["loss"]
    assert np.mean(warm[-4:]) < 0.7 * np.mean(warm[:4])
    first, second = phases(results, FEDSTO)
    assert max(first.history.train["reliable"] + second.history.train["reliable"]) > 0


def test_arms_share_the_warm_up_and_the_number_of_gradient_steps(finished: Any) -> None:
    results, report, _ = finished
    assert [arm.name for arm in report.arms] == list(ARMS)
    images = {}
    for arm in report.arms:
        assert arm.results[0].name == "0/warm-up"
        images[arm.name] = sum(result.cost.samples for result in arm.results)
    assert len(set(images.values())) == 1, images
    first, no_penalty = phases(results, FEDSTO)[0], phases(results, PLAIN)[0]
    assert first.fingerprint == no_penalty.fingerprint  # trained once
    ends = {arm: server_of(phases(results, arm)[1]).digest for arm in FEDERATED}
    assert len(set(ends.values())) == 3


def test_every_weather_is_measured(finished: Any) -> None:
    results, report, _ = finished
    for name, result in results.items():
        if "/measures/" in name:
            assert set(result.value["map"]) == {"cloudy", "overcast", "rainy", "snowy"}
            assert all(0 <= value <= 1 for value in result.value["map"].values())
            assert result.value["deviation"] > 0
    assert results["0/drawn"].value["found"].shape == (4, 24, 24, 3)
    assert len(report.figures) == 1
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}


def test_one_teacher_for_all_is_the_average_of_servers() -> None:
    stage = federated(SMOKE, "one", 2, 0, selective=True, teacher="global")
    assert stage.step.teacher == "global"
    assert stage.ema == SMOKE.decay


def test_the_two_thresholds_are_those_of_the_config(finished: Any) -> None:
    results, _, _ = finished
    for stage in (result.stage for arm in FEDERATED for result in phases(results, arm)):
        assert (stage.objective["client"].keywords["low"], stage.objective["client"].keywords["high"]) == (0.02, 0.1)
    laptop = preset("laptop")
    assert (laptop.low, laptop.high) == (0.1, 0.6)


def test_the_penalty_moves_neck_and_head_towards_orthogonal_kernels_and_the_backbone_not_at_all() -> None:
    model = SMOKE.net.build(nnx.Rngs(0))
    before = exact_deviations(kernels_of(model))
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def descend(params: Any, key: jax.Array) -> Any:
        grads = jax.grad(lambda p: penalised(nnx.merge(graph, p, rest), key, 1.0)[0])(params)
        return jax.tree.map(lambda p, g: p - 0.02 * g, params, grads)

    after = params
    for key in jax.random.split(jax.random.key(1), 30):
        after = descend(after, key)
    moved = nnx.merge(graph, after, rest)
    assert exact_deviations(kernels_of(moved)).mean() < 0.7 * before.mean()
    same = nnx.to_pure_dict(params)["backbone"], nnx.to_pure_dict(after)["backbone"]
    for a, b in zip(*map(jax.tree.leaves, same), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_server_keeps_its_own_neck_and_head_in_phase_1_but_trains_them(finished: Any) -> None:
    results, _, _ = finished
    start, end = flat(results["0/warm-up"]), flat(server_of(phases(results, FEDSTO)[0]))
    assert all(not np.array_equal(start[path], end[path]) for path in start if path.endswith("kernel"))


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}

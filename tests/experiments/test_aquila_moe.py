"""AquilaMoE at smoke size: scale-up in the paper's order of losses, scale-out without a jump, equal budgets."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.growth.aquila_moe import (
    AKI_PRO,
    AKI_STACK,
    DENSE,
    EXPERIMENT,
    FPI_INTERP,
    FPI_STACK,
    LONGER,
    MOE,
    OPERATORS,
    RANDOM,
    SYSTEM,
    preset,
    regained,
    slug,
)
from stagejax import Plan
from stagejax.loop import History
from stagejax.program import build

pytestmark = pytest.mark.slow  # a smoke run of minutes
SMOKE = preset("smoke")
SMALL, LARGE, WIDE = "source/0/0.01", "aki-pro/0/0.004", "scale-up-scale-out/0/0.002"
finished = smoke_run(EXPERIMENT, SMOKE)


def test_every_stage_learns(finished: Any) -> None:
    results, _, folder = finished
    assert (folder / "report.json").exists()
    for name in (SMALL, LARGE, "random/0/0.01", "moe-from-scratch/0/0.01", "dense-from-scratch/0/0.01"):
        held_out = [row["loss"] for row in results[name].history.evals]
        assert held_out[-1] < held_out[0] + (0.05 if name == LARGE else 0), name  # 20 steps of a model that is trained
    assert 0.3 < results[WIDE].history.last("load_entropy") <= 1


def test_losses_right_after_growth_of_a_trained_source(finished: Any) -> None:
    """Exact where the paper's method is exact, and where ours is; whatever mixes layers or widths unevenly loses."""
    results, report, _ = finished
    source = results[SMALL].history.last("loss")
    labels = (FPI_INTERP, FPI_STACK, AKI_PRO, AKI_STACK)
    after = {label: results[f"{slug(label)}/0/start"].receipt["loss_after"] for label in labels}
    random = results["random/0/0.01"].history.evals[0]["loss"]
    assert all(source < loss for loss in (*after.values(), random))
    assert after[FPI_INTERP] < random
    twice, uneven, isometric = (
        results[f"width/{name}/0"].receipt for name in ("fpi-twice", "fpi-uneven", "isometric-uneven")
    )
    assert twice["loss_after"] == pytest.approx(source, abs=1e-4)
    assert isometric["loss_after"] == pytest.approx(source, abs=1e-4)
    assert uneven["loss_after"] > source + 1e-3
    shown = dict(zip(("source", *labels, RANDOM), report.claims[1].shown.split(", "), strict=True))
    expected = {"source": source, **after, RANDOM: random}
    assert shown == {label: f"{loss:.3f}" for label, loss in expected.items()}
    table = {row[0]: row[2] for row in report.tables[0].rows}
    assert {label: table[label] for label in expected} == shown


def test_layers_are_interpolated_or_stacked(finished: Any) -> None:
    """Norms of layers tell which source layer each is; their gains are copied, not divided."""
    results, _, _ = finished
    small = flat(results[SMALL])
    path = next(path for path in small if path.startswith("blocks/") and "norm" in path)
    channels = np.arange(SMOKE.large.embed) % SMOKE.small.embed
    interpolated, stacked = [0, 0, 1], [0, 1, 0]
    sources = {FPI_INTERP: interpolated, AKI_PRO: interpolated, FPI_STACK: stacked, AKI_STACK: stacked}
    for label, layers in sources.items():
        start = flat(results[f"{slug(label)}/0/start"])
        np.testing.assert_array_equal(start[path], small[path][layers][:, channels], err_msg=label)


def test_aki_pro_fills_new_heads_from_their_own_group_in_the_next_layer(finished: Any) -> None:
    results, _, _ = finished
    small, fpi, aki = (flat(results[name]) for name in (SMALL, "fpi-interpolated/0/start", "aki-pro/0/start"))
    query = next(path for path in small if "query" in path and path.endswith("kernel"))
    layers = np.arange(SMOKE.large.layers) * SMOKE.small.layers // SMOKE.large.layers  # interpolated: 0, 0, 1
    after = np.minimum(layers + 1, SMOKE.small.layers - 1)
    # (layers, embed, kv_heads, q_per_kv, head_dim): channels that have no copy are read whole
    alone = slice(SMOKE.large.embed - SMOKE.small.embed, SMOKE.small.embed)
    for group in range(SMOKE.kv_heads):
        np.testing.assert_allclose(aki[query][:, alone, group, 0], small[query][layers][:, alone, group, 0], rtol=1e-6)
        np.testing.assert_allclose(aki[query][:, alone, group, 1], small[query][after][:, alone, group, 0], rtol=1e-6)
    differ = {path for path in fpi if not np.array_equal(fpi[path], aki[path])}
    assert differ
    assert all(not any(part in path for part in ("key", "value", "norm", "tokens", "head/")) for path in differ)


def test_experts_begin_as_the_dense_network_and_the_loss_stays(finished: Any) -> None:
    results, _, _ = finished
    receipt = results["scale-out/0/start"].receipt
    assert receipt["loss_after"] == pytest.approx(receipt["loss_before"], abs=1e-4)
    assert receipt["loss_before"] == pytest.approx(results[LARGE].history.last("loss"), abs=1e-5)
    dense, start, end = (flat(results[name]) for name in (LARGE, "scale-out/0/start", WIDE))
    for path, leaf in dense.items():
        copied = np.stack([leaf] * SMOKE.experts, axis=1) if "/mlp/" in path else leaf
        np.testing.assert_array_equal(start[path], copied, err_msg=path)
    up = end["blocks/mlp/up/kernel"]
    assert np.abs(up[:, 0] - up[:, 1]).max() > 0  # trained, they are no longer the same


def test_both_sides_spend_the_same_flops(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    system = arms[SYSTEM]
    assert [result.name for result in system.charged] == [SMALL, LARGE]
    spent = system.cost.flops + system.charged_cost.flops
    for name in (MOE, DENSE, LONGER):
        own = arms[name].cost.flops + arms[name].charged_cost.flops
        assert abs(own - spent) <= build(arms[name].results[-1].stage, None).step_flops(), name
    scaled_up = (FPI_INTERP, FPI_STACK, AKI_PRO, AKI_STACK, RANDOM)
    assert {arms[name].results[-1].steps for name in scaled_up} == {SMOKE.steps[1]}
    steps = [results[name].position["step"] for name in (SMALL, LARGE, WIDE)]
    assert steps == np.cumsum(SMOKE.steps).tolist()  # the data goes on


def test_the_step_from_which_on_the_loss_is_regained() -> None:
    """The last crossing counts, not the first; infinite if the end lies above, NaN in a plan."""

    def trained(*losses: float) -> Any:
        evals = [{"step": 10 * i, "loss": loss} for i, loss in enumerate(losses)]
        return SimpleNamespace(history=History(evals=evals))

    source, rows = trained(2.0), ((2.0, 1.5), (1.9, 2.1, 2.0, 1.8), (3.0, 2.5), ())
    arms: list[Any] = [SimpleNamespace(results=(trained(*row),)) for row in rows]
    np.testing.assert_array_equal(regained(arms, [source] * len(arms)), [0, 20, np.inf, np.nan])


def test_rates_are_chosen_on_other_text_than_is_reported(finished: Any) -> None:
    results, report, _ = finished
    (_, test), (name, validation) = results[WIDE].stage.evaluate.data.members
    documents = [{record["name"] for record in iter(own.source)} for own in (test, validation)]
    assert name == "validation"
    assert all(documents)
    assert not documents[0] & documents[1]
    last = results[WIDE].history.evals[-1]
    assert last["loss"] != last["validation/loss"]
    assert next(row[1] for row in report.tables[1].rows if row[0] == SYSTEM) == f"{last['loss']:.3f}"


def test_every_stage_and_every_model_from_scratch_has_its_search_and_pays_for_it() -> None:
    cfg = replace(SMOKE, rates=((1e-3, 2e-3, 4e-3), (1e-3, 2e-3), (5e-4, 1e-3)), seeds=(0, 1))
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), cfg)
    rates = {row[0]: row[1] for row in report.tables[2].rows}
    three, two, low = "0.001, 0.002, 0.004", "0.001, 0.002", "0.0005, 0.001"
    scaled_up = dict.fromkeys(("source", RANDOM, DENSE, MOE), three) | dict.fromkeys(OPERATORS, two)
    assert rates == scaled_up | dict.fromkeys((SYSTEM, LONGER), low)
    arms = {arm.name: [result.name for result in arm.charged] for arm in report.arms}
    lost = {name: {f"{slug(name)}/0/{rate:g}" for rate in (1e-3, 2e-3, 4e-3)[1:]} for name in ("source", MOE, DENSE)}
    assert set(arms[MOE]) == lost[MOE]
    assert {"source/0/0.001", "aki-pro/0/0.001", "aki-pro/0/0.002", f"{slug(SYSTEM)}/0/0.001"} < set(arms[SYSTEM])
    assert lost["source"] < set(arms[SYSTEM])
    assert len(arms[SYSTEM]) == len(set(arms[SYSTEM])) == 2 + 2 + 1 + 1
    assert arms[f"{SYSTEM}, seed 1"] == ["source/1/0.001", "aki-pro/1/0.001"]
    assert not arms[f"{DENSE}, seed 1"]


@pytest.fixture(scope="module")
def planned() -> tuple[dict[str, Any], Any]:
    """Stages by name and the report of a plan."""
    plan = Plan.on("data=2")
    report = EXPERIMENT.pipeline(plan, SMOKE)
    return {result.name: result.stage for result in plan.results if result.kind == "train"}, report


def test_a_chosen_share_of_the_experts_is_charged(planned: Any) -> None:
    """Top 2 of 3 experts is twice the feed-forward network, not three times."""
    stages, _ = planned
    dense, moe = (build(stages[name], None).step_flops() for name in (LARGE, WIDE))
    tokens, large = SMOKE.batches[0] * SMOKE.length, SMOKE.large
    network = 3 * 2 * tokens * large.layers * 3 * large.embed * large.mlp
    router = 3 * 2 * tokens * large.layers * large.embed * SMOKE.experts
    assert moe - dense == network + router


def test_a_plan_tests_no_claim(planned: Any) -> None:
    _, report = planned
    assert {claim.verdict for claim in report.claims} == {"not tested"}

"""bert2BERT at smoke size: every arm does what its paper says, and the report says what was measured."""

import json
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from smoke import smoke_run

from experiments.growth.bert2bert import (
    EXPERIMENT,
    Size,
    SubModelStep,
    TopLayers,
    model,
    preset,
    quarters,
    shares,
    sub_model_stage,
    target_stage,
)
from stagejax import Plan
from stagejax.axes import path_name
from stagejax.growth import AKI, FPI, LEMON, Growth, GrowthError, grow, verify_growth
from stagejax.mesh import make_mesh
from stagejax.program import build, step_keys

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation


def flat(tree: Any) -> dict[str, np.ndarray]:
    return {path_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@slow
def test_every_arm_learns(finished: Any) -> None:
    results, report, _ = finished
    assert [arm.name for arm in report.arms] == [
        "scratch", "DirectCopy", "StackBERT", "MSLT", "FPI + stack", "AKI + stack", "AKI + stack + two-stage",
        "uneven: FPI + stack", "uneven: AKI + stack",
    ]  # fmt: skip
    for result in results.values():
        if result.kind == "train" and "sub-models" not in result.name:
            held_out = [row["loss"] for row in result.history.evals]
            assert held_out[-1] < held_out[0], result.name


@slow
def test_arms_read_the_same_batches_for_the_same_number_of_steps(finished: Any) -> None:
    _, report, _ = finished
    for arm in report.arms:
        trained = [result for result in arm.results if result.kind == "train"]
        assert sum(result.steps for result in trained) == SMOKE.steps
        assert trained[-1].position["step"] == SMOKE.steps


@slow
def test_fpi_keeps_the_function_and_aki_differs_only_in_new_heads_and_units(finished: Any) -> None:
    results, _, _ = finished
    assert results["fpi-stack/0/wide"].receipt["logit_change"] < 1e-4
    assert results["aki-stack/0/wide"].receipt["logit_change"] > 1e-3
    fpi = flat(results["fpi-stack/0/start"].state().params)
    aki = flat(results["aki-stack/0/start"].state().params)
    differ = {path for path in fpi if not np.array_equal(fpi[path], aki[path])}
    assert differ
    assert all("blocks" in path for path in differ)
    up = next(path for path in differ if path.endswith("up/kernel"))
    old = SMOKE.small.mlp
    np.testing.assert_array_equal(fpi[up][..., :old], aki[up][..., :old])
    assert not np.array_equal(fpi[up][..., old:], aki[up][..., old:])


@pytest.mark.parametrize("decoder", [False, True])
def test_an_uneven_pair_grows_in_every_size(decoder: bool) -> None:
    """Layers 2 -> 3, width 24 -> 32, heads 3 -> 4, units 40 -> 64: no size is a whole multiple."""
    cfg = replace(SMOKE, decoder=decoder, small=Size(2, 24, 3, 40), large=Size(3, 32, 4, 64))
    old, new = model(cfg, cfg.small), model(cfg, cfg.large)
    params = nnx.to_pure_dict(nnx.state(old.build(nnx.Rngs(0)), nnx.Param))
    before, fpi, aki = (flat(p) for p in (params, *(grow(Growth(op, old, new), params) for op in (FPI(), AKI()))))
    embed, units, layers = np.arange(32) % 24, np.arange(64) % 40, [0, 1, 1]  # the top layer once more
    np.testing.assert_array_equal(fpi["tokens/table"], before["tokens/table"][:, embed])
    np.testing.assert_array_equal(aki["tokens/table"], fpi["tokens/table"])
    up = next(path for path in before if path.endswith("up/kernel"))
    wide = before[up][:, embed][:, :, units] / np.bincount(embed)[embed][:, None]  # readers share
    np.testing.assert_allclose(fpi[up], wide[layers], rtol=1e-6)
    np.testing.assert_allclose(aki[up][..., :40], wide[layers][..., :40], rtol=1e-6)
    np.testing.assert_allclose(aki[up][..., 40:], wide[[1, 1, 1]][..., 40:], rtol=1e-6)  # from the layer above


@slow
def test_widening_and_then_stacking_is_growing_at_once(finished: Any) -> None:
    results, _, _ = finished
    for label, source, operator in (("aki", "source", AKI()), ("uneven-fpi", "uneven", FPI())):
        small, start = results[f"{source}/0"], results[f"{label}-stack/0/start"]
        at_once = flat(grow(Growth(operator, small.model, start.model), small.state().params))
        for path, leaf in flat(start.state().params).items():
            np.testing.assert_allclose(leaf, at_once[path], rtol=1e-6, err_msg=path)


def test_exact_width_keeps_a_gpt_at_an_uneven_width_and_refuses_a_bert() -> None:
    def widen(cfg: Any) -> Any:
        old, wide = model(cfg, cfg.uneven), model(cfg, replace(cfg.large, layers=cfg.uneven.layers))
        growth = Growth(LEMON(), old, wide)
        params = nnx.to_pure_dict(nnx.state(old.build(nnx.Rngs(0)), nnx.Param))
        return verify_growth(growth, params, grow(growth, params, key=jax.random.key(0)), "reset", objective, batches)

    gpt = replace(SMOKE, decoder=True)
    stage = target_stage(gpt, "any", 0)
    objective = stage.objective
    with stage.data.batches() as batches:
        batches = [next(batches)]
    assert widen(gpt).logit_change < 1e-5
    with pytest.raises(GrowthError, match="post-norm"):
        widen(SMOKE)


@slow
def test_direct_copy_keeps_the_corner(finished: Any) -> None:
    results, _, _ = finished
    small, start = (flat(results[name].state().params) for name in ("source/0", "directcopy/0/start"))
    for path, leaf in small.items():
        corner = tuple(slice(0, size) for size in leaf.shape)
        np.testing.assert_array_equal(start[path][corner], leaf, err_msg=path)


@slow
def test_stacking_copies_whole_layers(finished: Any) -> None:
    results, _, _ = finished
    shallow, deep = quarters(SMOKE.large.layers)[-2:]
    before = flat(results[f"stackbert/0/{shallow}-layers"].state().params)
    after = flat(results[f"stackbert/0/{deep}-layers/start"].state().params)
    for path, leaf in before.items():
        expected = leaf[np.arange(deep) % shallow] if "blocks" in path else leaf
        np.testing.assert_array_equal(after[path], expected, err_msg=path)


@slow
def test_mslt_trains_only_new_layers_and_the_head(finished: Any) -> None:
    results, _, _ = finished
    shallow, deep = quarters(SMOKE.large.layers)[-2:]
    start = results[f"mslt/0/{deep}-layers/start"].state()
    end = results[f"mslt/0/{deep}-layers"].state()
    for path, leaf in flat(start.params).items():
        now = flat(end.params)[path]
        if "blocks" in path:
            np.testing.assert_array_equal(now[:shallow], leaf[:shallow], err_msg=path)
            assert path.endswith("bias") or not np.array_equal(now[shallow:], leaf[shallow:]), path
        elif path.startswith(("positions", "embed_norm")):
            np.testing.assert_array_equal(now, leaf, err_msg=path)
    moments = flat(end.opt_state)
    assert all(leaf.shape[0] == deep - shallow for path, leaf in moments.items() if "blocks" in path)
    assert not any("positions" in path for path in moments)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.slow
def test_a_sub_model_step_trains_only_its_top_layers(depth: int) -> None:
    stage = replace(sub_model_stage(SMOKE, "sub", 4, 0), step=SubModelStep((depth,), 1, 0), evaluate=None)
    program = build(stage, make_mesh("data=1"))
    state = program.initial(0)
    with stage.data.batches() as batches:
        batch = next(batches)
    before = flat(state)
    after, metrics = jax.jit(program.step)(state, batch, step_keys(stage, 0), program.schedule)
    assert int(metrics["depth"]) == depth
    for path, leaf in flat(after).items():
        if "blocks" in path:
            rows = np.arange(SMOKE.large.layers) != depth - 1
            np.testing.assert_array_equal(leaf[rows], before[path][rows], err_msg=path)
            assert "params" not in path or path.endswith("bias") or not np.array_equal(leaf, before[path]), path
        elif "positions" in path or "embed_norm" in path:
            if depth > 1:
                np.testing.assert_array_equal(leaf, before[path], err_msg=path)
            elif path == "params/positions/table":  # what lies under the layers learns with the lowest sub-model
                assert not np.array_equal(leaf, before[path])


def test_sub_models_are_charged_for_the_depths_they_draw() -> None:
    stage = sub_model_stage(SMOKE, "sub", 20, 0)
    drawn = [int(stage.step.depth_index(k)) for k in range(20)]
    assert len(set(drawn)) == len(stage.step.depths)
    _, flops = stage.step_flops.args
    assert list(flops) == sorted(set(flops))
    np.testing.assert_array_equal(stage.step_flops(np.arange(20)), [flops[i] for i in drawn])


@slow
def test_the_two_stages_share_the_budget(finished: Any) -> None:
    results, _, _ = finished
    assert results["two-stage/0/sub-models"].steps + results["two-stage/0"].steps == SMOKE.steps
    assert results["two-stage/0/sub-models"].handover != results["two-stage/0"].handover  # the data go on


@slow
def test_the_report_charges_the_source_on_demand(finished: Any) -> None:
    _, report, folder = finished
    page = json.loads((folder / "report.json").read_text())
    assert {"experiment", "preset", "commit", "environment", "stages", "arms", "claims"} <= set(page)
    assert {"name", "kind", "steps", "costs", "digest"} <= set(page["stages"][0])
    assert {"statement", "paper", "measured", "margin", "verdict"} <= set(page["claims"][0])
    assert {claim["verdict"] for claim in page["claims"]} <= {"holds", "does not hold"}
    rows = {row[0]: row for row in report.tables[0].rows}
    assert rows["FPI + stack"][2] > rows["FPI + stack"][4]  # the source makes it dearer
    assert rows["StackBERT"][2] == rows["StackBERT"][4]  # it has none
    dearer = {label: rows[label][2] - rows[label][4] for label in ("FPI + stack", "uneven: FPI + stack")}
    assert dearer["uneven: FPI + stack"] > dearer["FPI + stack"]
    assert "http" not in (folder / "report.html").read_text().split("<body")[0]


@slow
def test_the_report_shows_what_widening_alone_does(finished: Any) -> None:
    _, report, _ = finished
    rows = {row[0]: row[1:] for row in report.tables[1].rows}
    assert {label: width for label, (width, *_) in rows.items()} == {
        "DirectCopy": "16 -> 32", "FPI + stack": "16 -> 32", "AKI + stack": "16 -> 32",
        "uneven: FPI + stack": "24 -> 32", "uneven: AKI + stack": "24 -> 32",
    }  # fmt: skip
    assert rows["FPI + stack"][1] == pytest.approx(rows["FPI + stack"][2], abs=1e-5)
    assert rows["uneven: FPI + stack"][3] > 1e-3 > rows["FPI + stack"][3]
    assert report.claims[-2].measured.startswith(f"{rows['FPI + stack'][1]:.3f} -> ")


def test_the_paper_s_own_pair_is_judged_as_uneven() -> None:
    """The pod preset has one source, at two thirds of the width, and twelve layers as the target."""
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), replace(SMOKE, small=Size(3, 24, 3, 40), uneven=None))
    assert [claim.statement for claim in report.claims][2:] == [
        "Widening 24 -> 32 by FPI, which is uneven, loses some of the function"
    ]
    assert preset("pod").large.embed % preset("pod").small.embed


@slow
def test_scratch_costs_what_the_plan_said(finished: Any) -> None:
    results, _, _ = finished
    plan = Plan.on("data=1")
    EXPERIMENT.pipeline(plan, SMOKE)
    for planned in plan.stages:
        result = results[planned.name]
        assert planned.parameters == result.parameters
        if planned.kind == "train":
            assert planned.flops == result.cost.flops
            assert planned.tokens == result.cost.tokens
            assert planned.eval_flops == result.cost.eval_flops
            assert planned.handover == result.handover


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_the_decoder_variant_trains() -> None:
    plan = Plan.on("data=1", price=False)
    EXPERIMENT.pipeline(plan, replace(SMOKE, decoder=True))
    assert all(result.model.causal for result in plan.results)
    exact = plan.results[-1].stage.model
    assert (exact.embed, exact.layers, exact.norm_eps) == (32, 3, pytest.approx(1e-5 * 24 / 32))


def test_shares_use_every_step() -> None:
    assert shares(400, (0.125, 0.175, 0.7)) == [50, 70, 280]
    assert sum(shares(7, (0.2, 0.2, 0.2, 0.4))) == 7
    assert quarters(4) == [1, 2, 4]
    assert TopLayers(2)("positions/table", type("A", (), {"names": ("position", "embed")})()) is False

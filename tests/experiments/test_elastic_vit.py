"""ElasticViT at smoke size: what a step trains, what is remembered, searched and cut out, and what it costs."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.growth.elastic_vit import (
    EXPERIMENT,
    FULL,
    PERFORMANCE,
    UNIFORM,
    images,
    preset,
    sampler,
    search_flops,
    supernet_stage,
)
from stagejax import Plan
from stagejax.mesh import make_mesh
from stagejax.program import build, step_keys

pytestmark = pytest.mark.slow  # a smoke run of a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_every_supernet_learns(finished: Any) -> None:
    results, _, _ = finished
    for label in SMOKE.arms:
        loss = results[f"supernet/{label}/0"].history.train["cross_entropy"]
        assert np.mean(loss[-10:]) < np.mean(loss[:10]), label


def test_neighbouring_steps_have_neighbouring_banks(finished: Any) -> None:
    results, _, _ = finished
    walk = np.array(results[f"supernet/{FULL}/0"].history.train["bank"])
    assert set(walk) == set(range(SMOKE.banks))
    assert np.abs(np.diff(walk)).max() == 1
    jumps = np.array(results[f"supernet/{PERFORMANCE}/0"].history.train["bank"])
    assert np.abs(np.diff(jumps)).max() > 1


def test_the_memory_holds_scored_subnets_of_its_bank(finished: Any) -> None:
    results, _, _ = finished
    memory = results[f"supernet/{FULL}/0"].state()["memory"].rest
    for bank in range(SMOKE.banks):
        there = np.isfinite(memory["scores"][bank])
        assert there.any()
        assert sampler(SMOKE, FULL).within(np.asarray(memory["codes"][bank])[there], bank).all()
    assert not np.isfinite(results[f"supernet/{UNIFORM}/0"].state()["memory"].rest["scores"]).any()


def test_the_cosine_is_that_of_neighbouring_gradients(finished: Any) -> None:
    results, _, _ = finished
    values = np.array(results[f"supernet/{FULL}/0"].history.train["cosine"])
    assert values[0] == 0
    assert (np.abs(values) <= 1 + 1e-5).all()
    assert values[1:].any()


def test_search_stays_within_the_limit_and_away_from_training_and_test(finished: Any) -> None:
    results, _, _ = finished
    (bank,) = SMOKE.limits
    for label in (UNIFORM, FULL):
        found = results[f"search/{label}/0/{bank}"]
        assert sampler(SMOKE, FULL).within(np.array([found.value["code"]]), bank).all()
        assert found.cost.flops == search_flops(SMOKE)
    kept, rest = images(SMOKE, search=True).source, images(SMOKE).source
    assert len(kept) + len(rest) == SMOKE.records
    assert not {kept[i]["image"].tobytes() for i in range(len(kept))} & {rest[i]["image"].tobytes() for i in range(300)}


def test_what_is_cut_out_scores_what_the_masked_supernet_scores(finished: Any) -> None:
    results, _, _ = finished
    (bank,) = SMOKE.limits
    code = tuple(results[f"search/{FULL}/0/{bank}"].value["code"])
    supernet, cut = (results[name] for name in (f"supernet/{FULL}/0", f"cut/{FULL}/0/{bank}"))
    picture = jnp.asarray(np.random.default_rng(0).random((4, 8, 8, 1)), jnp.float32)
    space = SMOKE.space
    masked = supernet.member("net").module()(
        space.resized(picture, jnp.array(code)), masks=space.masks(jnp.array(code))
    )
    own = cut.module()(space.own_images(picture, code), masks=space.own_masks(code))
    np.testing.assert_allclose(own, masked, atol=1e-4)
    assert cut.parameters < supernet.parameters


def test_arms_train_as_many_subnets_on_the_same_images_and_pay_for_the_memory(finished: Any) -> None:
    results, report, _ = finished
    uniform, *others = [results[f"supernet/{label}/0"] for label in SMOKE.arms]
    renewed = SMOKE.renew * SMOKE.steps * SMOKE.batch * float(SMOKE.space.flops(np.array(SMOKE.space.most)))
    for other in others:
        assert (other.steps, str(other.position)) == (uniform.steps, str(uniform.position))
        assert other.cost.flops == pytest.approx(uniform.cost.flops + renewed, rel=0.01)  # images are resized as well
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}


def test_a_step_is_a_pure_function_of_state_batch_and_key() -> None:
    from types import SimpleNamespace

    rows = {"logits": np.zeros((SMOKE.records - SMOKE.kept, 10), np.float32)}
    stage = supernet_stage(SMOKE, FULL, 0, SimpleNamespace(fingerprint="none", value=rows))
    program = build(replace(stage, evaluate=None), make_mesh("data=1"))
    with stage.data.batches() as batches:
        batch = next(batches)
    state, step = program.initial(0), jax.jit(program.step)
    one, other = (step(state, batch, step_keys(stage, 0), program.schedule)[0] for _ in range(2))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}

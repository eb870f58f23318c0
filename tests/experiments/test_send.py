"""SeND: what is dropped is chosen by tracked embeddings, in training alone; arms differ in nothing else."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.objective.send import (
    CLAIMED,
    EXPERIMENT,
    FROZEN,
    NORMAL,
    OTHERS,
    RANDOM,
    SEND,
    ZEROED,
    preset,
    protocols,
    slug,
)
from stagejax import Plan
from stagejax.data import codec
from stagejax.objectives import causal_lm

pytestmark = pytest.mark.slow  # nine programs, half a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
DROPPED = int(SMOKE.share * SMOKE.net.embed)
WATCHING = [f"0/{slug(label)}" for label in (SEND, RANDOM, "SeND, released statistic", ZEROED, FROZEN)]


def rest(result: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in result.state().rest.items()}


def sensitivities(seen_CJE: np.ndarray) -> np.ndarray:
    return (np.abs(np.diff(seen_CJE, axis=0)).sum(0) * seen_CJE.var(0)).mean(0)


def test_tracking_texts_are_in_no_training_and_prompts_in_no_text(finished: Any) -> None:
    results, _, _ = finished
    code, stage = codec(SMOKE.tokenizer, SMOKE.tokenizer.source), results["0/send"].stage
    batches = stage.data.take(np.arange(stage.steps * SMOKE.batch))
    read, watched = ({code.decode(row) for row in batches[name]} for name in ("tokens", "watched"))
    assert len(watched) == SMOKE.batch  # the same in every batch
    held = stage.evaluate.data.take(np.arange(len(SMOKE.prompts)))
    tests, prompts, truths = ({code.decode(row) for row in held[name]} for name in ("text", "tokens", "truth"))
    assert not read & watched
    assert not read & tests
    assert not watched & tests
    assert not any(text.startswith(prompt) for prompt in prompts for text in read | watched | tests)
    assert all(any(truth.startswith(prompt) for truth in truths) for prompt in prompts)
    old = [SMOKE.people.name(person) for person in range(SMOKE.old)]
    assert not any(name in text for name in old for text in read)
    assert {bool(mark) for mark in held["mark"]} == {True, False}


def test_coordinates_are_dropped_from_the_first_choice_on(finished: Any) -> None:
    results, _, _ = finished
    wanted = np.where(np.arange(SMOKE.epochs * SMOKE.epoch) < SMOKE.period * SMOKE.epoch, 0, DROPPED)
    for name in WATCHING:
        np.testing.assert_array_equal(results[name].history.train["dropped"], wanted, err_msg=name)
    assert "dropped" not in results["0/normal"].history.train


def test_the_most_sensitive_coordinates_of_the_last_checkpoints_are_chosen(finished: Any) -> None:
    results, _, _ = finished
    for seed in SMOKE.seeds:
        left = rest(results[f"{seed}/send"])
        assert left["seen"].shape == (SMOKE.period, SMOKE.batch, SMOKE.net.embed)
        order = np.argsort(-sensitivities(left["seen"].astype(np.float64)))
        assert set(np.flatnonzero(left["kept"] == 0)) == set(order[:DROPPED].tolist())
        still = np.flatnonzero((left["seen"] == 0).all((0, 1)))  # dropped before: tracked with the mask
        assert len(still) == DROPPED
        assert left["kept"][still].all()  # and back again
    drawn = [tuple(rest(results[f"{seed}/random-coordinates"])["kept"]) for seed in SMOKE.seeds]
    assert drawn[0] != drawn[1]
    assert sum(drawn[0]) == SMOKE.net.embed - DROPPED


def test_tracked_embeddings_are_those_of_the_model(finished: Any) -> None:
    results, _, _ = finished
    for name, masked in (("0/send", True), ("0/send-by-weights", False)):
        result, left = results[name], rest(results[name])
        texts = jnp.asarray(result.stage.data.take(np.arange(SMOKE.batch))["watched"])
        now, mask = result.module().embeddings(texts), (left["seen"] != 0).any((0, 1))
        assert mask.all() != masked
        np.testing.assert_allclose(left["seen"][-1], now * mask, atol=1e-4)


def test_weights_into_dropped_coordinates_are_zeroed_and_nothing_else(finished: Any) -> None:
    results, _, _ = finished
    params = results["base"].state().params
    kept = np.ones(SMOKE.net.embed, np.float32)
    kept[[1, 4]] = 0
    changed, same = protocols(SMOKE, 0, 3e-3)[ZEROED].step.drop(params, jnp.asarray(kept)), jax.tree.leaves(params)
    down = changed["net"]["blocks"]["mlp"]["down"]["kernel"]
    layer = SMOKE.net.layers - 2
    np.testing.assert_array_equal(down[layer], params["net"]["blocks"]["mlp"]["down"]["kernel"][layer] * kept)
    differing = [not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(changed), same, strict=True)]
    assert sum(differing) == 1
    np.testing.assert_array_equal(down[layer + 1 :], params["net"]["blocks"]["mlp"]["down"]["kernel"][layer + 1 :])


def test_tests_are_without_a_mask(finished: Any) -> None:
    results, _, _ = finished
    result = results["0/send"]
    model, data = result.module(), result.stage.evaluate.data
    assert (rest(result)["kept"] == 0).any()
    held = data.take(np.arange(len(SMOKE.prompts)))
    text = {"tokens": held["text"], "targets": held["text_targets"], "weights": held["text_weights"]}
    text = {name: jnp.asarray(leaf) for name, leaf in text.items()}
    assert float(causal_lm(model, text, None)[0]) == pytest.approx(result.history.last("loss"), rel=1e-4)
    assert abs(float(causal_lm(model.masked, text, None)[0]) - result.history.last("loss")) > 1e-3


def test_arms_are_alike_up_to_the_first_drop_and_as_long(finished: Any) -> None:
    results, _, _ = finished
    stages = {label: results[f"0/{slug(label)}"].stage for label in (*CLAIMED, *OTHERS)}
    assert {(stage.steps, stage.data, stage.optimizer, stage.evaluate) for stage in stages.values()} == {
        (stages[NORMAL].steps, stages[NORMAL].data, stages[NORMAL].optimizer, stages[NORMAL].evaluate)
    }
    losses = {label: results[f"0/{slug(label)}"].history.train["loss"] for label in (*CLAIMED, ZEROED, FROZEN)}
    first = SMOKE.period * SMOKE.epoch
    for label in (SEND, RANDOM, ZEROED):
        np.testing.assert_allclose(losses[label][:first], losses[NORMAL][:first], rtol=1e-3)
        assert abs(losses[label][first] - losses[NORMAL][first]) > 1e-4, label
    assert abs(losses[FROZEN][first // 2] - losses[NORMAL][first // 2]) > 1e-4
    for name, result in results.items():
        if result.kind == "train":
            assert result.history.train["loss"][-1] < result.history.train["loss"][0], name


def test_the_lower_half_is_frozen(finished: Any) -> None:
    results, _, _ = finished
    base, frozen, normal = (flat(results[name]) for name in ("base", f"0/{slug(FROZEN)}", "0/normal"))
    for path in base:
        if "blocks" in path:
            np.testing.assert_array_equal(frozen[path][0], base[path][0])
            assert not np.array_equal(frozen[path][1], base[path][1])
            assert not np.array_equal(normal[path][0], base[path][0])


def test_watching_is_charged_once_an_epoch_and_the_finished_model_to_all(finished: Any) -> None:
    results, report, _ = finished
    watching = results["0/send"].cost.flops - results["0/normal"].cost.flops
    forward = results["0/normal"].cost.flops / (SMOKE.epochs * SMOKE.epoch) / 3
    assert 0 < watching / SMOKE.epochs < forward  # a part of a forward pass, no gradient
    for arm in report.arms:
        assert arm.results[0] is results["base"]
        assert {result.name for result in arm.charged} == {name for name in results if name.startswith("rate/")}
    assert len(report.arms) == len(CLAIMED) * len(SMOKE.seeds) + len(OTHERS)


def test_the_report_has_the_variance_of_the_late_epochs(finished: Any) -> None:
    results, report, _ = finished
    history = [row["eigenscore"] for row in results["1/send"].history.evals]
    assert len(history) == SMOKE.epochs + 1
    assert f"{np.var(history[SMOKE.period + 1 :], ddof=1):.4f} (normal" in report.claims[0].measured
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}
    stops = next(table for table in report.tables if "stop" in table.title)
    assert len(stops.rows) == len(CLAIMED) + len(OTHERS)


def test_the_rate_is_that_of_the_pilot_with_the_lowest_last_loss_on_held_out_sentences(finished: Any) -> None:
    results, _, _ = finished
    pilots = {float(name.removeprefix("rate/")): own for name, own in results.items() if name.startswith("rate/")}
    assert pilots.keys() >= {*SMOKE.peaks}
    best = min(pilots, key=lambda peak: pilots[peak].history.last("loss"))
    normal = results["0/normal"]
    assert normal.stage.optimizer.peak == best
    assert normal.stage.data == pilots[best].stage.data
    assert pilots[best].history.last("loss") == pytest.approx(normal.history.last("loss"), rel=0.1)  # other batches


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}

"""Talking models: the teacher thinks about messages and stays as it is, arms have equal care, rounds are charged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from smoke import flat, smoke_run

from experiments.distillation.talking_models import (
    ALONE,
    ARMS,
    EXPERIMENT,
    FEATURES,
    FITNET,
    KD,
    LONGER,
    NO_MC,
    NO_SC,
    ONE_WAY,
    SEARCHED,
    TALKING,
    TALKS,
    TWICE,
    Weights,
    lesson,
    preset,
    searched,
    talked,
)
from stagejax import Plan
from stagejax.names import slug
from stagejax.program import build, init_keys

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def losses(stage: Any) -> Any:
    """L_interact, L_MC and L_SC of a stage's first batch as a function of all parameters; and these."""
    program = build(stage, None)
    state = program.init(init_keys(stage, 1))
    with stage.data.batches(None) as batches:
        images = jnp.asarray(next(batches)["image"])

    def found(params: Any, further: Any, name: str) -> Any:
        models = {n: nnx.merge(part.graphdef, params[n], state[n].rest) for n, part in program.parts.items()}
        states = [images, models["student"].run(images, 0, 1, True)]
        return further(models, images, [*states, models["student"].run(states[-1], 1, 2, True)])[name]

    return found, {name: own.params for name, own in state.items()}


def size(tree: Any) -> float:
    return float(sum(jnp.abs(x).sum() for x in jax.tree.leaves(tree)))


@pytest.mark.slow
def test_the_teacher_thinks_about_the_students_message() -> None:
    found, params = losses(lesson(SMOKE, 0, TALKING, 1.0))
    talking = partial(talked, low=SMOKE.low)
    gradients = jax.jit(jax.grad(partial(found, further=talking, name="interaction")))(params)
    assert size(gradients["teacher"]["blocks"]["2"]) > 0  # its layers above the decoded state
    assert size(gradients["teacher"]["blocks"]["1"]) == 0  # not those below: what it saw itself plays no part
    for way, level in (("encoders", "low"), ("decoders", "high")):
        assert size(gradients["student_says"][way][level]) > 0
    assert size(gradients["student"]["blocks"]["1"]) > 0
    one_way = partial(talking, opens="teacher")
    gradients = jax.jit(jax.grad(partial(found, further=one_way, name="interaction")))(params)
    assert size(gradients["student_says"]["encoders"]) == 0  # the student says nothing
    assert size(gradients["teacher"]["blocks"]["1"]) > 0  # the teacher opens with what it has seen


def test_interaction_is_silent_at_first_and_ablations_lack_one_loss() -> None:
    options = lesson(SMOKE, 0, TALKING, 0.5).step.keywords["options"]
    at = [{k: float(v) for k, v in options(jnp.float32(p))["weights"].items()} for p in (0.0, 0.099, 0.1, 1.0)]
    assert [own["interaction"] for own in at] == [0, 0, 0.5, 0.5]
    assert all((own["labels"], own["messages"], own["states"]) == (1, 0.5, 0.5) for own in at)
    for label, name in ((NO_MC, "messages"), (NO_SC, "states")):
        less = lesson(SMOKE, 0, label, 0.5).step.keywords["options"](jnp.float32(1.0))["weights"]
        assert {k: float(v) for k, v in less.items()} == at[-1] | {name: 0.0}
    assert float(Weights(0.5, "labels", 0.1)(jnp.float32(1.0))["weights"]["labels"]) == 0


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_helpers_of_all_methods_are_equally_large(name: str) -> None:
    cfg = preset(name)
    talking = sum(own.parameters for own in cfg.messengers.values())
    for level in (cfg.levels, cfg.hint):
        assert abs(cfg.adapter(level).parameters / talking - 1) < 0.03


def test_the_weight_is_the_best_one_beyond_the_grid_too_on_images_of_neither_training_nor_test() -> None:
    cfg, asked = replace(SMOKE, weights=(0.1, 1.0)), []

    def train(stage: Any, start: Any) -> Any:
        asked.append(stage)
        value = {1.0: 0.4, 0.1: 0.5, 0.01: 0.7, 0.001: 0.6}[stage.step.keywords["options"].weight]
        return SimpleNamespace(history=SimpleNamespace(last=lambda name: value))

    found = searched(SimpleNamespace(train=train), cfg, TALKING, None)
    assert (found.best, found.tried, len(found.spent)) == (0.01, (0.1, 1.0, 0.01, 0.001), 4)
    here, held = asked[0].data.source, asked[0].evaluate.data.source
    assert here.source == held.source == cfg.source  # the training split
    assert (here.seed, here.stop) == (held.seed, held.start)


@pytest.mark.slow
def test_all_students_begin_alike_and_see_the_same() -> None:
    stages = [lesson(SMOKE, 0, label, 1.0) for label in (ALONE, KD, FEATURES, *TALKS)]
    assert len({(stage.steps, stage.optimizer["student"], stage.data, stage.seed) for stage in stages}) == 1
    assert all(stage.optimizer["teacher"] is None for stage in stages)
    first = [build(stage, None).init(init_keys(stage, 1))["student"].params for stage in (stages[0], stages[-1])]
    jax.tree.map(np.testing.assert_array_equal, *first)


@pytest.mark.slow
def test_the_teacher_is_never_changed_nor_sees_the_task(finished: Any) -> None:
    results, _, _ = finished
    teacher = results["teacher"]
    taught = [result for result in results.values() if result is not teacher]
    assert len(taught) == len(SEARCHED) + len(ARMS) + 1  # and the hints
    for result in taught:
        own = result.member("teacher").state()
        for part in ("params", "rest"):
            jax.tree.map(np.testing.assert_array_equal, getattr(own, part), getattr(teacher.state(), part))
        assert not np.array_equal(flat(result.member("student"))["head/kernel"], flat(teacher)["head/kernel"])
    broad, source = teacher.stage.data.source, SMOKE.source
    assert broad.parts == source.parts
    assert broad.skip + broad.limit == source.skip


@pytest.mark.slow
def test_rounds_and_the_teachers_thoughts_are_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    step = {label: arm.cost.flops / arm.cost.steps for label, arm in arms.items()}
    assert step[ALONE] < step[KD] < step[FEATURES] < step[ONE_WAY] < step[TWICE]
    assert 0.3 * step[TALKING] < step[TWICE] - step[TALKING] < 0.7 * step[TALKING]
    assert step[NO_MC] == step[NO_SC] == step[TALKING]
    assert arms[LONGER].cost.flops == pytest.approx(arms[TALKING].cost.flops, rel=0.05)
    assert {arm.cost.steps for label, arm in arms.items() if label != LONGER} == {SMOKE.steps}
    for label, arm in arms.items():
        assert (results["teacher"] in arm.charged) == (label not in (ALONE, LONGER))


@pytest.mark.slow
def test_fitnet_goes_on_from_its_hints(finished: Any) -> None:
    results, report, _ = finished
    hints, then = results["0/hints"], results["0/fitnet"]
    assert (hints.steps, hints.steps + then.steps) == (SMOKE.hints, SMOKE.steps)
    assert hints.history.train["features"][-1] < hints.history.train["features"][0]
    first = build(hints.stage, None).init(init_keys(hints.stage, 1))["student"].params
    np.testing.assert_array_equal(flat(hints.member("student"))["head/kernel"], first["head"]["kernel"])  # no label
    assert results["0/hints"] in next(arm for arm in report.arms if arm.name == FITNET).results


@pytest.mark.slow
def test_only_the_student_works_at_the_end(finished: Any) -> None:
    results, _, _ = finished
    talking = results[f"0/{slug(TALKING)}"]
    student, right = talking.member("student").module(), []
    with talking.stage.evaluate.data.batches(None) as batches:
        for batch in batches:
            right += (np.asarray(student(jnp.asarray(batch["image"]))).argmax(1) == batch["label"]).tolist()
    assert np.mean(right) == pytest.approx(talking.history.last("accuracy"), abs=1e-6)


@pytest.mark.slow
def test_talking_learns_and_is_reported(finished: Any) -> None:
    results, report, _ = finished
    history = results[f"0/{slug(TALKING)}"].history.train
    for name in ("labels", "messages", "states", "interaction"):
        assert np.mean(history[name][-5:]) < np.mean(history[name][:5]), name
    assert [row[0] for row in report.tables[0].rows] == list(ARMS)
    assert [row[0] for row in report.tables[1].rows] == list(TALKS)
    assert [row[0] for row in report.tables[2].rows] == list(SEARCHED)
    assert [claim.verdict for claim in report.claims[:5]] == ["not tested"] * 5  # one seed has no error


@pytest.mark.parametrize("name", ["smoke", pytest.param("laptop", marks=pytest.mark.slow)])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}

"""Runs side by side end as they would alone; segments of one run, mixture included, as the run that was not cut."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from stagejax import Evaluation, Stage, running
from stagejax.data.reasoning.skills import Lego
from stagejax.data.selection.rounds import Round
from stagejax.handover import Handover
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.objectives.text.skills import by_skill
from stagejax.optimizer import adamw
from stagejax.steps.side_by_side import in_turn, side_by_side, side_by_side_flops

PARTS = tuple(Lego(skill=i, clauses=2, batch=4, length=14) for i in range(2))
TESTED = Round(parts=tuple(replace(part, split="test") for part in PARTS), counts=(8, 8), batch=8)
STAGE = Stage(
    name="whole",
    model=gpt(vocab=37, embed=16, layers=1, heads=2, mlp=32, length=14),
    objective=causal_lm,
    optimizer=adamw(1e-2, warmup=2, decay="linear", clip=0.5),
    data=Round(parts=PARTS, counts=(12, 12), batch=4),
    steps=6,
    evaluate=Evaluation(TESTED, 2, 3, partial(by_skill, skills=2)),
)


def same(one: object, other: object, **tolerance: float) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), **tolerance), one, other)


@pytest.mark.slow
def test_runs_side_by_side_end_as_they_would_alone(tmp_path: Path) -> None:
    datas = [replace(STAGE.data, counts=counts) for counts in ((24, 0), (12, 12))]
    with running(tmp_path, "toy", mesh="data=1") as run:
        start = run.train(replace(STAGE, name="start", steps=2, data=replace(STAGE.data, seed=5)))
        alone = [run.train(replace(STAGE, name=str(i), data=data), start) for i, data in enumerate(datas)]
        states, scores = side_by_side(STAGE, datas, start)
    for index, result in enumerate(alone):  # keys' biases have no gradient, so Adam moves them by rounding: atol
        same(jax.tree.map(lambda x, i=index: x[i], states.params), result.state().params, rtol=2e-4, atol=2e-5)
        for name in ("loss", "loss_0", "loss_1"):
            np.testing.assert_allclose(scores[name][index], result.history.last(name), rtol=1e-4)
    spent = sum(result.cost.flops for result in alone)
    scored = sum(result.cost.eval_flops for result in alone) / 3  # they were evaluated three times, these at the end
    assert side_by_side_flops(STAGE, 2) == pytest.approx(spent + scored)
    with pytest.raises(ValueError, match="one specification"):
        side_by_side(STAGE, [STAGE.data, replace(STAGE.data, batch=8)])


@pytest.mark.slow
def test_segments_with_a_horizon_are_one_run(tmp_path: Path) -> None:
    carry = Handover(moments="carry", schedule="carry", data="carry")
    part = replace(STAGE, steps=3, optimizer=replace(STAGE.optimizer, horizon=6))
    with running(tmp_path, "toy", mesh="data=1") as run:
        whole = run.train(STAGE)
        first = run.train(replace(part, name="first"))
        second = run.train(replace(part, name="second", handover=carry), first)
        assert len(run._programs) == 2  # one, and the same without an evaluation
    assert int(second.state().step) == 6
    same(whole.state().params, second.state().params, rtol=0, atol=0)
    same(whole.state().opt_state, second.state().opt_state, rtol=0, atol=0)
    with pytest.raises(ValueError, match="no segment of horizon=6"):
        part.optimizer.schedule(7)


@pytest.mark.slow
def test_runs_in_turn_end_as_side_by_side_and_have_tests_of_their_own() -> None:
    assert STAGE.evaluate is not None
    stage = replace(STAGE, steps=2, evaluate=replace(STAGE.evaluate, batches=1, every=None))
    datas = [replace(stage.data, counts=own) for own in ((24, 0), (0, 24))]
    other = replace(TESTED, seed=5)
    one, two = in_turn(stage, datas, [TESTED, TESTED]), in_turn(stage, datas, [TESTED, other])
    beside = side_by_side(stage, datas)[1]
    for name, scores in one.items():
        np.testing.assert_allclose(scores, beside[name], rtol=1e-4)
        assert scores[0] == two[name][0]
    assert one["loss"][1] != two["loss"][1]


@pytest.mark.slow
def test_runs_in_turn_are_on_the_devices_of_their_start(tmp_path: Path) -> None:
    stage = replace(STAGE, steps=2, evaluate=replace(STAGE.evaluate, batches=1, every=None))
    scores = {}
    for mesh in ("data=1", "data=2,fsdp=2"):
        with running(tmp_path / mesh, "toy", mesh=mesh) as run:
            start = run.train(replace(STAGE, name="start", steps=2))
            scores[mesh] = in_turn(stage, [stage.data], [TESTED], start)
    same(scores["data=1"], scores["data=2,fsdp=2"], rtol=1e-4)


@pytest.mark.parametrize(
    ("stage", "tests"),
    [
        (replace(STAGE, evaluate=None), [TESTED]),
        (replace(STAGE, seeds=2), [TESTED]),
        (STAGE, []),
        (STAGE, [replace(TESTED, batch=4)]),
    ],
)
def test_runs_in_turn_need_an_evaluation_and_a_test_each(stage: Stage, tests: list[Round]) -> None:
    with pytest.raises(ValueError, match=r"no `seeds`|as many"):
        in_turn(stage, [stage.data], tests)

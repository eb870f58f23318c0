"""A queue of features in training: what is pushed, by whom; the same when interrupted, and on several devices."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from spine import assert_close, assert_outcome, cut_short, drive, flat, go, outcome

from stagejax import Evaluation, Stage
from stagejax.data import Images
from stagejax.data.numbered import Numbered
from stagejax.data.pictures.augment import Augmented
from stagejax.data.pictures.shift import ShiftAndFlip
from stagejax.data.selection.relabelled import Relabelled
from stagejax.data.sources import Digits
from stagejax.data.streams import Streams
from stagejax.mesh import make_mesh
from stagejax.models.convnet import ConvNet
from stagejax.models.vision.projected import Projected
from stagejax.objectives.pictures.neighbourhood import ItselfAmongMany, Narrowing, NeighbourVote, accuracy_of_vote
from stagejax.optimizer import sgd
from stagejax.program import build, step_keys
from stagejax.steps.remembering import Remembering
from stagejax.steps.scheduled import paced_step

SOURCE = Relabelled(Digits(), (0, 1) * 5)
PLAIN = Augmented(data=Images(source=SOURCE, batch=16), augment=ShiftAndFlip(1))
DATA = Numbered(data=PLAIN)
NET = Projected(ConvNet(image=8, channels=(4,), classes=8), width=4, queue=40)
NARROWING = Remembering(partial(paced_step, options=Narrowing(4, 10)))


SCORED = Evaluation(DATA.held_out(2), 2, 2, partial(accuracy_of_vote, k=3, classes=2))


def stage(**fields: Any) -> Stage:
    known = {"objective": NeighbourVote(10), "data": DATA, "steps": 4, "step": NARROWING, "ema": 0.9}
    return Stage(name="a", model=NET, optimizer=sgd(0.1), **{**known, "evaluate": SCORED, **fields})


@pytest.mark.slow
def test_the_average_says_what_is_remembered_and_the_student_does_not() -> None:
    one = stage()
    program, key = build(one, make_mesh("data=1")), step_keys(one, 0)
    step = jax.jit(lambda state, batch: one.step(program.parts, state, batch, key))
    state = program.initial(0)
    with DATA.batches() as batches:
        for n in range(2):
            batch = jax.tree.map(jnp.asarray, next(batches))
            before, (state, _) = state, step(state, batch)
            queue = state.rest["queue"]
            rows = slice(16 * n, 16 * (n + 1))
            assert np.array_equal(queue["record"][rows], batch["record"])
            assert np.array_equal(queue["label"][rows], batch["label"])
            assert int(queue["next"]) == 16 * (n + 1)
            slow = nnx.merge(program.parts.graphdef, state.ema, before.rest)
            assert_close(slow(batch["image"], key=key), queue["features"][rows], 1e-5)
    now, slow = flat(state.params), flat(state.ema)
    assert any(not np.allclose(now[name], slow[name]) for name in now)
    assert (np.asarray(queue["label"][32:]) == -1).all()


@pytest.mark.slow
def test_running_statistics_are_those_of_the_student_alone() -> None:
    _, state, _ = drive(stage(steps=1, evaluate=None))
    program = build(stage(), make_mesh("data=1"))
    first = program.initial(0)
    model = nnx.merge(program.parts.graphdef, first.params, first.rest)
    with DATA.batches() as batches:
        model(jnp.asarray(next(batches)["image"]), key=step_keys(stage(), 0))
    once = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
    assert_close(once["net"], {name: state.rest["net"][name] for name in once["net"]}, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("at", [3, 6])
def test_a_run_that_was_killed_remembers_the_same(at: int, tmp_path: Path, monkeypatch: Any) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"

    def pipeline(run: Any) -> Any:
        return (run.train(stage(save_every=1)),)

    wanted = outcome(whole, go(whole, pipeline))
    cut_short(cut, monkeypatch, pipeline, at)
    assert_outcome(outcome(cut, go(cut, pipeline)), wanted)


@pytest.mark.slow
def test_eight_devices_remember_what_one_does() -> None:
    (_, one, first), (_, eight, second) = drive(stage()), drive(stage(), "data=4,fsdp=2")
    assert_close(flat(eight.params), flat(one.params), 1e-4)
    assert_close(flat(eight.rest), flat(one.rest), 1e-4)
    close = first.history.evals[-1]["accuracy"] - second.history.evals[-1]["accuracy"]
    assert abs(close) <= 1 / 32  # sums in another order: one vote of 32 may turn


def test_the_average_sees_the_other_view() -> None:
    own = (("image", "image"), ("label", "label"), ("record", "record"))
    views = Streams(data=DATA, beside=replace(PLAIN, seed=9), own=own, other=(("view", "image"),))
    with views.batches() as batches:
        batch = jax.tree.map(jnp.asarray, next(batches))
    assert not np.array_equal(batch["view"], batch["image"])
    still = replace(PLAIN, augment=ShiftAndFlip(0, flip=False)).take(np.arange(16))["image"]
    assert np.array_equal(
        replace(PLAIN, augment=ShiftAndFlip(0, flip=False), seed=9).take(np.arange(16))["image"], still
    )
    one = stage(data=views, objective=ItselfAmongMany(), step=Remembering())
    program, key = build(one, make_mesh("data=1")), step_keys(one, 0)
    state, _ = jax.jit(lambda state, batch: one.step(program.parts, state, batch, key))(program.initial(0), batch)
    slow = nnx.merge(program.parts.graphdef, state.ema, program.initial(0).rest)
    assert_close(slow(batch["view"], key=key), state.rest["queue"]["features"][:16], 1e-5)

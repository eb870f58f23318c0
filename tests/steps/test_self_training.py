"""Teachers: what is rolled back and what is not, by averages computed by hand, on steps that say what they saw."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from spine import assert_close, assert_outcome, assert_same, flat, go, outcome

from stagejax import Stage, TrainState, loop
from stagejax.data import Portion
from stagejax.data.pictures.segmentation import Segmentation, Shapes
from stagejax.data.streams import Streams
from stagejax.interrupt import Interrupted
from stagejax.models.vision.unet import UNet
from stagejax.objectives.pictures.segmentation import pseudo_labels
from stagejax.optimizer import adam
from stagejax.program import build, step_keys
from stagejax.stage import Part, Precision
from stagejax.steps.self_training import lookahead_teacher, mean_teacher, self_training, taught_step, wide_lookahead

SCENES = Shapes(32, size=(8, 8), classes=4)
NET = UNet((8, 8, 3), (4, 4), classes=4, stride=1, groups=2)
OBJECTIVE = partial(self_training, threshold=0.3)
ALPHA = 0.9


def data(batch: int = 4) -> Streams:
    images = Segmentation(source=Portion(SCENES, stop=16), classes=(0, 1, 2, 3), batch=batch, shape=(8, 8, 3))
    return Streams(
        data=images,
        beside=replace(images, source=Portion(SCENES, start=16), seed=1),
        other=(("target_image", "image"), ("hidden_label", "label")),
    )


def stage(step: Any, name: str = "a", **fields: Any) -> Stage:
    known = {"data": data(), "steps": 3, "step": step, "ema": ALPHA}
    return Stage(name, NET, OBJECTIVE, adam(0.02, decay="linear"), **{**known, **fields})


class Walk:
    """The steps of a stage one by one, from its first state."""

    def __init__(self, step: Any, batch: int = 4) -> None:
        self.stage = stage(step, data=data(batch))
        self.program = build(self.stage, None)
        self.key = step_keys(self.stage, 0)
        with self.stage.data.batches() as batches:
            self.batches = [jax.tree.map(jnp.asarray, next(batches)) for _ in range(3)]
        self.step = jax.jit(lambda state, batch, key: self.stage.step(self.program.parts, state, batch, key))
        self.students = jax.jit(lambda state, batch, key: taught_step(self.program.parts, state, batch, key))
        state = jax.jit(self.program.init)(self.key)
        # A teacher that is not the student, and moments that are not zero.
        self.begun = self.step(state, self.batches[0], self.key)[0]


walk = cache(Walk)
DEEP, CLASSIC = lookahead_teacher(taught_step, 2), mean_teacher(taught_step)


def blend(teacher: Any, student: Any, step: int) -> Any:
    a = min(1 - 1 / (step + 1), ALPHA)
    return jax.tree.map(lambda p, s: a * np.asarray(p) + (1 - a) * np.asarray(s), teacher, student)


# --- a student of one number, which notes what it was taught: everything in closed form ---


class Toy:
    """The student's step is w <- w + 1; `rest` notes the teacher of each step, Adam and the schedule count."""

    part = Part(
        None, None, {}, {}, {}, {}, optax.identity(), None, None, Precision(), ema=ALPHA, accumulate=1, remat=None
    )

    def step(self, part: Any, state: TrainState, batch: Any, key: Any) -> Any:
        seen = jnp.concatenate([state.rest["seen"][1:], state.ema["w"][None]])
        adam, schedule = state.opt_state
        moved = (adam._replace(count=adam.count + 1), schedule._replace(count=schedule.count + 1))
        params = {"w": state.params["w"] + batch["by"]}
        return replace(state, step=state.step + 1, params=params, rest={"seen": seen}, opt_state=moved), {}

    def run(self, around: Any, step: int = 5, by: Any = 1.0) -> TrainState:
        counts = (
            optax.ScaleByAdamState(jnp.array(step), {"w": jnp.array(0.0)}, {"w": jnp.array(0.0)}),
            optax.ScaleByScheduleState(jnp.array(step)),
        )
        state = TrainState(
            jnp.array(step), {"w": jnp.array(10.0)}, {"seen": jnp.zeros(4)}, counts, {"w": jnp.array(2.0)}
        )
        return around(self.part, state, {"by": jnp.asarray(by)}, jax.random.key(0))[0]


TOY = Toy()


def averages(*students: float, step: int = 5) -> list[float]:
    """The teacher after each of them."""
    phi, found = 2.0, []
    for student in students:
        phi = float(blend(phi, student, step))
        found.append(phi)
    return found


@pytest.mark.parametrize("virtual", ["discard", "carry"])
def test_the_student_is_rolled_back_and_the_teacher_is_not(virtual: Any) -> None:
    """phi absorbs 10, 11, 12; each virtual step is taught by the newest phi; theta goes from 10 to 11."""
    state = TOY.run(lookahead_teacher(TOY.step, 2, virtual))
    first, second, third = averages(10, 11, 12)
    assert float(state.params["w"]) == 11
    assert float(state.ema["w"]) == pytest.approx(third, rel=1e-6)
    assert int(state.step) == 6
    notes = [0, first, second, third] if virtual == "carry" else [0, 0, 0, third]
    np.testing.assert_allclose(state.rest["seen"], notes, rtol=1e-6)  # labels are made anew for every step
    counts = [int(part.count) for part in state.opt_state]
    assert counts == ([8, 6] if virtual == "carry" else [6, 6])  # Adam's count, the schedule's


def test_the_first_step_is_an_ordinary_one() -> None:
    one, two = TOY.run(lookahead_teacher(TOY.step, 3), step=0), TOY.run(mean_teacher(TOY.step), step=0)
    assert_same(one, two)
    assert float(one.ema["w"]) == 10  # a = 0 at t = 0


def test_a_faster_average_absorbs_the_same_student_again() -> None:
    state = TOY.run(mean_teacher(TOY.step, updates=3))
    assert float(state.ema["w"]) == pytest.approx(averages(10, 10, 10)[-1], rel=1e-6)
    assert float(state.params["w"]) == 11


def test_the_wide_teacher_absorbs_the_mean_of_its_branches_and_then_the_student() -> None:
    """Rows 0, 3 are the current batch, 1, 4 and 2, 5 the futures: branches 10 + 3 and 10 + 5, their mean 14."""
    step = lambda part, state, batch, key: TOY.step(part, state, {"by": batch["by"].mean()}, key)  # noqa: E731
    state = TOY.run(wide_lookahead(step, 2), by=[1.0, 2.0, 4.0, 1.0, 4.0, 6.0])
    taught, last = averages(14, 11)
    assert float(state.params["w"]) == 11
    assert float(state.rest["seen"][-1]) == pytest.approx(taught, rel=1e-6)
    assert float(state.ema["w"]) == pytest.approx(last, rel=1e-6)
    assert [int(part.count) for part in state.opt_state] == [6, 6]


# --- a network ---


@pytest.mark.slow
def test_virtual_steps_are_steps_of_the_student_at_the_rate_of_today() -> None:
    deep = walk(DEEP)
    state, batch = deep.begun, deep.batches[1]
    now, phi = state, state.ema
    for k in (1, 2):
        phi = blend(phi, now.params, 1)
        now = deep.students(replace(now, ema=phi, step=state.step), batch, jax.random.fold_in(deep.key, k))[0]
        now = replace(now, opt_state=(*now.opt_state[:-1], state.opt_state[-1]))
    phi = blend(phi, now.params, 1)
    wanted, metrics = deep.students(replace(state, ema=phi), batch, deep.key)
    found, said = deep.step(state, batch, deep.key)
    assert_close(found.ema, phi, rtol=1e-4, atol=1e-6)
    assert_close(found.params, wanted.params, rtol=1e-3, atol=1e-5)
    assert_close(found.opt_state, wanted.opt_state, rtol=1e-3, atol=1e-5)
    assert float(said["loss"]) == pytest.approx(float(metrics["loss"]), rel=1e-4)
    apart = [np.abs(a - b).max() for a, b in zip(flat(now.params).values(), flat(found.params).values(), strict=True)]
    assert max(apart) > 1e-3


@pytest.mark.slow
def test_no_step_ahead_is_the_mean_teacher_bit_for_bit() -> None:
    none, classic = walk(lookahead_teacher(taught_step, 0)), walk(CLASSIC)
    a, b = none.begun, classic.begun
    for batch in none.batches:
        (a, said), (b, wanted) = none.step(a, batch, none.key), classic.step(b, batch, classic.key)
        assert_same(a, b)
        assert_same(said, wanted)


@pytest.mark.slow
def test_hidden_labels_score_the_teacher_and_teach_nothing() -> None:
    deep = walk(DEEP)
    state, batch = deep.begun, dict(deep.batches[1])
    found, said = deep.students(state, batch, deep.key)
    other, scored = deep.students(state, batch | {"hidden_label": batch["hidden_label"][::-1]}, deep.key)
    assert_same(found, other)
    assert float(said["loss"]) == float(scored["loss"])
    teacher = nnx.merge(deep.program.parts.graphdef, state.ema, state.rest)
    labels = np.asarray(pseudo_labels(teacher(batch["target_image"]), 0.3)[0])
    right = (labels == np.asarray(batch["hidden_label"]))[np.asarray(batch["hidden_label"]) >= 0]
    assert float(said["teacher_accuracy"]) == pytest.approx(float(right.mean()), abs=1e-6)


@pytest.mark.slow
def test_the_passes_are_charged() -> None:
    kinds = ((mean_teacher, (), 4), (lookahead_teacher, (3,), 4), (wide_lookahead, (3,), 16))
    flops = [build(stage(kind(taught_step, *a), data=data(rows)), None).step_flops() for kind, a, rows in kinds]
    assert flops[1] == flops[2] == 4 * flops[0] > 0


@pytest.mark.slow
def test_resumed_is_uninterrupted_with_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = stage(lookahead_teacher(taught_step, 1), steps=4, save_every=2)
    whole = go(tmp_path / "whole", lambda run: (run.train(own),))

    def cut(run: Any) -> None:
        add = loop._Book.add
        with monkeypatch.context() as patch:
            patch.setattr(loop._Book, "add", lambda *args: (add(*args), args[1] == 2 and run.stop.set()))
            run.train(own)

    with pytest.raises(Interrupted):
        go(tmp_path / "cut", cut)
    resumed = go(tmp_path / "cut", lambda run: (run.train(own),))
    assert_outcome(outcome(tmp_path / "cut", resumed), outcome(tmp_path / "whole", whole))
    assert any("ema" in path for path in flat(whole[0].state()))


def test_the_options_are_checked() -> None:
    with pytest.raises(ValueError, match="ahead=-1"):
        lookahead_teacher(taught_step, -1)

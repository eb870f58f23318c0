"""The hand-over: each part of the state meets exactly one fate, and the table says which."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from spine import assert_same, flat, stage
from toy import Numbers, Toy, adam

from stagejax.axes import Axes
from stagejax.handover import Action, Handover, HandoverError, Row, cross, table
from stagejax.mesh import make_mesh
from stagejax.program import build
from stagejax.stage import Precision
from stagejax.state import TrainState, count


def filled(program: Any, value: float) -> Any:
    """A state of the program's shapes, full of one number."""
    return jax.tree.map(lambda x: jnp.full(x.shape, value, x.dtype), program.state)


def given(new: Any, old: Any = None, seeds: int | None = None) -> tuple[Any, Any, Any, list[Row]]:
    """The old state full of 7, the fresh one full of 1, what is handed over, and the rows."""
    program, before = (build(s, make_mesh("data=1")) for s in (new, old or new))
    state, rows = cross(new, program.parts, filled(program, 1), filled(before, 7))
    return program, before, state, rows


def numbers(rows: list[Row], part: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        if row.part.startswith(part):
            found[row.action] = found.get(row.action, 0) + row.numbers
    return found


def assert_exhaustive(state: TrainState, rows: list[Row]) -> None:
    """The rows that do not drop anything count every number of the state once."""
    kept = [row for row in rows if row.action != "drop"]
    for part, tree in (("params", state.params), ("rest", state.rest), ("ema", state.ema), ("step", state.step)):
        assert sum(row.numbers for row in kept if row.part == part) == count(tree), part
    moments = sum(row.numbers for row in kept if row.part.startswith(("moments", "schedule")))
    assert moments == count(state.opt_state)
    assert [row.part for row in rows].count("data") == 1


CHOICES = list(itertools.product(["carry", "reset"], repeat=5))


@pytest.mark.parametrize(("params", "moments", "schedule", "rest", "ema"), [*CHOICES[::3], CHOICES[1], CHOICES[-1]])
def test_every_part_follows_its_own_rule(params, moments, schedule, rest, ema):
    rule = Handover(params=params, moments=moments, schedule=schedule, rest=rest, ema=ema)
    _, _, state, rows = given(stage(handover=rule, ema=0.9))
    value = {"carry": 7, "reset": 1}
    assert set(np.unique([np.unique(x) for x in flat(state.params).values()])) == {value[params]}
    optimizer = flat(state.opt_state)
    assert {float(v.max()) for k, v in optimizer.items() if "mu" in k or "nu" in k} == {value[moments]}
    assert float(optimizer["0/count"]) == value[moments]  # Adam's own count goes with its moments
    assert float(optimizer["2/count"]) == value[schedule]  # the schedule's does not
    assert float(state.step) == value[schedule]
    assert float(state.rest["seen"]) == value[rest]
    assert {float(v.max()) for v in flat(state.ema).values()} == {7 if ema == "carry" else value[params]}
    assert numbers(rows, "params") == {params: 160}
    assert numbers(rows, "moments") == {moments: 321}
    assert numbers(rows, "schedule") == {schedule: 1}
    assert_exhaustive(state, rows)


def test_the_defaults_hand_over_weights_and_variables_only():
    _, _, _, rows = given(stage())
    assert [(row.part, row.action) for row in rows] == [
        ("params", "carry"), ("moments count", "reset"), ("moments mu", "reset"), ("moments nu", "reset"),
        ("schedule", "reset"), ("step", "reset"), ("rest", "carry"), ("data", "reset"),
    ]  # fmt: skip
    assert table(rows)[0] == ("params", "3", "160", "carry", "")
    assert table(rows)[-1] == ("data", "", "", "reset", "from its beginning")


def test_the_table_of_a_first_stage_resets_everything():
    program = build(stage(ema=0.9), make_mesh("data=1"))
    state, rows = cross(program.stage, program.parts, program.state, None)
    assert {row.action for row in rows} == {"reset"}
    assert_exhaustive(state, rows)


def keep_down(path: str, axes: Axes) -> str:
    return "carry" if path == "down" else "reset"


def forget_down(path: str, axes: Axes) -> str | None:
    return None if path == "down" else "carry"


def test_a_rule_may_decide_leaf_by_leaf():
    _, _, state, rows = given(stage(handover=Handover(params=keep_down)))
    assert float(state.params["down"][0, 0]) == 7
    assert float(state.params["up"][0, 0]) == 1
    assert numbers(rows, "params") == {"carry": 8, "reset": 152}


def test_a_leaf_without_a_rule_is_an_error_that_names_it():
    with pytest.raises(HandoverError, match=r"stage 'b': params/down is met by no rule \(got None\)"):
        given(stage("b", handover=Handover(params=forget_down)))


@pytest.mark.parametrize("field", ["moments", "schedule", "rest", "ema", "data"])
def test_an_unknown_action_is_refused(field):
    with pytest.raises(ValueError, match=rf"Handover\({field}='grow'\): choose 'carry' or 'reset'"):
        Handover(**{field: "grow"})


# Freezing


def second_layer(path: str, axes: Axes) -> bool | slice:
    return slice(1, 2) if "layers" in axes.names else path == "down"


@pytest.mark.parametrize("seeds", [None, 3])
def test_frozen_rows_are_counted_apart(seeds):
    _, _, state, rows = given(stage(trainable=second_layer, seeds=seeds))
    times = seeds or 1
    assert numbers(rows, "params") == {"carry": times * (64 + 8), "freeze": times * (64 + 24)}
    assert_exhaustive(state, rows)
    assert next(row for row in rows if row.action == "freeze").note == "not trained here, no moments"


def test_frozen_and_fresh_is_a_reset_that_says_so():
    _, _, state, rows = given(stage(trainable=second_layer, handover=Handover(params=keep_down)))
    assert [(r.numbers, r.action, bool(r.note)) for r in rows if r.part == "params"] == [
        (64, "reset", False), (64 + 24, "reset", True), (8, "carry", False),
    ]  # fmt: skip
    assert_exhaustive(state, rows)


def test_a_schedule_goes_on_when_other_leaves_are_trained():
    """Gradual unfreezing under one learning-rate schedule."""
    _, _, state, _ = given(stage(handover=Handover(schedule="carry")), stage(trainable=second_layer))
    assert float(flat(state.opt_state)["2/count"]) == 7
    assert float(flat(state.opt_state)["0/mu/up"].max()) == 1


def test_moments_of_leaves_that_are_no_longer_trained_are_dropped():
    new = stage(handover=Handover(moments="carry"), trainable=lambda path, axes: path != "up")
    _, _, state, rows = given(new, stage())
    assert numbers(rows, "moments") == {"carry": 1 + 2 * 136, "drop": 48}
    assert_exhaustive(state, rows)


def test_moments_that_do_not_exist_cannot_be_carried():
    with pytest.raises(
        HandoverError, match=r"stage 'b': opt_state/0/mu/up is absent .* \(3, 8\) here.*moments='reset'"
    ):
        given(stage("b", handover=Handover(moments="carry")), stage(trainable=lambda path, axes: path != "up"))


# The average


def test_an_average_is_dropped_begun_or_carried():
    assert numbers(given(stage(), stage(ema=0.9))[3], "ema") == {"drop": 160}
    _, _, state, rows = given(stage(ema=0.9, handover=Handover(ema="carry")), stage())
    assert numbers(rows, "ema") == {"reset": 160}
    assert_same(state.ema, state.params)
    assert numbers(given(stage(ema=0.9, handover=Handover(ema="carry")), stage(ema=0.5))[3], "ema") == {"carry": 160}


# What does not fit


def test_other_shapes_are_named_with_stage_leaf_and_both_shapes():
    with pytest.raises(
        HandoverError,
        match=r"stage 'b': params/blocks is \(2, 8, 8\) in the stage before and \(2, 4, 4\) here.*run.grow",
    ):
        given(stage("b", model=Toy(embed=4)), stage())
    with pytest.raises(
        HandoverError, match=r"params/blocks is \(2, 8, 8\) in the stage before and \(3, 2, 8, 8\) here"
    ):
        given(stage("b", seeds=3), stage())


def no_schedule(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.adamw(1e-2)


def momentum(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.sgd(optax.linear_schedule(1e-2, 0.0, steps), momentum=0.9)


def test_another_optimizer_takes_over_what_it_has():
    _, _, _, rows = given(stage(optimizer=no_schedule, handover=Handover(moments="carry", schedule="carry")), stage())
    assert numbers(rows, "moments") == {"carry": 321}
    assert numbers(rows, "schedule") == {}
    with pytest.raises(HandoverError, match=r"opt_state/2/count is absent.*Handover\(schedule='reset'\)"):
        given(stage(handover=Handover(schedule="carry")), stage(optimizer=no_schedule))
    with pytest.raises(HandoverError, match=r"opt_state/0/trace/blocks is absent.*Handover\(moments='reset'\)"):
        given(stage(optimizer=momentum, handover=Handover(moments="carry")), stage())


HYPER = ("b1", "b2", "eps", "eps_root", "learning_rate")


def injected(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.inject_hyperparams(optax.adam)(learning_rate=optax.linear_schedule(1.0, 0.0, steps))


def accumulating(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.MultiSteps(adam(steps, axes), 2).gradient_transformation()


def grouped(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.multi_transform({"a": adam(steps, axes), "b": optax.sgd(0.1)}, {"up": "a", "blocks": "a", "down": "b"})


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [(injected, {"count", "hyperparams_states/learning_rate/count", *(f"hyperparams/{n}" for n in HYPER)}),
     (accumulating, {"inner_opt_state/2/count"}),
     (grouped, {"inner_states/a/inner_state/2/count"})],
)  # fmt: skip
def test_schedules_are_told_from_moments_in_wrapped_optimizers(optimizer, schedule):
    _, _, state, rows = given(stage(optimizer=optimizer, handover=Handover(schedule="carry")))
    carried = {path for path, leaf in flat(state.opt_state).items() if float(leaf.max()) == 7}
    assert carried == schedule
    assert_exhaustive(state, rows)


def test_carried_leaves_take_the_precision_of_the_new_stage():
    half = stage(precision=Precision(params="bfloat16"), handover=Handover(moments="carry"), ema=0.9)
    program, _, state, _ = given(half, stage(ema=0.9))
    assert jax.tree.map(lambda x: x.dtype, state) == jax.tree.map(lambda x: x.dtype, program.state)


# Several models


def own_step(parts: Any, states: Any, batch: Any, key: Any) -> Any:
    return states, {}


def pair(**fields: Any) -> Any:
    optimizer = {"teacher": None, "student": adam}
    return stage(
        "pair", model={"teacher": Toy(), "student": Toy()}, step=own_step, optimizer=optimizer, objective=None, **fields
    )


def test_of_several_models_those_not_given_start_fresh():
    program, one = build(pair(), make_mesh("data=1")), build(stage(), make_mesh("data=1"))
    state, rows = cross(program.stage, program.parts, filled(program, 1), {"teacher": filled(one, 7)})
    assert float(state["teacher"].params["up"][0, 0]) == 7
    assert float(state["student"].params["up"][0, 0]) == 1
    assert [(r.part, r.action) for r in rows if "params" in r.part] == [
        ("teacher: params", "freeze"),
        ("student: params", "reset"),
    ]


def test_one_model_is_not_several():
    program, one = build(pair(), make_mesh("data=1")), build(stage(), make_mesh("data=1"))
    with pytest.raises(
        HandoverError, match=r"trains one model, but starts from several: student, teacher.*start\.member\('student'\)"
    ):
        cross(one.stage, one.parts, one.state, program.state)
    with pytest.raises(HandoverError, match="trains the models teacher, student, but starts from a single one"):
        cross(program.stage, program.parts, program.state, one.state)
    with pytest.raises(HandoverError, match="but starts from techer"):
        cross(program.stage, program.parts, program.state, {"techer": one.state})


def test_planning_gives_the_same_rows_as_arrays():
    new = stage(trainable=second_layer, ema=0.9, handover=Handover(moments="carry"), data=Numbers())
    program, before, _, rows = given(new, stage(ema=0.9, trainable=second_layer))
    abstract, planned = cross(new, program.parts, program.state, before.state)
    assert planned == rows
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(abstract))


def test_actions_are_their_names():
    assert [str(action) for action in Action] == ["carry", "reset", "grow", "freeze", "drop"]

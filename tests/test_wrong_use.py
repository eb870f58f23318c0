"""What a newcomer gets wrong: the error names the stage and the field, leaf or name to change, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest
from flax import nnx
from spine import go, stage
from toy import Numbers, Toy, adam, regression

from stagejax import Evaluation, Plan, Precision, Result, running
from stagejax.data import Images
from stagejax.declare import NotDeclarable, declare
from stagejax.growth import FPI, Growth, GrowthError, Operator, Term, copy_map
from stagejax.handover import HandoverError
from stagejax.models import gpt
from stagejax.models.convnet import ConvNet
from stagejax.note import notes_of
from stagejax.optimizer import adamw
from stagejax.transforms import parts
from stagejax.workdir import WorkdirError

SMALL = gpt(vocab=32, layers=1, embed=16, heads=2, mlp=32, length=8)
BATCH = "batches of x float32[8, 3], y float32[8], weight float32[8]"


@pytest.fixture(autouse=True)
def as_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the tests' own checks of annotations, which would be first to object."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def planned(price: bool = True, **fields: Any) -> Result:
    return Plan.on("data=1", price=price).train(stage(**fields))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"steps": 4.0}, "steps is 4.0; it is a whole number"),
        ({"steps": None}, "steps is None; it is a whole number"),
        ({"seed": "0"}, "seed is '0'; it is a whole number"),
        ({"optimizer": 1e-3}, "optimizer is a float; give a declaration such as adamw"),
        ({"optimizer": adamw}, "optimizer is the class adamw; give"),
        ({"optimizer": optax.adamw(1e-3)}, r"optimizer is a GradientTransformation\w*; give"),
        ({"optimizer": {"a": adam}}, "optimizer is of a, but there is one model"),
        ({"model": Toy().build(nnx.Rngs(0))}, "model is a Net; give a config"),
        ({"model": Toy}, "model is the class Toy; give a config"),
        ({"model": None}, "model is a NoneType; give a config"),
        ({"data": [{"x": np.zeros(3)}]}, "data is a list; give a Data"),
        ({"evaluate": Numbers()}, "evaluate is a Numbers; give an Evaluation"),
        ({"trainable": "up"}, "trainable is a str; give a function"),
    ],
)
def test_a_field_of_another_kind_is_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^stage 'a': {says}"):
        stage(**fields)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    assert declare(stage(steps=np.int64(4))) == declare(stage(steps=4))


@pytest.mark.parametrize("dtype", ["bf16", "int32", "floating"])
def test_a_precision_is_a_floating_dtype(dtype: str) -> None:
    with pytest.raises(ValueError, match=rf"Precision\(compute='{dtype}'\): give a floating dtype"):
        Precision(compute=dtype)


# Objectives and steps


def other_field(model: Any, batch: Any, key: Any) -> Any:
    return model(batch["image"], key).mean(), {}


def loss_alone(model: Any, batch: Any, key: Any) -> Any:
    return regression(model, batch, key)[0]


def loss_of_each_row(model: Any, batch: Any, key: Any) -> Any:
    return (model(batch["x"], key) - batch["y"]) ** 2, {}


def count_of_errors(model: Any, batch: Any, key: Any) -> Any:
    return (model(batch["x"], key) > 0).sum(), {}


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        (other_field, "image"),
        (loss_alone, r"the objective returns \w+; it returns \(loss, metrics\)"),
        (loss_of_each_row, r"the objective's loss is float32\[8\]; it is a floating scalar"),
        (count_of_errors, r"the objective's loss is int32\[\]; it is a floating scalar"),
    ],
)
def test_an_error_in_an_objective_carries_stage_and_batch(objective: Any, says: str) -> None:
    with pytest.raises((KeyError, ValueError), match=says) as raised:
        planned(objective=objective)
    assert notes_of(raised.value)[0] == f"in the step of stage 'a', on {BATCH}"


def test_an_error_in_an_evaluation_says_so() -> None:
    with pytest.raises(KeyError, match="image") as raised:
        planned(evaluate=Evaluation(Numbers(seed=9), 1, objective=other_field))
    assert notes_of(raised.value)[0] == f"in the evaluation of stage 'a', on {BATCH}"


def state_alone(part: Any, state: Any, batch: Any, key: Any) -> Any:
    return state


def metrics_first(part: Any, state: Any, batch: Any, key: Any) -> Any:
    return {}, state


def in_half_precision(part: Any, state: Any, batch: Any, key: Any) -> Any:
    return replace(state, params=jax.tree.map(lambda x: x.astype(jnp.bfloat16), state.params)), {}


def without_a_leaf(part: Any, state: Any, batch: Any, key: Any) -> Any:
    return replace(state, params={"up": state.params["up"]}), {}


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (state_alone, r"returns TrainState; a step returns \(state, metrics\)"),
        (metrics_first, r"returns dict, TrainState; a step returns \(state, metrics\)"),
        (in_half_precision, r"makes params/blocks bfloat16\[2, 8, 8\], which is float32\[2, 8, 8\] in the state"),
        (without_a_leaf, r"makes params/blocks absent, which is float32\[2, 8, 8\] in the state"),
    ],
)
def test_a_step_returns_the_state_as_it_was_given(step: Any, says: str) -> None:
    with pytest.raises(ValueError, match=f"stage 'a': its step {says}"):
        planned(step=step)


def no_loss(model: Any, batch: Any, key: Any) -> Any:
    return batch["image"].mean(), {}


def failing(*inputs: Any) -> Any:
    raise RuntimeError("deep inside")


def test_what_is_made_and_transformed_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="deep inside") as raised:
        go(tmp_path, lambda run: run.make("votes", failing, 3))
    assert notes_of(raised.value) == ["in the artifact 'votes'"]
    plan = Plan.on("data=1", price=False)
    with pytest.raises(RuntimeError, match="deep inside") as raised:
        plan.transform("pruned", failing, plan.train(stage()), to=Toy())
    assert notes_of(raised.value) == ["in the transform 'pruned'"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"optimizer": adamw(1e-3, warmup=10)}, r"warmup=10 do not fit into a stage of 4 steps"),
        ({"trainable": parts("dwon")}, r"nothing is trainable: Parts.* chose no leaf of a model of blocks, down, up"),
    ],
)
def test_what_does_not_fit_a_stage_names_it(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        planned(price=False, **fields)
    assert notes_of(raised.value) == ["in stage 'a'"]


def test_held_out_data_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    images = Images(batch=8)
    asked = Evaluation(images.held_out(2), batches=5, objective=no_loss)
    with pytest.raises(ValueError, match=r"stage 'a': evaluate\.batches is 5, but its data ends after 2"):
        go(tmp_path, lambda run: run.train(stage(evaluate=asked)))


def test_nothing_is_computed_in_a_folder_that_is_not_held(tmp_path: Path) -> None:
    with running(tmp_path, "x", mesh="data=1") as run:
        run.make("one", str, 1)
    with running(tmp_path, "x", mesh="data=1") as run:
        pass
    assert run.make("one", str, 1).value == "1"  # what is finished may be read
    with pytest.raises(WorkdirError, match=r"is not held any more: go on inside `with running"):
        run.make("two", str, 2)


# Starts and growths


@pytest.mark.parametrize("start", [stage("before"), Toy().build(nnx.Rngs(0)), Result])
def test_a_stage_starts_from_a_result(start: Any) -> None:
    plan = Plan.on("data=1", price=False)
    with pytest.raises(HandoverError, match=r"'a' starts from (a|the class) \w+; give it what run\.train"):
        plan.train(stage(), start)
    with pytest.raises(HandoverError, match=r"'wide' starts from"):
        plan.grow("wide", start, to=Toy(), operator=FPI())
    with pytest.raises(HandoverError, match=r"'other' starts from"):
        plan.transform("other", failing, start, to=Toy())
    with pytest.raises(HandoverError, match=r"'a' starts from the artifact 'votes'"):
        plan.train(stage(), plan.make("votes", failing))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"operator": FPI}, r"operator is the class FPI; give an operator with its settings"),
        ({"operator": "fpi"}, r"operator is a str; give an operator"),
        ({"operator": FPI(), "moments": "carry"}, r"moments='carry': choose 'reset', 'copy', 'dual'"),
    ],
)
def test_a_growth_that_is_misspelt_is_refused_before_it_begins(fields: dict[str, Any], says: str) -> None:
    plan = Plan.on("data=1", price=False)
    with pytest.raises(GrowthError, match=says) as raised:
        plan.grow("wide", plan.train(stage()), to=Toy(), **fields)
    assert notes_of(raised.value) == ["in the growth 'wide'"]


@pytest.mark.parametrize(
    ("to", "says"),
    [
        (replace(SMALL, embed=8, heads=1), r"FPI\(\) grows, but axis 'kv_heads' of 'blocks.*' shrinks: 2 -> 1"),
        (ConvNet(image=8, channels=(4,)), r"parameter .* has no counterpart in the model before .*, a Transformer"),
    ],
)
def test_the_grown_config_is_asked_for_only_where_the_growth_can_be(to: Any, says: str) -> None:
    with pytest.raises(GrowthError, match=says):
        _ = Growth(FPI(), SMALL, to).config


@dataclass(frozen=True)
class Misspelt(Operator):
    """An operator that means the axis `mlp`."""

    source: str = "small"
    axis: str = "mlp"
    asks: str = "mlp"

    def terms(self, old: Any, new: Any) -> list[Term]:
        return [Term(self.source, {self.axis: copy_map(np.arange(new[self.asks]) % old["mlp"], old["mlp"])})]


@pytest.mark.parametrize(
    ("operator", "says"),
    [
        (Misspelt(axis="mpl"), r"has no rule for axis 'mlp' of .* Terms of this one map mpl of 'small'\."),
        (Misspelt(source="smal"), r"has no rule for axis 'mlp' of .* Terms of this one map mlp of 'smal'\."),
        (Misspelt(asks="mpl"), r"asks for the size of axis 'mpl'; the models are Transformer \(.*mlp.*\) and Transf"),
    ],
)
def test_an_operator_that_misspells_an_axis_is_told_what_there_is(operator: Operator, says: str) -> None:
    with pytest.raises(GrowthError, match=says):
        _ = Growth(operator, SMALL, replace(SMALL, mlp=64)).terms


# Names


def test_a_mesh_axis_that_nothing_is_split_over_is_refused(tmp_path: Path) -> None:
    for mesh in ("data=1,fdsp=1", "dat=1"):
        with pytest.raises(ValueError, match=r"mesh axis 'fdsp|dat': nothing is split over it. Known: client, data"):
            Plan.on(mesh)
        with pytest.raises(ValueError, match=r"nothing is split over it"):
            go(tmp_path, lambda run: None, mesh=mesh)
    Plan.on("data=2,pipe=2", rules={"layers": "pipe"})


@dataclass(frozen=True)
class Holding:
    what: Any


class Page:
    def __repr__(self) -> str:
        return "Page(\n" + "line\n" * 500


def test_what_cannot_be_written_down_is_shown_in_a_line() -> None:
    with pytest.raises(NotDeclarable, match=r"^config\.what holds Page\( \.\.\., which cannot be written down"):
        declare(Holding(Page()))

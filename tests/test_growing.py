"""Growth inside a run: moments move with the parameters, the next stage takes them over, on one device and on eight."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from stagejax import Evaluation, Handover, Plan, Precision, Stage, running
from stagejax.axes import path_name
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.growth import FPI, Combine, Growth
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw

SMALL = gpt(vocab=260, embed=16, layers=1, heads=2, mlp=32, length=16, scan=True)
LARGE = replace(SMALL, embed=32, heads=4, mlp=64)
DATA = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=8, length=16)
STAGE = Stage(
    "small",
    SMALL,
    causal_lm,
    adamw(1e-2, decay="constant"),
    DATA,
    steps=4,
    evaluate=Evaluation(DATA.held_out(1), 1),
    ema=0.5,
)
CARRY = Handover(moments="carry", schedule="carry", data="carry", ema="carry")


def growing(run: Any) -> tuple[Any, Any, Any]:
    """The small model is trained and grown, and the grown one goes on as the small one would."""
    small = run.train(STAGE)
    grown = run.grow("grown", small, to=LARGE, operator=FPI(), moments="dual")
    follow = adamw(1e-2, decay="constant", follow=Growth(FPI(), SMALL, LARGE))
    return small, grown, run.train(replace(STAGE, name="large", model=LARGE, optimizer=follow, handover=CARRY), grown)


def pipeline(run: Any) -> tuple[Any, ...]:
    """The small model goes on too; and the mean of the small one before and after."""
    small, grown, large = growing(run)
    longer = run.train(replace(STAGE, name="longer", handover=CARRY), small)
    mean = run.grow("mean", small, to=SMALL, operator=Combine.mean(2), others={"model1": longer})
    return longer, grown, large, small, mean


def flat(tree: Any) -> dict[str, np.ndarray]:
    return {path_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.fixture(scope="module")
def on_one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    with running(tmp_path_factory.mktemp("one"), "growing", mesh="data=1") as run:
        return pipeline(run)


def test_the_grown_model_follows_the_small_one(on_one: Any) -> None:
    longer, grown, large, *_ = on_one
    assert grown.receipt["logit_change"] < 1e-5
    assert grown.receipt["loss_after"] == pytest.approx(grown.receipt["loss_before"], rel=1e-5)
    np.testing.assert_allclose(large.history.train["loss"], longer.history.train["loss"], rtol=2e-4)
    assert large.history.last("loss") == pytest.approx(longer.history.last("loss"), rel=2e-4)


def test_moments_average_and_position_pass_through_the_growth(on_one: Any) -> None:
    _, grown, large, *_ = on_one
    state = grown.state()
    assert int(state.opt_state[0].count) == STAGE.steps
    assert {leaf.shape for leaf in jax.tree.leaves(state.ema)} == {leaf.shape for leaf in jax.tree.leaves(state.params)}
    actions = {row[0]: row[3] for row in large.handover}
    assert actions["moments mu"] == actions["moments nu"] == actions["ema"] == actions["data"] == "carry"
    assert large.position == {"step": 2 * STAGE.steps}


def test_the_mean_of_two_checkpoints_is_that_of_what_they_left(on_one: Any) -> None:
    longer, _, _, small, mean = on_one
    ours, one, two = (flat(result.state().params) for result in (mean, small, longer))
    for path, leaf in ours.items():
        np.testing.assert_allclose(leaf, (one[path] + two[path]) / 2, rtol=1e-5, atol=1e-7, err_msg=path)
    assert mean.receipt["loss_after"] != mean.receipt["loss_before"]


def test_eight_devices_do_the_same(on_one: Any, tmp_path: Path) -> None:
    with running(tmp_path, "growing", mesh="data=2,fsdp=2,tensor=2") as run:
        _, grown, large = growing(run)
    state = grown.state()
    assert jax.tree.map(lambda x: x.sharding, state.params) == jax.tree.map(lambda x: x.sharding, state.opt_state[0].mu)
    assert any(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state.params))
    for one, two in ((on_one[1], grown), (on_one[2], large)):
        ours, theirs = flat(two.state().params), flat(one.state().params)
        for path, leaf in ours.items():
            if "key/bias" in path:  # no gradient but rounding, which Adam makes as large as any
                continue
            np.testing.assert_allclose(leaf, theirs[path], rtol=2e-3, atol=2e-5, err_msg=path)


def test_the_plan_sees_the_same_growth(on_one: Any) -> None:
    _, grown, large = growing(Plan.on("data=2,fsdp=2", price=False))
    static = {name: value for name, value in grown.receipt.items() if value is not None}
    assert static == {name: on_one[1].receipt[name] for name in static}
    assert large.handover == on_one[2].handover


def test_moments_that_are_wider_than_their_parameters_stay_so() -> None:
    plan, precision = Plan.on("data=1", price=False), Precision(params="bfloat16", gradients="float32")
    small = plan.train(replace(STAGE, precision=precision))
    grown = plan.grow("grown", small, to=LARGE, operator=FPI(), moments="dual").state()
    assert {leaf.dtype.name for leaf in jax.tree.leaves(grown.params)} == {"bfloat16"}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(grown.opt_state[0].mu)} == {"float32"}

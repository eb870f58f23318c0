"""One loss of several models: the step is plain descent on all that learns, and through what does not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from stagejax.data.images import Images
from stagejax.models.convnet import ConvNet
from stagejax.models.text.messenger import Translator
from stagejax.optimizer import adam, sgd
from stagejax.program import build, init_keys, step_keys
from stagejax.stage import Stage
from stagejax.steps.joint import joint_step

NETS = {"student": ConvNet(8, 1, (3,)), "teacher": ConvNet(8, 1, (5,)), "adapter": Translator(3, 4, 5)}


def through_the_teacher(models: Any, batch: Any, key: Any, weight: Any = 1.0) -> Any:
    """The teacher's head on what an adapter makes of the student's state, which is trained in the same breath."""
    state = models["student"].run(batch["image"], 0, 1, key is not None)
    logits = models["teacher"].logits(models["adapter"](state).mean((1, 2)))
    own = models["student"].logits(state.mean((1, 2)))
    chosen = partial(jnp.take_along_axis, indices=batch["label"][:, None], axis=1)
    loss = -weight * (chosen(jax.nn.log_softmax(logits)) + chosen(jax.nn.log_softmax(own))).mean()
    return loss, {"weight": jnp.float32(weight)}


RATES = {"student": sgd(0.1, decay="constant"), "teacher": None, "adapter": adam(0.01, decay="constant")}
STAGE = Stage("both", NETS, through_the_teacher, RATES, Images(batch=16), steps=4, step=joint_step)


def stepped(stage: Stage) -> tuple[Any, Any, Any, Any]:
    """The program, states before and after a step, and its metrics."""
    program, key = build(stage, None), step_keys(stage, 0)
    with stage.data.batches(None) as batches:
        batch = {name: jnp.asarray(x) for name, x in next(batches).items()}
    before = program.init(init_keys(stage, 0))
    after, metrics = jax.jit(program.step)(before, batch, key, jax.tree.map(jnp.float32, program.schedule))
    return (program, batch), before, after, metrics


@pytest.mark.slow
def test_the_step_is_descent_on_the_common_loss() -> None:
    (program, batch), before, after, metrics = stepped(STAGE)

    @jax.value_and_grad
    def loss(params: Any) -> Any:
        models = {n: nnx.merge(program.parts[n].graphdef, params[n], before[n].rest) for n in NETS}
        return through_the_teacher(models, batch, jax.random.key(0))[0]

    value, gradient = loss({name: state.params for name, state in before.items()})
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    moved = jax.tree.map(lambda x, g: x - 0.1 * g, before["student"].params, gradient["student"])
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), after["student"].params, moved)
    tx = optax.adam(0.01)
    updates, _ = tx.update(gradient["adapter"], tx.init(before["adapter"].params))
    moved = optax.apply_updates(before["adapter"].params, updates)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5), after["adapter"].params, moved)
    norm = optax.tree.norm({name: gradient[name] for name in ("student", "adapter")})
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-4)
    assert float(optax.tree.norm(gradient["adapter"])) > 0  # it has come through the teacher alone


@pytest.mark.slow
def test_a_model_without_an_optimizer_stays_whole() -> None:
    _, before, after, _ = stepped(STAGE)
    jax.tree.map(np.testing.assert_array_equal, (before["teacher"].params, before["teacher"].rest),
                 (after["teacher"].params, after["teacher"].rest))  # fmt: skip
    assert {int(state.step) for state in after.values()} == {1}
    assert not np.array_equal(*(jax.tree.leaves(s["student"].rest)[0] for s in (before, after)))  # statistics move


def test_options_follow_the_progress() -> None:
    stage = replace(STAGE, step=partial(joint_step, options=lambda progress: {"weight": 1 + progress}))
    (program, batch), _, after, first = stepped(stage)
    again = jax.jit(program.step)(after, batch, step_keys(stage, 0), jax.tree.map(jnp.float32, program.schedule))
    second = again[1]
    assert (float(first["weight"]), float(second["weight"])) == (1.0, 1.25)


def test_remat_changes_nothing() -> None:
    plain, again = (stepped(replace(STAGE, remat=remat))[2] for remat in (None, "nothing_saveable"))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6),
        plain["student"].params,
        again["student"].params,
    )


def test_two_objectives_or_parts_of_a_batch_are_refused() -> None:
    objectives = {name: partial(through_the_teacher, weight=i) for i, name in enumerate(NETS)}
    for wrong in ({"objective": objectives}, {"accumulate": 2}):
        with pytest.raises(ValueError, match="one objective"):
            stepped(replace(STAGE, **wrong))

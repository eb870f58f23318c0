"""Regularisers of continual learning: the Fisher information in closed form, and networks that stay near."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax import Stage
from stagejax.data import Images
from stagejax.models.cnn import CNN
from stagejax.objectives import classification
from stagejax.optimizer import adam
from stagejax.program import build, init_keys, step_keys
from stagejax.steps.regularised import EWC, LwF, beside, noting

PHASE = Stage(
    "phase", CNN((8, 8, 1), (), heads=(("label", (10,)),)), classification, adam(1e-2), Images(batch=16), steps=3
)
BATCH = jax.tree.map(jnp.asarray, Images(batch=16).take(np.arange(16)))


def test_of_a_network_that_knows_nothing_every_answer_has_the_same_fisher_information() -> None:
    """With p = 1 / 10 the gradient by the logits is 1[y = c] - 1 / 10, whatever y: squares sum to 0.9."""
    program = build(noting(PHASE, steps=2), None)
    states = program.init(init_keys(program.stage, 0))
    zeros = jax.tree.map(jnp.zeros_like, states["net"].params)
    states["net"] = replace(states["net"], params=zeros)
    numbers = jax.tree.map(jnp.float32, program.schedule)
    step, key, totals = jax.jit(program.step), step_keys(program.stage, 0), []
    for _ in range(4):  # two stages of two steps
        states, metrics = step(states, BATCH, key, numbers)
        totals.append(float(metrics["fisher"]))
    found = states["fisher"].params["heads"]["label"]["output"]
    np.testing.assert_allclose(found["bias"].sum(), 2 * 0.9, rtol=1e-5)
    squares = jnp.square(BATCH["image"]).mean(0)
    np.testing.assert_allclose(found["kernel"].sum(-1), 2 * 0.9 * squares, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.diff(totals), totals[0], rtol=1e-5)
    assert int(states["fisher"].step) == 4
    for leaf, minded in zip(*map(jax.tree.leaves, (states["origin"].params, states["fisher"].params)), strict=True):
        assert (np.abs(leaf[minded > 0]) < 1e-6).all()  # where anything is minded it is where the network is
    assert jax.tree.all(jax.tree.map(lambda x: bool((x == 0).all()), states["net"].params))


def test_only_the_network_moves_and_what_holds_it_back_begins_at_nothing() -> None:
    for loss in (EWC(classification, 10.0), LwF(classification, 10.0)):
        program = build(beside(PHASE, loss), None)
        states = program.init(init_keys(program.stage, 0))
        states |= {name: replace(states["net"], opt_state=states[name].opt_state) for name in loss.models}  # a copy
        numbers, key = jax.tree.map(jnp.float32, program.schedule), step_keys(program.stage, 0)
        after, metrics = jax.jit(program.step)(states, BATCH, key, numbers)
        held = metrics["net_elastic" if isinstance(loss, EWC) else "net_kept"]
        assert abs(float(held)) < 1e-5
        for name in loss.models:
            same = jax.tree.map(lambda x, y: bool((x == y).all()), after[name].params, states[name].params)
            assert jax.tree.all(same)
        moved = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), after["net"].params, states["net"].params)
        assert max(jax.tree.leaves(moved)) > 1e-3


def test_a_teacher_that_is_far_pulls() -> None:
    loss = LwF(classification, 1.0, temperature=2.0)
    net, teacher = (PHASE.model.build(nnx.Rngs(seed)) for seed in (0, 1))
    total, metrics = loss(net, BATCH, None, others={"teacher": teacher})
    plain, _ = classification(net, BATCH, None)
    p, log_q = jax.nn.softmax(teacher(BATCH["image"]) / 2), jax.nn.log_softmax(net(BATCH["image"]) / 2)
    expected = 4 * (p * (jnp.log(p) - log_q)).sum(-1).mean()
    np.testing.assert_allclose(metrics["kept"], expected, rtol=1e-4)
    np.testing.assert_allclose(total, plain + expected, rtol=1e-5)

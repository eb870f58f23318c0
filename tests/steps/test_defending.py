"""Defences: the perturbation is the steepest of its length, distances against numpy, Lisa's turns, pull and anchor."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax import Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.inference.knowledge.residual import residual_stream
from stagejax.mesh import make_mesh
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import sgd
from stagejax.program import build
from stagejax.steps.defending import FeatureDrift, Lisa, RepNoise, Vaccine, mmd, with_lisa

NET = gpt(vocab=260, layers=2, embed=8, heads=2, mlp=16, length=8, init_std=0.3)
BATCH = {"tokens": jnp.array([[5, 6, 7, 0], [9, 8, 7, 6]]), "targets": jnp.array([[6, 7, 0, 0], [8, 7, 6, 5]])}
BATCH |= {"weights": jnp.float32(BATCH["targets"] > 0)}


@pytest.fixture(scope="module")
def model() -> Any:
    return NET.build(nnx.Rngs(0))


@pytest.mark.slow
def test_the_perturbation_raises_the_loss_by_its_length_times_the_slope(model: Any) -> None:
    @functools.partial(jax.jit, static_argnums=0)
    def vaccine(reach: float) -> jax.Array:
        return Vaccine(reach)(model, BATCH, None)[0]

    plain = causal_lm(model, BATCH, None)[0]
    np.testing.assert_allclose(vaccine(0.0), plain, rtol=1e-5)

    @jax.jit
    def shifted(add: jax.Array) -> jax.Array:
        return causal_lm(lambda t, key: model.logits(model.norm(residual_stream(model, t, add)[-1])), BATCH, None)[0]

    slope = jax.grad(shifted)(jnp.zeros((2, 2, 4, 8)))
    reach = 1e-2
    raised = vaccine(reach) - plain
    np.testing.assert_allclose(raised, reach * jnp.linalg.norm(slope.ravel()), rtol=0.05)
    other = jax.random.normal(jax.random.key(0), slope.shape)
    assert shifted(reach * other / jnp.linalg.norm(other.ravel())) - plain < raised


@pytest.mark.slow
def test_drift_is_the_squared_distance_of_what_blocks_leave(model: Any) -> None:
    other = NET.build(nnx.Rngs(1))
    loss, metrics = FeatureDrift(0.5)(model, BATCH, None, other)
    now, then = (np.asarray(residual_stream(net, BATCH["tokens"]))[1:] for net in (model, other))
    there = np.asarray(BATCH["tokens"]) > 0
    drift = ((now - then) ** 2).sum((0, -1))[there].mean()
    np.testing.assert_allclose(metrics["drift"], drift, rtol=1e-4)
    np.testing.assert_allclose(loss, causal_lm(model, BATCH, None)[0] + 0.5 * drift, rtol=1e-4)


def test_noise_is_pulled_near_and_harm_pushed_up(model: Any) -> None:
    batch = BATCH | {f"harmful_{name}": own[::-1] for name, own in BATCH.items()}
    loss, metrics = RepNoise(0.1, 0.2)(model, batch, jax.random.key(1))
    wanted = causal_lm(model, BATCH, None)[0] + 0.1 * metrics["mmd"] - 0.2 * np.log(metrics["harmful"])
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(metrics["harmful"], causal_lm(model, BATCH, None)[0], rtol=1e-5)
    one, far = np.random.default_rng(0).normal(size=(2, 50, 3)).astype(np.float32)
    near, away = (float(mmd(jnp.asarray(one), jnp.asarray(far + x))) for x in (0, 3))
    assert 0 <= near < 0.5 < away


@pytest.mark.slow
def test_turns_alternate_and_each_is_pulled_to_its_start() -> None:
    how = {"tokenizer": Bytes(), "batch": 4, "length": 8}
    user, aligned = (CausalText(source=Stdlib(split, limit=100_000), **how) for split in ("train", "test"))
    fields = tuple(aligned.spec())
    plain = Stage("lisa", NET, causal_lm, sgd(0.1, decay="constant", momentum=None), user, steps=10)
    stage = with_lisa(plain, aligned, Lisa((2, 3), 4.0, free=0.25))
    data = stage.data
    program = build(stage, make_mesh("data=1"))
    states, key = program.initial(0), jax.random.key(0)
    first = states["net"].params
    batches = [jax.tree.map(jnp.asarray, data.take(np.arange(4 * k, 4 * k + 4))) for k in range(4)]
    part = program.parts["net"]

    step = jax.jit(program.step)

    @jax.jit
    def gradient(params: Any, rows: Any) -> Any:
        return jax.grad(lambda p: causal_lm(nnx.merge(part.graphdef, p, {}), rows, None)[0])(params)

    for k, batch in enumerate(batches):
        before = states["net"].params
        prefix = "aligned_" if k < 2 else ""
        slope = gradient(before, {n: batch[prefix + n] for n in fields})
        if k == 3:  # beyond a quarter of the steps, and one step into its turn
            anchor = states["anchor"].params
            slope = jax.tree.map(lambda g, p, a: g + 4.0 * (p - a), slope, before, anchor)
        states, _ = step(states, batch, key, program.schedule)
        wanted = jax.tree.map(lambda p, g: p - 0.1 * g, before, slope)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), states["net"].params, wanted)
        if k == 1:
            jax.tree.map(np.testing.assert_array_equal, states["anchor"].params, first)
        if k == 2:
            jax.tree.map(np.testing.assert_array_equal, states["anchor"].params, before)

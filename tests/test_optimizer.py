"""Optimizers as declarations."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from spine import assert_same, stage

from stagejax.axes import Axes
from stagejax.declare import declare, fingerprint
from stagejax.growth import Factors
from stagejax.identity import program_key
from stagejax.mesh import make_mesh
from stagejax.optimizer import adafactor, adam, adamw, decayed_sgd, lion, muon, sgd
from stagejax.program import build, step_keys

AXES = {
    "kernel": Axes(("embed", "mlp"), ("read", "write")),
    "bias": Axes(("mlp",), ("write",)),
    "gain": Axes(("embed",), ("gain",)),
}
MUON = optax.contrib.muon(0.1, consistent_rms=0.2, nesterov=False)
DECAYING = optax.adamw(0.1, weight_decay=0.01, mask={"kernel": True, "bias": False, "gain": False})
PARAMS = {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.ones(3), "gain": jnp.ones(2)}


@pytest.mark.parametrize(
    ("optimizer", "wanted"),
    [
        (
            adamw(1.0, warmup=2, decay="linear", end=0.5),
            [0.5, 1, 1, 0.9375, 0.875, 0.8125, 0.75, 0.6875, 0.625, 0.5625],
        ),
        (adamw(1.0, decay="constant"), [1.0] * 10),
        (adamw(1.0, warmup=1, decay="wsd", cooldown=0.5), [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]),
        (adamw(1.0, decay="cosine"), [(1 + np.cos(np.pi * t / 10)) / 2 for t in range(10)]),
    ],
)
def test_learning_rates(optimizer, wanted) -> None:
    rate = optimizer.learning_rate(steps=10)
    np.testing.assert_allclose([rate(t) for t in range(10)], wanted, atol=1e-6)
    np.testing.assert_allclose(jax.jit(rate)(jnp.int32(3)), wanted[3], atol=1e-6)


def test_only_what_reads_decays() -> None:
    tx = adamw(1.0, decay="constant", weight_decay=0.5)(10, AXES)
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = tx.update(zero, tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["kernel"], -1.0)
    assert not updates["bias"].any()
    assert not updates["gain"].any()


def test_decayed_sgd_clips_then_decays_then_remembers() -> None:
    rate, clip, decay, momentum = 0.1, 1.0, 0.5, 0.9
    tx = decayed_sgd(rate, decay="constant", clip=clip, weight_decay=decay, momentum=momentum)(3, AXES)
    params, opt_state = PARAMS, tx.init(PARAMS)
    expected, velocity = {k: np.asarray(v) for k, v in PARAMS.items()}, dict.fromkeys(PARAMS, 0.0)
    for _ in range(3):
        updates, opt_state = tx.update(jax.tree.map(lambda x: 3 * jnp.ones_like(x), params), opt_state, params)
        params = optax.apply_updates(params, updates)
        gradient = 3 * clip / np.sqrt(9 * 11)  # of each of the eleven numbers
        velocity = {k: momentum * velocity[k] + gradient + decay * x for k, x in expected.items()}
        expected = {k: x - rate * velocity[k] for k, x in expected.items()}
    for name, value in expected.items():  # the bias and the gain decay as well
        np.testing.assert_allclose(params[name], value, rtol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (adamw(0.1, decay="constant", clip=0.5), optax.chain(optax.clip_by_global_norm(0.5), DECAYING)),
        (adam(0.1, decay="constant"), optax.adam(0.1)),
        (lion(0.1, decay="constant", weight_decay=0.0), optax.lion(0.1, weight_decay=0.0)),
        (sgd(0.1, decay="constant", nesterov=True), optax.sgd(0.1, momentum=0.9, nesterov=True)),
        (sgd(0.1, decay="constant", momentum=None), optax.sgd(0.1)),
        (adafactor(0.1, decay="constant", factored_from=2), optax.adafactor(0.1, 2, multiply_by_parameter_scale=False)),
        (adafactor(0.1, decay="constant", relative=True), optax.adafactor(0.1)),
        (muon(0.1, decay="constant", weight_decay=0.0, nesterov=False), MUON),
    ],
)  # fmt: skip
def test_they_are_optax(ours, theirs) -> None:
    params = (PARAMS, PARAMS)
    transforms = (ours(10, AXES), theirs)
    states = [tx.init(PARAMS) for tx in transforms]
    for scale in (1.0, 2.0, -3.0):
        grads = optax.tree.scale(scale, PARAMS)
        out = [tx.update(grads, s, p) for tx, s, p in zip(transforms, states, params, strict=True)]
        states = [state for _, state in out]
        params = tuple(optax.apply_updates(p, u) for p, (u, _) in zip(params, out, strict=True))
    for a, b in zip(*map(jax.tree.leaves, params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_muon_turns_every_block_of_kernels_and_leaves_tables_to_adam() -> None:
    axes = {
        "query": Axes(("layers", "embed", "heads", "head_dim"), ("stack", "read", "write", "write")),
        "table": Axes(("vocab", "embed"), ("read", "write")),
    }
    params = {"query": jnp.ones((3, 4, 2, 2)), "table": jnp.ones((5, 4))}
    grads = jax.tree.map(lambda x: jnp.asarray(np.random.RandomState(0).normal(size=x.shape), x.dtype), params)
    tx = muon(1.0, decay="constant", weight_decay=0.0, rms=None)(10, axes)
    updates, _ = tx.update(grads, tx.init(params), params)
    blocks = np.asarray(updates["query"]).reshape(3, 4, 4)
    values = np.linalg.svd(blocks, compute_uv=False)
    assert values.min() > 0.3  # Newton and Schulz bring all singular values near 1
    assert values.max() < 1.3
    adam = adamw(1.0, decay="constant", weight_decay=0.0)(10, axes)
    np.testing.assert_allclose(updates["table"], adam.update(grads, adam.init(params), params)[0]["table"], rtol=1e-6)
    with pytest.raises(ValueError, match="muon has no rule by which a grown model takes the steps"):
        muon(1.0).parts(axes, Factors(lr=axes, eps=axes))


def test_declared_and_partial() -> None:
    optimizer = adamw(1e-3, warmup=10)
    assert optimizer == adamw(1e-3, warmup=10)
    assert fingerprint(declare(optimizer)) != fingerprint(declare(replace(optimizer, peak=2e-3)))
    frozen = {**PARAMS, "kernel": None}
    tx = optimizer(100, {**AXES, "kernel": None})
    updates, _ = tx.update(frozen, tx.init(frozen), frozen)
    assert updates["kernel"] is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: adamw(0.0), "peak must be positive"),
        (lambda: adamw(1.0, warmup=-1), "warmup=-1"),
        (lambda: adamw(1.0, cooldown=0.0), "cooldown=0.0"),
        (lambda: adamw(1.0, clip=0.0), "clip=0.0"),
        (lambda: adamw(1.0, warmup=11).learning_rate(10), "warmup=11 do not fit into a stage of 10 steps"),
        (lambda: adamw(1.0, warmup=9, decay="wsd")(10, AXES), "warmup=9 and cooldown=0.2 do not fit"),
    ],
)
def test_what_makes_no_sense_is_refused(make, says) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_stages_that_differ_in_their_schedule_share_a_program() -> None:
    one = stage(optimizer=adamw(1e-2, warmup=2, decay="linear"), steps=4)
    same = [replace(one, optimizer=adamw(3e-2, warmup=3, decay="linear", end=1e-3)), replace(one, steps=9)]
    others = [replace(one, optimizer=adamw(1e-2, warmup=2)), replace(one, optimizer=adamw(1e-2, 2, "linear", b1=0.8))]
    assert {program_key(like) for like in same} == {program_key(one)}
    assert program_key(one) not in {program_key(unlike) for unlike in others}


def test_a_shared_program_takes_the_steps_of_its_own_schedule() -> None:
    first, second = stage(optimizer=adamw(1e-2, decay="constant"), steps=3), stage(optimizer=adamw(0.3, 2), steps=4)
    second = replace(second, optimizer=replace(second.optimizer, decay="constant"))
    shared, alone = build(first, make_mesh("data=1")).of(second), build(second, make_mesh("data=1"))
    states = [program.initial(0) for program in (shared, alone)]
    for k in range(4):
        batch, key = second.data.batch(k), step_keys(second, 0)
        states = [p.compiled_step()(s, batch, key)[0] for p, s in zip((shared, alone), states, strict=True)]
    assert_same(*[state.params for state in states])
    start, end = alone.initial(0).params, states[0].params
    moved = max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (start, end)), strict=True))
    assert moved > 4 * 1e-2  # which the first stage's rate could not
    with pytest.raises(ValueError, match="warmup=9 do not fit into a stage of 3 steps"):
        shared.of(replace(first, optimizer=adamw(1e-2, warmup=9, decay="constant")))

"""Distillation in a step: only the teacher is read, only the student learns, and responses come from where it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows
from stagejax.inference.prompts.responding import Responding
from stagejax.models.t5 import T5
from stagejax.objectives.divergence import forward_kl, jensen_shannon
from stagejax.optimizer import adam
from stagejax.program import build, init_keys, step_keys
from stagejax.stage import Stage
from stagejax.steps.distilling import DistilStep, Drawn, Mixed, given, with_flops

SIZES = {"heads": 2, "head_dim": 4, "mlp": 8, "encoder_layers": 1, "decoder_layers": 1, "vocab": 12}
NETS = {"student": T5(embed=8, **SIZES), "teacher": T5(embed=12, **SIZES), "oracle": T5(embed=8, **SIZES)}
B, S, LIMIT = 6, 5, 4
FIELDS = (Row("inputs", (S,), "int32"), Row("mask", (S,), "bool"), Row("tokens", (LIMIT,), "int32"))
FIELDS += (Row("targets", (LIMIT,), "int32"), Row("weights", (LIMIT,)))
RNG = np.random.RandomState(0)
ARRAYS = {"inputs": RNG.randint(3, 12, (B, S)).astype(np.int32), "mask": np.ones((B, S), bool)}
ARRAYS |= {name: np.full((B, LIMIT), 11, np.int32) for name in ("tokens", "targets")}
ARRAYS |= {"weights": np.ones((B, LIMIT), np.float32)}
BATCH = {name: jnp.asarray(x) for name, x in ARRAYS.items()}
DATA = MadeRows(rows=FIELDS, of="made", arrays=ARRAYS, batch=B)
DRAWN = Drawn("teacher", Responding(LIMIT))
STAGE = Stage(
    "distilled", NETS, None, {"student": adam(1e-2, decay="constant"), "teacher": None, "oracle": None}, DATA, steps=3,
    step=DistilStep(),
)  # fmt: skip


def began(stage: Stage) -> tuple[Any, Any, Any]:
    """The stage's program, its first states and the key of its steps."""
    program = build(stage, None)
    return program, program.init(init_keys(stage, 0)), step_keys(stage, 0)


def stepped(stage: Stage, states: Any = None, batch: Any = BATCH) -> tuple[Any, Any, Any]:
    """States before and after a step, and its metrics."""
    program, first, key = began(stage)
    first = states or first
    after, metrics = jax.jit(program.step)(first, batch, key, jax.tree.map(jnp.float32, program.schedule))
    return first, after, metrics


def module(program: Any, states: Any, name: str) -> Any:
    return nnx.merge(program.parts[name].graphdef, states[name].params, states[name].rest)


@pytest.mark.slow
@pytest.mark.parametrize("divergence", [forward_kl, jensen_shannon])
def test_the_loss_is_the_mean_over_weighted_tokens(divergence: Any) -> None:
    weights = np.ones((B, LIMIT), np.float32)
    weights[0, 1:] = 0
    batch = BATCH | {"weights": jnp.asarray(weights), "tokens": jnp.asarray(RNG.randint(0, 12, (B, LIMIT)))}
    before, _, metrics = stepped(replace(STAGE, step=DistilStep(divergence)), batch=batch)
    program, _, _ = began(STAGE)
    own, theirs = (
        module(program, before, who)(batch["inputs"], batch["tokens"], mask=batch["mask"])
        for who in ("student", "teacher")
    )
    wanted = float((weights * divergence(own, theirs)).sum() / weights.sum())
    assert float(metrics["loss"]) == pytest.approx(wanted, rel=1e-4)
    assert metrics["sampled_tokens"] == 0


@pytest.mark.slow
def test_only_the_student_learns_and_the_oracle_is_not_read() -> None:
    before, after, _ = stepped(STAGE)
    for who in ("teacher", "oracle"):
        jax.tree.map(np.testing.assert_array_equal, before[who].params, after[who].params)
    assert {int(state.step) for state in after.values()} == {1}
    assert not np.allclose(jax.tree.leaves(before["student"].params)[0], jax.tree.leaves(after["student"].params)[0])
    other = jax.tree.map(lambda x: x + 1, before["oracle"].params)
    _, again, _ = stepped(STAGE, before | {"oracle": replace(before["oracle"], params=other)})
    jax.tree.map(np.testing.assert_array_equal, after["student"].params, again["student"].params)


@pytest.mark.slow
def test_responses_are_drawn_from_the_named_model_anew_in_each_step() -> None:
    program, states, key = began(STAGE)
    models = {who: module(program, states, who) for who in ("student", "teacher")}
    at = [jax.random.fold_in(jax.random.fold_in(key, k), 1) for k in (0, 1)]
    first, second = (DRAWN(models, BATCH, k)[0] for k in at)
    assert not np.array_equal(first["targets"], second["targets"])
    wanted = Responding(LIMIT)(models["teacher"], BATCH, at[0])
    jax.tree.map(np.testing.assert_array_equal, first, wanted)
    own = Drawn("student", Responding(LIMIT))(models, BATCH, at[0])[0]
    assert not np.array_equal(first["targets"], own["targets"])
    # What the batch holds of responses is not looked at, and the step learns from the drawn ones.
    _, online, metrics = stepped(replace(STAGE, step=DistilStep(source=DRAWN)))
    _, offline, _ = stepped(STAGE, batch=wanted)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), online["student"].params, offline["student"].params
    )
    assert metrics["sampled_tokens"] == wanted["weights"].sum()


@pytest.mark.slow
def test_a_mixture_takes_each_row_from_one_source() -> None:
    program, states, key = began(STAGE)
    models = {who: module(program, states, who) for who in ("student", "teacher")}
    rows, drawn = Mixed((given, DRAWN), (0.5, 0.5))(models, BATCH, key)
    fresh, count = DRAWN(models, BATCH, jax.random.fold_in(key, 1))
    is_given = (np.asarray(rows["targets"]) == 11).all(1)
    assert 0 < is_given.sum() < B
    np.testing.assert_array_equal(rows["targets"][~is_given], fresh["targets"][~is_given])
    np.testing.assert_array_equal(rows["weights"][~is_given], fresh["weights"][~is_given])
    assert drawn == count
    alone, _ = Mixed((given, DRAWN), (1.0, 0.0))(models, BATCH, key)
    np.testing.assert_array_equal(alone["tokens"], ARRAYS["tokens"])


def test_drawing_is_charged() -> None:
    cost = {
        name: with_flops(replace(STAGE, step=DistilStep(source=source))).step_flops(np.arange(2))
        for name, source in {"given": given, "drawn": DRAWN, "mixed": Mixed((given, DRAWN))}.items()
    }
    assert (cost["drawn"] > cost["given"]).all()
    assert cost["drawn"].tolist() == cost["mixed"].tolist()
    drawing = B * Responding(LIMIT).flops(NETS["teacher"], S)
    assert cost["drawn"][0] - cost["given"][0] == pytest.approx(drawing, rel=0.01)


@pytest.mark.slow
def test_a_row_has_one_response() -> None:
    with pytest.raises(ValueError, match="draw 1"):
        Drawn("teacher", Responding(LIMIT, n=2))

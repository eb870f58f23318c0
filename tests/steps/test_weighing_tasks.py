"""Steps that weigh tasks: PCGrad is the plain step where nothing conflicts, DWA's memory, uncertainties that move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax import Stage
from stagejax.data import Bytes, Stdlib
from stagejax.data.selection.task_sampling import SampledTasks, uniform
from stagejax.data.tasks.text_tasks import synonym_tasks
from stagejax.models import bert
from stagejax.models.text.adapters import Adapted
from stagejax.objectives.tasks.task_weighting import SampledLoss, dynamic_weights
from stagejax.optimizer import adam, sgd
from stagejax.program import build, init_keys, step_keys
from stagejax.steps.weighing_tasks import Surgery, by_uncertainty, dynamically

pytestmark = pytest.mark.slow  # every test compiles a step of an encoder

WHO, _, _, SCORE = synonym_tasks(100)
TEXT = {"tokenizer": Bytes(), "learned_from": Stdlib(), "length": 24}
DATA = SampledTasks(tasks=(WHO, SCORE), sampling=uniform(), batch=8, epoch=8, **TEXT)
STAGE = Stage(
    "plain", Adapted(bert(vocab=260, layers=1, embed=8, heads=2, mlp=16, length=24), 3, 5), SampledLoss(3),
    sgd(0.1), DATA, steps=4,
)  # fmt: skip


def stepped(stage: Stage, steps: int) -> tuple[Any, list[Any]]:
    program = build(stage, None)
    states, key = program.init(init_keys(stage, 0)), step_keys(stage, 0)
    numbers, step, seen = jax.tree.map(jnp.float32, program.schedule), jax.jit(program.step), []
    for k in range(steps):
        batch = stage.data.take(np.arange(8 * k, 8 * k + 8))
        states, metrics = step(states, batch, key, numbers)
        seen.append({name: float(value) for name, value in metrics.items()})
    return states, seen


def test_without_conflict_surgery_is_the_plain_step() -> None:
    alone = replace(STAGE, data=replace(DATA, tasks=(WHO,)))
    plain, one = stepped(alone, 2)
    cut, other = stepped(replace(alone, step=Surgery()), 2)
    for a, b in zip(jax.tree.leaves(plain.params), jax.tree.leaves(cut.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert [m["conflict"] for m in other] == [0, 0]
    np.testing.assert_allclose([m["loss"] for m in one], [m["loss"] for m in other], rtol=1e-5)


def test_surgery_leaves_the_heads_their_own_gradients_and_counts_conflicts() -> None:
    plain, _ = stepped(STAGE, 1)
    cut, metrics = stepped(replace(STAGE, step=Surgery()), 1)
    np.testing.assert_allclose(plain.params["heads"]["kernel"], cut.params["heads"]["kernel"], atol=1e-6)
    assert metrics[0]["conflict"] in (0, 1)
    moved = max(
        float(jnp.abs(a - b).max())
        for a, b in zip(*(jax.tree.leaves(s.params["encoder"]) for s in (plain, cut)), strict=True)
    )
    assert (moved > 1e-7) == bool(metrics[0]["conflict"])
    with pytest.raises(ValueError, match="accumulate=1"):
        stepped(replace(STAGE, step=Surgery(), accumulate=2), 1)


def test_dynamic_weights_come_from_the_last_two_epochs() -> None:
    states, seen = stepped(dynamically(replace(STAGE, steps=6), tasks=3, epochs=3), 6)
    memory = states["weights"].rest
    for k in range(4):  # two epochs of two steps, in which nothing is known
        assert [seen[k][f"weight_{t}"] for t in range(3)] == pytest.approx([1, 1, 1])
    means = np.array([[np.mean([seen[2 * e + i][f"net_loss_{t}" if f"net_loss_{t}" in seen[0] else f"loss_{t}"]
                                for i in range(2)]) for t in range(3)] for e in range(3)])  # fmt: skip
    wanted = dynamic_weights(jnp.asarray(means[1]), jnp.asarray(means[0]))
    assert [seen[4][f"weight_{t}"] for t in range(3)] == pytest.approx(wanted.tolist(), rel=1e-4)
    assert seen[4]["weight_2"] == pytest.approx(seen[5]["weight_2"])  # the same through an epoch
    np.testing.assert_allclose(memory["last"], means[2], rtol=1e-4)
    np.testing.assert_allclose(memory["before"], means[1], rtol=1e-4)
    assert float(memory["count"].sum()) == 0


def test_uncertainties_move_where_their_task_is_there() -> None:
    states, _ = stepped(by_uncertainty(replace(STAGE, optimizer=adam(1e-2)), (False, True, False)), 3)
    s = states["weights"].params["log_variance"]
    assert float(s[2]) == 0  # a head without rows
    assert min(abs(float(s[0])), abs(float(s[1]))) > 1e-3

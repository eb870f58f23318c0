"""Flow matching of two models: what the condition is told, prompts that are dropped, ratios, and where gradients go."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.objectives.pictures.conditioned_flow import ConditionedFlow, left

BATCH = {
    "target": np.random.default_rng(0).integers(0, 256, (400, 2, 2, 3)).astype(np.uint8),
    "there": np.tile([True, True, True, False], (400, 1)),
    "task": np.tile([True, False, False, False], (400, 1)),
}


def seen(objective: ConditionedFlow, key: Any) -> dict[str, np.ndarray]:
    """What the two models are called with."""
    calls: dict[str, Any] = {}

    def condition(batch: Any, there: Any, ratio: Any) -> dict[str, Any]:
        calls.update(there=np.asarray(there), ratio=np.asarray(ratio))
        return {"told": ratio}

    def dit(x: Any, t: Any, told: Any) -> Any:
        calls.update(x=np.asarray(x), t=np.asarray(t))
        return 0 * x

    loss, _ = objective({"condition": condition, "dit": dit}, BATCH, key)
    return calls | {"loss": np.asarray(loss)}


def test_a_tenth_of_the_prompts_keeps_its_task_alone() -> None:
    there = seen(ConditionedFlow(drop=0.1), jax.random.key(1))["there"]
    dropped = ~there[:, 1]
    assert 0.05 < dropped.mean() < 0.16
    np.testing.assert_array_equal(there[dropped], BATCH["task"][dropped])
    np.testing.assert_array_equal(there[~dropped], BATCH["there"][~dropped])


def test_ratios_are_uniform_and_in_evaluation_fixed() -> None:
    ratio = seen(ConditionedFlow(), jax.random.key(1))["ratio"]
    assert 0.45 < ratio.mean() < 0.55
    assert 0 <= ratio.min() < 0.05 < 0.95 < ratio.max() <= 1
    told = seen(ConditionedFlow(ratio=0.3), None)
    np.testing.assert_allclose(told["ratio"], 0.3)
    np.testing.assert_array_equal(told["there"], BATCH["there"])
    np.testing.assert_allclose(seen(ConditionedFlow(random_ratio=False), jax.random.key(1))["ratio"], 0.5)


def test_the_loss_is_of_velocities_of_data_from_minus_one_to_one() -> None:
    own = seen(ConditionedFlow(), None)
    data, t = BATCH["target"].astype(np.float32) / 127.5 - 1, own["t"][:, None, None, None]
    noise = (own["x"] - t * data) / (1 - t)
    near = own["t"] < 0.9
    np.testing.assert_allclose(noise[near].std(), 1, atol=0.05)
    np.testing.assert_allclose(own["loss"], ((data - noise) ** 2).mean(), rtol=1e-2)


def test_a_task_that_is_not_there_is_not_left() -> None:
    task = jnp.ones((1, 4), bool)
    np.testing.assert_array_equal(left({"there": BATCH["there"][:1], "task": task}, jnp.array([True]))[0], [1, 1, 1, 0])

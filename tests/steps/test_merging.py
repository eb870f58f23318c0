"""Online merging: closed forms of the update, masks by key, the step towards what fine-tuning had changed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stagejax.axes import Axes
from stagejax.stage import Part, Precision
from stagejax.state import TrainState
from stagejax.steps.merging import merging_adam, merging_step, online_dare

KEY = jax.random.key(0)
SIZE = 20_000


def test_without_masks_and_ratio_nothing_changes() -> None:
    d, tx = {"a": jnp.arange(3.0)}, online_dare(0.0, 1.0)
    found, _ = tx.update(d, tx.init(d), delta={"a": jnp.ones(3)}, key=KEY)
    assert found["a"].tolist() == [0.0, 1.0, 2.0]


def test_masks_keep_a_share_without_rescaling_and_are_drawn_apart() -> None:
    d, tau = {"a": jnp.full(SIZE, 2.0), "b": jnp.full(SIZE, 2.0)}, {"a": jnp.full(SIZE, 8.0), "b": jnp.full(SIZE, 8.0)}
    ratio, kept = 0.25, 0.3
    found, _ = online_dare(ratio, kept).update(d, optax.EmptyState(), delta=tau, key=KEY)
    values, counts = np.unique(np.asarray(found["a"]), return_counts=True)
    assert values.tolist() == [0.0, 1.5, 2.0, 3.5]  # neither, (1 - a) d, a tau, both
    expected = np.array([(1 - kept) ** 2, kept * (1 - kept), (1 - kept) * kept, kept**2])
    np.testing.assert_allclose(counts / SIZE, expected, atol=0.015)
    assert not bool(jnp.array_equal(found["a"], found["b"]))
    again, _ = online_dare(ratio, kept).update(d, optax.EmptyState(), delta=tau, key=jax.random.key(1))
    assert not bool(jnp.array_equal(found["a"], again["a"]))
    np.testing.assert_allclose(found["a"].mean(), kept * ((1 - ratio) * 2 + ratio * 8), rtol=0.02)


def test_many_steps_pull_along_delta_as_the_formula_says() -> None:
    """Without gradients theta_t = theta_0 + t a p tau in the mean."""
    tx, steps = optax.chain(optax.sgd(1.0), online_dare(1e-2, 0.5)), 40
    theta, tau = jnp.zeros(SIZE), jnp.ones(SIZE)
    state = tx.init(theta)
    for step in range(steps):
        updates, state = tx.update(jnp.zeros(SIZE), state, delta=tau, key=jax.random.fold_in(KEY, step))
        theta = optax.apply_updates(theta, updates)
    np.testing.assert_allclose(theta.mean(), steps * 1e-2 * 0.5, rtol=0.01)
    assert float(theta.std()) == pytest.approx(1e-2 * (steps * 0.25) ** 0.5, rel=0.05)


def part(optimizer: Any, steps: int = 4) -> Any:
    """What `gradient_step` reads of a part: a model of one vector, whose gradient is given."""
    selection = {"w": True}
    tx = optimizer(steps, {"w": Axes(("embed",), ("write",))})
    gradients = lambda part, trained, *rest: (({"loss": jnp.zeros(())}, {}), {"w": 2 * trained["w"]})  # noqa: E731
    return Part(None, None, None, None, None, selection, tx, None, gradients, Precision(), None, 1, None, steps)


def state(values: Any, tx: Any = None) -> TrainState:
    params = {"w": jnp.asarray(values, jnp.float32)}
    return TrainState(jnp.zeros((), jnp.int32), params, {}, tx.init(params) if tx else (), None)


@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_the_step_is_adams_merged_with_delta_and_the_others_stay(ratio: float) -> None:
    own = part(merging_adam(0.1, decay="constant", ratio=ratio, kept=1.0))
    states = {"policy": state([1.0, -2.0], own.tx), "tuned": state([3.0, 0.0]), "base": state([1.0, 1.0])}
    after, metrics = merging_step({"policy": own, "tuned": own, "base": own}, states, {}, KEY)
    moved = (1 - ratio) * np.array([-0.1, 0.1]) + ratio * np.array([2.0, -1.0])
    np.testing.assert_allclose(after["policy"].params["w"], np.array([1.0, -2.0]) + moved, rtol=1e-4)
    assert [int(own_state.step) for own_state in after.values()] == [1, 1, 1]
    assert after["tuned"].params["w"].tolist() == [3.0, 0.0]
    assert after["base"].params["w"].tolist() == [1.0, 1.0]
    assert float(metrics["grad_norm"]) == pytest.approx(20**0.5)


@pytest.mark.parametrize(("ratio", "kept"), [(-0.1, 0.5), (1.1, 0.5), (0.1, 0.0), (0.1, 1.1)])
def test_shares_must_be_shares(ratio: float, kept: float) -> None:
    with pytest.raises(ValueError, match="need 0 <= ratio <= 1 and 0 < kept <= 1"):
        online_dare(ratio, kept)

"""Learning in context: maps follow from a task's key, losses are means over positions, descent is what it says."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.shallow import Shallow
from stagejax.objectives.in_context import after_descent, in_context, logits_after_descent, positions, projected

RANDOM = np.random.default_rng(0)
BATCH = {
    "image": RANDOM.normal(size=(3, 5, 8)).astype(np.float32),
    "label": RANDOM.integers(0, 4, (3, 5)).astype(np.int32),
    "task": np.array([[1, 2], [1, 2], [2, 1]], np.uint32),
}
ON_DEVICE = jax.tree.map(jnp.asarray, BATCH)


def table(inputs: Any, labels: Any, key: Any = None) -> Any:
    """A model whose logits are the first inputs."""
    return inputs[..., :4]


def test_a_map_is_linear_and_a_function_of_its_key() -> None:
    eye = jnp.broadcast_to(jnp.eye(8), (3, 8, 8))
    maps = np.asarray(projected(eye, ON_DEVICE["task"])).swapaxes(1, 2)
    np.testing.assert_array_equal(maps[0], maps[1])
    assert abs(maps[0] - maps[2]).max() > 0.1
    found = projected(ON_DEVICE["image"], ON_DEVICE["task"])
    np.testing.assert_allclose(found, np.einsum("bij,bnj->bni", maps, BATCH["image"]), rtol=1e-4, atol=1e-5)


def test_entries_of_a_map_have_variance_one_over_their_number() -> None:
    keys = jnp.asarray(RANDOM.integers(0, 2**32, (200, 2), np.uint32))
    maps = np.asarray(projected(jnp.broadcast_to(jnp.eye(16), (200, 16, 16)), keys))
    assert abs(maps.var() * 16 - 1) < 0.02
    assert abs(maps.mean()) < 0.005


def test_maps_are_drawn_on_the_devices_of_their_sequences() -> None:
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.NamedSharding(mesh, jax.P("data"))
    images = jnp.asarray(RANDOM.normal(size=(8, 5, 16)), jnp.float32)
    keys = jnp.asarray(RANDOM.integers(0, 2**32, (8, 2), np.uint32))
    found = jax.jit(projected, in_shardings=(split, split), out_shardings=split).lower(images, keys).compile()
    np.testing.assert_allclose(found(*jax.device_put((images, keys), split)), projected(images, keys), atol=1e-5)
    assert not any(word in found.as_text() for word in ("all-gather", "all-reduce", "all-to-all", "permute("))


def test_the_loss_is_the_mean_over_positions_and_accuracies_those_of_the_ends() -> None:
    logits = np.asarray(projected(ON_DEVICE["image"], ON_DEVICE["task"]))[..., :4]
    chosen = np.take_along_axis(logits, BATCH["label"][..., None], -1)[..., 0]
    losses = np.log(np.exp(logits).sum(-1)) - chosen
    right = logits.argmax(-1) == BATCH["label"]
    found = positions(table, ON_DEVICE)
    np.testing.assert_allclose(found[0], losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[1], right)
    loss, metrics = in_context(table, ON_DEVICE, None)
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)
    assert [float(metrics[name][0]) for name in ("first", "accuracy")] == [right[:, 0].sum(), right[:, -1].sum()]


@pytest.mark.slow
def test_descent_sees_the_examples_before_the_query_alone() -> None:
    model = Shallow(features=8, mlp=6, outputs=4).build(nnx.Rngs(0))
    changed = ON_DEVICE | {"label": ON_DEVICE["label"].at[:, 3:].add(1) % 4}
    found, again = (logits_after_descent(model, batch, support=3, steps=2, rate=0.5) for batch in (ON_DEVICE, changed))
    np.testing.assert_array_equal(found, again)
    assert found.shape == (3, 2, 4)
    loss, metrics = after_descent(model, ON_DEVICE, None, support=3, steps=2, rate=0.5)
    chosen = np.take_along_axis(np.asarray(jax.nn.log_softmax(found)), BATCH["label"][:, 3:, None], -1)
    np.testing.assert_allclose(loss, -chosen.mean(), rtol=1e-5)
    assert float(metrics["accuracy"][0]) == (found[:, -1].argmax(-1) == BATCH["label"][:, -1]).sum()


def test_descent_is_gradient_descent_on_the_mean_loss() -> None:
    graphdef, params = nnx.split(Shallow(features=8, mlp=6, outputs=4).build(nnx.Rngs(0)))
    inputs = projected(ON_DEVICE["image"], ON_DEVICE["task"])
    found = logits_after_descent(nnx.merge(graphdef, params), ON_DEVICE, support=4, steps=3, rate=0.5)
    for row in range(3):
        own = params

        def loss(own: Any, row: int = row) -> Any:
            logits = nnx.merge(graphdef, own)(inputs[row, :4])
            return -jax.nn.log_softmax(logits)[jnp.arange(4), BATCH["label"][row, :4]].mean()

        for _ in range(3):
            own = jax.tree.map(lambda p, g: p - 0.5 * g, own, jax.grad(loss)(own))
        np.testing.assert_allclose(found[row], nnx.merge(graphdef, own)(inputs[row, 4:]), rtol=1e-4, atol=1e-5)

"""Policies see inflows up to their stage and no later ones; the recurrent one forgets at a path's start."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of
from stagejax.models.policy import LinearPolicy, RecurrentCritic, RecurrentPolicy

CRITIC = RecurrentCritic(plants=3, stages=6, hidden=(4, 5))
CONFIGS = [RecurrentPolicy(plants=3, hidden=(4, 5)), LinearPolicy(plants=3, stages=6)]


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=["recurrent", "linear"])
def test_an_encoding_depends_on_its_stage_and_those_before_it_alone(config: object) -> None:
    policy = config.build(nnx.Rngs(0))  # type: ignore
    x = jax.random.normal(jax.random.key(0), (6, 3))
    later = x.at[4:].add(1.0)
    for a, b in zip(jax.tree.leaves(policy.encode(x)), jax.tree.leaves(policy.encode(later)), strict=True):
        np.testing.assert_allclose(a[:4], b[:4], rtol=1e-6)
    first = jax.tree.leaves(policy.encode(x))[0]
    assert not np.allclose(first[4:], jax.tree.leaves(policy.encode(later))[0][4:])


def test_the_cell_is_the_one_of_the_textbook() -> None:
    policy = RecurrentPolicy(plants=2, hidden=(3,)).build(nnx.Rngs(1))
    cell, x = policy.cells[0], np.array([[0.3, -0.2], [0.1, 0.4]], np.float32)
    W, b, U = (np.asarray(v[...]) for v in (cell.input.kernel, cell.input.bias, cell.hidden.kernel))
    sigma = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    h = c = np.zeros(3)
    for row in x:
        i, f, g, o = np.tensordot(row, W, 1) + b + np.tensordot(h, U, 1)
        c = sigma(f + 1) * c + sigma(i) * np.tanh(g)
        h = sigma(o) * np.tanh(c)
    np.testing.assert_allclose(policy.encode(jnp.asarray(x))[-1], h, rtol=1e-5)


@pytest.mark.parametrize("config", [*CONFIGS, CRITIC], ids=["recurrent", "linear", "critic"])
def test_every_parameter_names_its_axes(config: object) -> None:
    found = axes_of(config.build(nnx.Rngs(0)))  # type: ignore
    names = {
        name.removesuffix("_out")
        for leaf in jax.tree.leaves(found, is_leaf=lambda x: hasattr(x, "sides"))
        for name in leaf.names
    }
    assert names == set(config.sizes())  # type: ignore


@pytest.mark.slow
def test_a_critic_begins_at_zero_and_each_value_sees_its_own_state_and_inputs_up_to_its_stage() -> None:
    graphdef, params = nnx.split(CRITIC.build(nnx.Rngs(0)))
    x, states = jax.random.normal(jax.random.key(0), (2, 6, 3))
    assert not nnx.merge(graphdef, params)(x, states).any()
    critic = nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf + 0.3, params))
    by_input, by_state = jax.jacobian(critic, (0, 1))(x, states)  # (6, 6, 3) each
    seen = np.abs(by_input).sum(-1) > 0
    np.testing.assert_array_equal(seen, np.tri(6, dtype=bool))
    np.testing.assert_array_equal(np.abs(by_state).sum(-1) > 0, np.eye(6, dtype=bool))

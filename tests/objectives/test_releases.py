"""Model-free learning: densities are those of the normal distribution, and PPO begins as REINFORCE."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data.control.hydro import Cascade, Inflows
from stagejax.models.policy import RecurrentCritic, RecurrentPolicy
from stagejax.objectives.control import releases

T, B, CASE, SPREAD = 4, 8, Cascade(head=0.2), 0.2
PATHS = {"inflow": jnp.asarray(Inflows(case=CASE, stages=T, batch=B).take(np.arange(B))["inflow"])}
GRAPHDEF, PARAMS = nnx.split(RecurrentPolicy(plants=2, hidden=(4,)).build(nnx.Rngs(0)))
CRITIC = RecurrentCritic(plants=2, stages=T, hidden=(4,)).build(nnx.Rngs(1))
OPTIONS: Any = {"case": CASE, "spread": SPREAD, "penalty": 1.0}
KEY = jax.random.key(0)
clipped = partial(releases.clipped_releases, case=CASE, spread=SPREAD)


@pytest.fixture(scope="module")
def drawn() -> Any:
    """What PPO reads of one draw, by its lambda; the critic is 0."""

    @partial(jax.jit, static_argnames="lam")
    def draw(lam: float) -> Any:
        models = {"policy": nnx.merge(GRAPHDEF, PARAMS), "value": CRITIC}
        return releases.drawn_for_ppo(models, PATHS, KEY, lam=lam, **OPTIONS)[0]

    return draw


def gradient(objective: Any, *inputs: Any) -> Any:
    return jax.jit(jax.grad(lambda p: objective(nnx.merge(GRAPHDEF, p), *inputs)[0]))(PARAMS)


@pytest.mark.slow
def test_with_ratio_one_lambda_one_and_no_critic_ppo_has_the_gradient_of_reinforce(drawn: Any) -> None:
    reinforce = gradient(partial(releases.release_policy_gradient, **OPTIONS), PATHS, KEY)
    ppo = gradient(clipped, drawn(1.0), None)
    for own, other in zip(jax.tree.leaves(ppo), jax.tree.leaves(reinforce), strict=True):
        assert float(jnp.abs(other).max()) > 1e-4
        np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_with_another_lambda_it_has_not(drawn: Any) -> None:
    one, other = drawn(1.0)["advantages"], drawn(0.5)["advantages"]
    np.testing.assert_allclose(one[:, -1], other[:, -1], atol=1e-5)  # behind the last stage nothing follows
    assert float(jnp.abs(one - other)[:, 0].max()) > 0.05
    for advantages in (one, other):
        np.testing.assert_allclose((advantages.mean(0), advantages.std(0)), [[0] * T, [1] * T], atol=1e-4)


def test_log_densities_are_those_of_the_normal_distribution_at_the_states_that_were_met(drawn: Any) -> None:
    found = drawn(1.0)
    model, system = nnx.merge(GRAPHDEF, PARAMS), CASE.system()
    for b in range(2):
        encodings = model.encode(found["inflow"][b] / system.mean_inflow)
        for t in range(T):
            mean = jax.nn.sigmoid(model.propose(encodings[t], found["before"][b, t] / system.volume_max))
            wanted = jax.scipy.stats.norm.logpdf(found["shares"][b, t], mean, SPREAD)
            own = jax.scipy.stats.norm.logpdf(mean, mean, SPREAD)
            assert float(found["logprobs"][b, t]) == pytest.approx(float((wanted - own).sum()), abs=1e-3)


def test_the_ratio_is_held_where_the_policy_has_moved_away(drawn: Any) -> None:
    loss = jax.jit(lambda p, batch: clipped(nnx.merge(GRAPHDEF, p), batch, None))
    found = drawn(1.0)
    same, moved = loss(PARAMS, found)[1], loss(jax.tree.map(lambda leaf: leaf + 0.3, PARAMS), found)[1]
    assert float(same["held"]) == 0
    assert float(same["moved"]) == pytest.approx(0, abs=1e-6)
    assert 0 < float(moved["held"]) < 1
    assert float(moved["moved"]) > 0


def test_a_draw_is_feasible_and_its_share_of_clipped_volumes_is_one() -> None:
    system = CASE.system()
    run = jax.jit(jax.vmap(partial(releases.drawn_releases, nnx.merge(GRAPHDEF, PARAMS), system, 3.0)))
    found = run(PATHS["inflow"], jax.random.normal(KEY, PATHS["inflow"].shape))
    assert bool((found.after >= 0).all())
    assert bool((found.after <= system.volume_max + 1e-5).all())
    assert 0 < float(found.clipped.max()) <= 1
    np.testing.assert_array_equal(found.before[:, 1:], found.after[:, :-1])


def test_the_critic_learns_what_is_still_to_be_paid(drawn: Any) -> None:
    found = drawn(0.5)
    np.testing.assert_allclose(found["values"], 0.0)
    graphdef, params = nnx.split(CRITIC)
    step = jax.jit(
        jax.value_and_grad(
            lambda p: releases.clipped_costs(nnx.merge(graphdef, p), found, None, case=CASE), has_aux=True
        )
    )
    explained = []
    for _ in range(20):
        (_, metrics), grads = step(params)
        explained.append(float(metrics["explained"]))
        params = jax.tree.map(lambda p, g: p - 1.0 * g, params, grads)
    assert explained[0] == pytest.approx(0, abs=1e-5)
    assert explained[-1] > explained[0]

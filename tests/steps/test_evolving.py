"""A generation as a step of a stage: what it evaluates, what it hands on, and replicas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data.prompts.answers import MadeRows
from stagejax.inference.tasks.pair_vectors import pair_rows
from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.population import Population
from stagejax.objectives.focal import detection
from stagejax.program import build, init_keys, step_keys
from stagejax.search.generations import ClusteringEvolution, Method, ParticleSwarm
from stagejax.stage import Stage
from stagejax.steps.evolving import flat, population_search

RANDOM = np.random.default_rng(0)
ROWS = {
    "vectors": RANDOM.normal(size=(6, 2, 5, 4)).astype(np.float16),
    "length": np.array([[5, 3]] * 6, np.int32),
    "label": np.array([0, 1] * 3, np.int32),
}
DATA = MadeRows(rows=pair_rows(5, 4), of="rows", arrays=ROWS, batch=6)


@dataclass(frozen=True)
class Means:
    """A network on the means of two texts' vectors: the least that can be searched."""

    def sizes(self) -> dict[str, int]:
        return {"both": 8, "mlp": 3, "score": 1}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return built(Scorer, self, rngs.params())


class Scorer(nnx.Module):
    def __init__(self, config: Means, rngs: nnx.Rngs) -> None:
        self.hide = Dense({"both": 8}, {"mlp": 3}, std=8**-0.5, bias=True, rngs=rngs)
        self.score = Dense({"mlp": 3}, {"score": 1}, std=3**-0.5, bias=True, rngs=rngs)

    def __call__(self, batch: Any, key: Any = None) -> jax.Array:
        means = batch["vectors"].astype(jnp.float32).mean(2).reshape(len(batch["label"]), -1)
        return self.score(jax.nn.relu(self.hide(means)))[:, 0]


NET = Means()
LOSS = partial(detection, alpha=0.3)


def stage(method: Method, **fields: Any) -> Stage:
    return population_search("a", NET, method, LOSS, DATA, members=5, evaluations=15, **fields)


def stepped(stage: Stage, steps: int) -> Any:
    program = build(stage, None)
    state, step = program.init(init_keys(stage, 0)), jax.jit(program.step)
    with stage.data.batches(None) as batches:
        for _ in range(steps):
            batch = {name: jnp.asarray(x) for name, x in next(batches).items()}
            state, metrics = step(state, batch, step_keys(stage, 0), jax.tree.map(jnp.float32, program.schedule))
    return program, state, metrics


@pytest.mark.slow
def test_fitness_is_the_objective_of_each_member_and_the_net_is_the_best() -> None:
    method = ClusteringEvolution(candidates=2)
    program, state, metrics = stepped(stage(method), 3)
    members, restore = flat(state["population"].params["members"])
    assert members.shape == (5, sum(leaf.size for leaf in jax.tree.leaves(program.parts["net"].params)))
    graphdef, batch = program.parts["net"].graphdef, {name: jnp.asarray(x) for name, x in ROWS.items()}
    losses = [LOSS(nnx.merge(graphdef, restore(member), {}), batch, None)[0] for member in members]
    fitness = state["population"].rest["fitness"]
    np.testing.assert_allclose(fitness, np.array(losses), rtol=1e-4)
    assert float(metrics["loss"]) == float(fitness.min())
    assert jnp.array_equal(flat(jax.tree.map(lambda x: x[None], state["net"].params))[0][0], members[fitness.argmin()])
    assert int(state["net"].step) == int(state["population"].step) == 3


@pytest.mark.slow
def test_members_begin_as_networks_usually_do() -> None:
    """They are draws of their own, not points of a box about one of them."""
    program = build(stage(ParticleSwarm()), None)
    members = program.init(init_keys(program.stage, 0))["population"].params["members"]
    kernel = np.asarray(members["hide"]["kernel"])
    assert kernel.std() == pytest.approx(8**-0.5, rel=0.25)
    assert all(np.abs(np.corrcoef(kernel.reshape(5, -1))[0, 1:]) < 0.7)
    assert not np.asarray(members["hide"]["bias"]).any()


@pytest.mark.slow
def test_a_replica_ends_as_it_would_alone() -> None:
    method = ParticleSwarm()
    _, together, _ = stepped(stage(method, seeds=2), 2)
    _, alone, _ = stepped(stage(method, seed=1), 2)
    for own, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(own[1], other, rtol=1e-4, atol=1e-6)


def test_another_memory_than_the_methods_is_refused() -> None:
    wrong = replace(stage(ParticleSwarm()), model={"net": NET, "population": Population(NET, 5)})
    with pytest.raises(ValueError, match="give Population"):
        stepped(wrong, 1)

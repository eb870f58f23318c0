"""A population search as a stage: a step is a generation, all of whose members are evaluated in one program."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.flatten_util import ravel_pytree

from stagejax.models.population import Population
from stagejax.search.generations import Generation, Method
from stagejax.stage import Batch, Metrics, Part, Stage
from stagejax.state import TrainState


@dataclass(frozen=True)
class Evolving:
    """The step of a stage with the models `net` and `population`, a `Population` of that net, and no optimizer: the
    method makes the next generation, where fitness is the stage's objective on the batch, and `net` is the best member.

    Give it a batch that is always the same, or fitness is not comparable from one generation to the next. The next
    stage starts from `result.member("net")`. Metrics: `loss`, the least fitness, `mean_fitness`, and `spread`, the root
    mean square distance of members to their centre.

    Raises:
      ValueError: the stage's population has another memory than the method.

    >>> # search = population_search("search", net, method, objective, sample, members=24, evaluations=720)
    >>> # found = run.train(search)
    >>> # run.train(Stage("tuned", net, objective, adam(1e-3), data, steps=500), found.member("net"))
    """

    method: Method

    def __call__(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
    ) -> tuple[dict[str, TrainState], Metrics]:
        part, own = parts["net"], states["population"]
        if set(own.rest.get("memory", {})) != set(self.method.memory):
            raise ValueError(
                f"{type(self.method).__name__} remembers {self.method.memory}, but the population has "
                f"memory={tuple(own.rest.get('memory', {}))}: give Population(..., memory=method.memory)"
            )
        members, restore = flat(own.params["members"])

        def fitness(vector: jax.Array) -> jax.Array:
            model = nnx.merge(part.graphdef, restore(vector), states["net"].rest)
            return part.objective(model, batch, None)[0]

        def draw(key: jax.Array) -> jax.Array:
            fresh = lambda key: ravel_pytree(drawn(part.config, key))[0]  # noqa: E731
            return jax.lax.map(fresh, jax.random.split(key, len(members)))

        old = Generation(members, own.rest["fitness"], own.rest.get("memory", {}))
        new = self.method(jax.random.fold_in(key, own.step), old, jax.vmap(fitness), draw)
        memory = {"memory": new.memory} if "memory" in own.rest else {}
        best = restore(new.members[new.fitness.argmin()])
        after = {
            "net": replace(states["net"], step=own.step + 1, params=best),
            "population": replace(
                own,
                step=own.step + 1,
                params={"members": jax.vmap(restore)(new.members)},
                rest={"fitness": new.fitness, **memory},
            ),
        }
        gap = new.members - new.members.mean(0)
        spread = jnp.sqrt(jnp.mean(jnp.sum(gap * gap, -1)))
        return after, {"loss": new.fitness.min(), "mean_fitness": new.fitness.mean(), "spread": spread}


def population_search(
    name: str, net: Any, method: Method, objective: Any, data: Any, *, members: int, evaluations: int, **fields: Any
) -> Stage:
    """A stage of `Evolving`, of about as many evaluations of networks, those of the first members among them.

    Args:
      net: the config of the networks.
      data: batches that are always the same.
      fields: others of the stage, such as `evaluate`; that has an objective of both models.

    >>> from stagejax.data.prompts.answers import MadeRows
    >>> from stagejax.inference.tasks.pair_vectors import pair_rows
    >>> from stagejax.models.text.pair_matcher import PairMatcher
    >>> from stagejax.objectives.focal import detection
    >>> from stagejax.search.generations import ClusteringEvolution
    >>> net, data = PairMatcher(8, 4, 4, 4), MadeRows(rows=pair_rows(5, 8), of="", arrays=None, batch=96)
    >>> population_search("search", net, ClusteringEvolution(6), detection, data, members=24, evaluations=360).steps
    12
    """
    models = {"net": net, "population": Population(net, members, method.memory)}
    steps = round(evaluations / method.evaluated(members))
    return Stage(name, models, objective, None, data, steps=steps, step=Evolving(method), **fields)


def flat(members: Any) -> tuple[jax.Array, Any]:
    """The parameters of stacked networks as one vector each (N, D), and the way back of a single vector."""
    restore = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], members))[1]
    return jax.vmap(lambda own: ravel_pytree(own)[0])(members), restore


def drawn(config: Any, key: jax.Array) -> Any:
    """The parameters of a fresh network."""
    return nnx.to_pure_dict(nnx.state(config.build(nnx.Rngs(key)), nnx.Param))

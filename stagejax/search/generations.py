"""Searches over vectors without gradients, a generation at a time: differential evolution, with and without a mutation
from clusters, particle swarms, and draws afresh. Less fitness is better."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.search.clusters import best_of_best_cluster, k_means


class Generation(NamedTuple):
    """A population: its members, their fitness (infinite while unknown), and what the search remembers."""

    members: Float[Array, "N D"]
    fitness: Float[Array, " N"]
    memory: dict[str, Float[Array, "N D"]]

    def first(self, trials_ND: Array) -> Array:
        """The trials, or members themselves as long as their fitness is unknown."""
        return jnp.where(jnp.isinf(self.fitness)[:, None], self.members, trials_ND)

    def selected(self, trials_ND: Array, found_N: Array) -> Generation:
        """Greedy selection: each member or its trial, whichever is fitter, the trial where both are the same."""
        better_N = found_N <= self.fitness
        members = jnp.where(better_N[:, None], trials_ND, self.members)
        return self._replace(members=members, fitness=jnp.where(better_N, found_N, self.fitness))


#: Vectors (M, D) -> their fitness (M,).
Evaluate = Callable[[Array], Array]
#: A key -> new vectors (N, D), as networks are usually initialised.
Draw = Callable[[Array], Array]


@runtime_checkable
class Method(Protocol):
    """A search. A first generation, whose fitness is unknown, costs as much as any other: it is evaluated as it is."""

    @property
    def memory(self) -> tuple[str, ...]:
        """Names of what it remembers of each member."""
        ...

    def evaluated(self, size: int) -> int:
        """How many vectors it evaluates in a generation of `size` members."""
        ...

    def __call__(self, key: Array, old: Generation, evaluate: Evaluate, draw: Draw) -> Generation:
        """The next generation."""
        ...


@dataclass(frozen=True)
class DifferentialEvolution:
    """v_i = x_r1 + F (x_r2 - x_r3) of three other members; u_ij = v_ij where a draw is below CR and at one place in any
    case, else x_ij; u_i takes the place of x_i unless it is worse (rand/1/bin).

    Reference: Storn and Price 1997, Journal of Global Optimization 11, 341-359.

    Raises:
      ValueError: there are fewer than 4 members; when it is called.

    >>> sphere = lambda x: (x**2).sum(-1)
    >>> start = Generation(jax.random.normal(jax.random.key(0), (16, 3)), jnp.full(16, jnp.inf), {})
    >>> bool(after(DifferentialEvolution(), start, sphere, generations=40).fitness.min() < 1e-3)
    True
    """

    scale: float = 0.5  # F
    crossover: float = 0.9  # CR
    memory = ()

    def evaluated(self, size: int) -> int:
        return size

    def __call__(self, key: Array, old: Generation, evaluate: Evaluate, draw: Draw) -> Generation:
        trials = old.first(self.trials(key, old.members))
        return old.selected(trials, evaluate(trials))

    def trials(self, key: Array, x_ND: Float[Array, "N D"]) -> Float[Array, "N D"]:
        """u, one for each member."""
        others, cross, sure = jax.random.split(key, 3)
        r_N3 = distinct_others(others, len(x_ND))
        v_ND = x_ND[r_N3[:, 0]] + self.scale * (x_ND[r_N3[:, 1]] - x_ND[r_N3[:, 2]])
        taken_ND = jax.random.uniform(cross, x_ND.shape) < self.crossover
        sure_N = jax.random.randint(sure, len(x_ND), 0, x_ND.shape[1])
        return jnp.where(taken_ND | (jnp.arange(x_ND.shape[1]) == sure_N[:, None]), v_ND, x_ND)


def distinct_others(key: Array, size: int) -> Int[Array, "N 3"]:
    """Three different members for each member, none of which it is.

    Raises:
      ValueError: there are fewer than 4 members.
    """
    if size < 4:
        raise ValueError(f"{size} members: it takes 4, each of which is mutated by three others")
    drawn = jax.vmap(lambda key: jax.random.permutation(key, size - 1)[:3])(jax.random.split(key, size))
    return drawn + (drawn >= jnp.arange(size)[:, None])


@dataclass(frozen=True)
class ClusteringEvolution:
    """Differential evolution, and after each generation a mutation from clusters: k-means with k of 2 to
    floor(sqrt N), the cluster of the least mean fitness, `win` its best member, and M candidates
    win + F (x_r1 - x_r2). Of M members at random and the candidates the best M are kept in these members' places.

    Reference: Moravvej et al. 2023, https://arxiv.org/abs/2305.02374; the operator after Mousavirad and Ebrahimpour-
    Komleh 2017, Human mental search, Applied Intelligence 47, 850-887.

    Raises:
      ValueError: there are fewer members than candidates, or too few for two clusters; when it is called.
    """

    candidates: int = 6  # M
    base: DifferentialEvolution = DifferentialEvolution()
    scale: float = 0.5  # F of the candidates
    rounds: int = 10  # of k-means
    memory = ()

    def evaluated(self, size: int) -> int:
        return self.base.evaluated(size) + self.candidates

    def __call__(self, key: Array, old: Generation, evaluate: Evaluate, draw: Draw) -> Generation:
        if not 4 <= len(old.members) >= self.candidates:
            raise ValueError(
                f"{len(old.members)} members: it takes 4 for two clusters, and as many as candidates={self.candidates}"
            )
        evolve, mutate, choose = jax.random.split(key, 3)
        new = self.base(evolve, old, evaluate, draw)
        candidates = self.mutants(mutate, new)
        return self.updated(choose, new, candidates, evaluate(candidates))

    def mutants(self, key: Array, own: Generation) -> Float[Array, "M D"]:
        """Candidates around the best member of the best cluster."""
        clusters, number, pairs = jax.random.split(key, 3)
        most = math.isqrt(len(own.members))
        k = jax.random.randint(number, (), 2, most + 1)
        labels_N = k_means(clusters, own.members, k, most=most, rounds=self.rounds)
        win = own.members[best_of_best_cluster(labels_N, own.fitness, most)]
        pick = lambda key: jax.random.permutation(key, len(own.members))[:2]  # noqa: E731
        r_M2 = jax.vmap(pick)(jax.random.split(pairs, self.candidates))
        return win + self.scale * (own.members[r_M2[:, 0]] - own.members[r_M2[:, 1]])

    def updated(self, key: Array, own: Generation, candidates_MD: Array, found_M: Array) -> Generation:
        """The best M of M random members and the candidates, in the places of these members."""
        places_M = jax.random.permutation(key, len(own.members))[: self.candidates]
        rivals = jnp.concatenate([own.members[places_M], candidates_MD])
        fitness = jnp.concatenate([own.fitness[places_M], found_M])
        kept_M = jnp.argsort(fitness)[: self.candidates]
        members = own.members.at[places_M].set(rivals[kept_M])
        return own._replace(members=members, fitness=own.fitness.at[places_M].set(fitness[kept_M]))


@dataclass(frozen=True)
class ParticleSwarm:
    """v <- w v + c r1 (own best - x) + c r2 (best of all - x), x <- x + v. The members are each particle's best.

    Reference: Kennedy and Eberhart 1995; the constants of Clerc and Kennedy 2002, IEEE Transactions on Evolutionary
    Computation 6, 58-73.
    """

    inertia: float = 0.7298  # w
    pull: float = 1.49618  # c
    memory = ("position", "velocity")

    def evaluated(self, size: int) -> int:
        return size

    def __call__(self, key: Array, old: Generation, evaluate: Evaluate, draw: Draw) -> Generation:
        shape, (own, common) = old.members.shape, jax.random.split(key)
        x, best = old.first(old.memory["position"]), old.members[old.fitness.argmin()]
        v = jnp.where(jnp.isinf(old.fitness)[:, None], 0, old.memory["velocity"])
        pulls = jax.random.uniform(own, shape) * (old.members - x) + jax.random.uniform(common, shape) * (best - x)
        v = self.inertia * v + self.pull * pulls
        x, v = old.first(x + v), jnp.where(jnp.isinf(old.fitness)[:, None], 0, v)
        return old.selected(x, evaluate(x))._replace(memory={"position": x, "velocity": v})


@dataclass(frozen=True)
class DrawnAfresh:
    """Each member or a new draw in its place, whichever is fitter: the best of all draws is among them."""

    memory = ()

    def evaluated(self, size: int) -> int:
        return size

    def __call__(self, key: Array, old: Generation, evaluate: Evaluate, draw: Draw) -> Generation:
        trials = old.first(draw(key))
        return old.selected(trials, evaluate(trials))


def after(method: Method, start: Generation, evaluate: Evaluate, *, generations: int, seed: int = 0) -> Generation:
    """The population after some generations; draws afresh are standard normal."""
    draw = lambda key: jax.random.normal(key, start.members.shape)  # noqa: E731
    keys = jax.random.split(jax.random.key(seed), generations)
    return jax.lax.scan(lambda own, key: (method(key, own, evaluate, draw), None), start, keys)[0]

"""Searches by generations: their formulas, what they evaluate, and that the best is never lost."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.search.clusters import best_of_best_cluster, k_means
from stagejax.search.generations import (
    ClusteringEvolution,
    DifferentialEvolution,
    DrawnAfresh,
    Generation,
    Method,
    ParticleSwarm,
    after,
    distinct_others,
)

N, D = 8, 3
METHODS: tuple[Method, ...] = (
    DifferentialEvolution(),
    ClusteringEvolution(candidates=3),
    ParticleSwarm(),
    DrawnAfresh(),
)


def population(method: Method, seed: int = 0, known: bool = False) -> Generation:
    members = jax.random.normal(jax.random.key(seed), (N, D))
    fitness = sphere(members) if known else jnp.full(N, jnp.inf)
    return Generation(members, fitness, {name: jnp.zeros((N, D)) for name in method.memory})


def sphere(x: Any) -> Any:
    return (x**2).sum(-1)


def draw(key: Any) -> Any:
    return jax.random.normal(key, (N, D))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_the_first_generation_is_evaluated_as_it_is_and_the_best_is_never_lost(method: Method) -> None:
    old, sizes, best = population(method), [], np.inf

    def counted(x: Any) -> Any:
        sizes.append(len(x))
        return sphere(x)

    for number in range(3):
        sizes.clear()
        new = method(jax.random.key(number), old, counted, draw)
        assert sum(sizes) == method.evaluated(N)
        assert jnp.allclose(new.fitness, sphere(new.members))  # what is said of a member is true of it
        if number == 0 and not isinstance(method, ClusteringEvolution):
            assert jnp.array_equal(new.members, old.members)
        assert float(new.fitness.min()) <= best
        old, best = new, float(new.fitness.min())


def test_others_are_different_and_never_the_member_itself() -> None:
    for seed in range(20):
        r = np.asarray(distinct_others(jax.random.key(seed), 5))
        assert all(len({i, *row}) == 4 for i, row in enumerate(r.tolist()))
        assert r.max() < 5


@pytest.mark.slow
def test_mutation_and_crossover_are_rand_1_bin() -> None:
    x, key = draw(jax.random.key(1)), jax.random.key(2)
    r = np.asarray(distinct_others(jax.random.split(key, 3)[0], N))
    v = x[r[:, 0]] + 0.7 * (x[r[:, 1]] - x[r[:, 2]])
    assert jnp.allclose(DifferentialEvolution(0.7, 1.0).trials(key, x), v)
    none = DifferentialEvolution(0.7, 0.0).trials(key, x)  # one place in any case
    assert ((none != x).sum(1) == 1).all()
    assert jnp.allclose(none, jnp.where(none != x, v, x))


def test_a_trial_that_is_as_fit_takes_the_place() -> None:
    old = Generation(jnp.zeros((2, 1)), jnp.array([1.0, 1.0]), {})
    assert old.selected(jnp.ones((2, 1)), jnp.array([1.0, 2.0])).members.tolist() == [[1.0], [0.0]]


@pytest.mark.slow
def test_candidates_are_around_the_best_of_the_best_cluster_and_not_around_the_best() -> None:
    """Two clusters far apart: the one whose mean is better does not hold the member that is best of all."""
    members = jnp.concatenate([draw(jax.random.key(3))[:4] * 0.01, 100 + draw(jax.random.key(4))[:4] * 0.01])
    fitness = jnp.array([0.0, 9.0, 9.0, 9.0, 3.0, 2.0, 3.0, 3.0])
    method = ClusteringEvolution(candidates=6)  # floor(sqrt(8)) = 2 clusters
    made = method.mutants(jax.random.key(0), Generation(members, fitness, {}))
    gaps = [members[a] - members[b] for a, b in itertools.permutations(range(N), 2)]
    every = jnp.stack([members[5] + 0.5 * gap for gap in gaps])
    assert made.shape == (6, D)
    assert all(jnp.abs(every - one).max(1).min() < 1e-4 for one in made)


@pytest.mark.slow
def test_the_best_of_some_members_and_the_candidates_stay() -> None:
    own, method = population(METHODS[1], known=True), ClusteringEvolution(candidates=3)
    candidates = jnp.array([[0.0] * D, [50.0] * D, [0.1] * D])
    new = method.updated(jax.random.key(5), own, candidates, sphere(candidates))
    changed = np.flatnonzero((new.members != own.members).any(1))
    assert 2 <= len(changed) <= 3
    assert float(new.fitness.min()) == 0.0
    assert float(new.fitness.max()) <= float(own.fitness.max())
    places = np.asarray(jax.random.permutation(jax.random.key(5), N)[:3])
    rivals = np.concatenate([own.fitness[places], sphere(candidates)])
    assert sorted(new.fitness[places].tolist()) == pytest.approx(sorted(rivals)[:3])
    assert set(changed) <= set(places.tolist())


def test_too_few_members_are_refused() -> None:
    with pytest.raises(ValueError, match="3 members: it takes 4"):
        DifferentialEvolution().trials(jax.random.key(0), jnp.zeros((3, D)))
    for size, candidates in ((3, 2), (6, 7)):
        own = Generation(jnp.zeros((size, D)), jnp.zeros(size), {})
        with pytest.raises(ValueError, match="as many as candidates"):
            ClusteringEvolution(candidates)(jax.random.key(0), own, sphere, draw)


@pytest.mark.slow
def test_particles_follow_the_formula() -> None:
    method = ParticleSwarm()
    first = method(jax.random.key(0), population(method), sphere, draw)
    assert jnp.array_equal(first.memory["position"], first.members)
    assert not first.memory["velocity"].any()
    key = jax.random.key(1)
    second = method(key, first, sphere, draw)
    best = first.members[first.fitness.argmin()]
    common = jax.random.uniform(jax.random.split(key)[1], (N, D))
    assert jnp.allclose(second.memory["velocity"], method.pull * common * (best - first.members), atol=1e-6)
    assert jnp.allclose(second.memory["position"], first.members + second.memory["velocity"])


@pytest.mark.slow
def test_with_clusters_evolution_comes_near_to_a_minimum() -> None:
    members = 2 + jax.random.normal(jax.random.key(0), (24, D))
    start = Generation(members, jnp.full(24, jnp.inf), {})
    assert float(after(METHODS[1], start, sphere, generations=40).fitness.min()) < 0.05


def test_k_means_is_lloyds_and_k_may_be_traced() -> None:
    points, key = np.asarray(jax.random.normal(jax.random.key(0), (30, 2))), jax.random.key(1)
    for k in (2, 4):
        found = np.asarray(jax.jit(lambda k: k_means(key, jnp.asarray(points), k, most=5, rounds=7))(jnp.int32(k)))
        centres = points[np.asarray(jax.random.permutation(key, 30))[:5]][:k]
        for _ in range(7):
            own = ((points[:, None] - centres) ** 2).sum(-1).argmin(1)
            centres = np.stack([points[own == c].mean(0) if (own == c).any() else centres[c] for c in range(k)])
        assert np.array_equal(found, ((points[:, None] - centres) ** 2).sum(-1).argmin(1))


def test_an_empty_cluster_does_not_win() -> None:
    assert int(best_of_best_cluster(jnp.array([1, 1, 3]), jnp.array([5.0, 4.0, 6.0]), 4)) == 1

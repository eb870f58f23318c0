"""Fitting one model to each instance; and that DVT's three parts come apart where they are known."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from stagejax.data.pictures.views import centres, random_views
from stagejax.models.vision.neural_field import NeuralField
from stagejax.models.vision.separation import Separation
from stagejax.objectives.pictures.features import cosine, shared_parts, with_residual
from stagejax.steps.instances import Phase, fit_instance

GRID, D = 4, 6
CONFIG = Separation(NeuralField((4, 8), channels=2, hidden=16, features=D), places=GRID**2)
TX = optax.scale_by_adam(0.9, 0.99, 1e-15)
JOINED = ("semantics", "residual")


def known(key: jax.Array, views: int = 64, rest: float = 0.0) -> tuple[dict[str, jax.Array], jax.Array]:
    """Features of views that are a smooth function of the point, plus one of the place, plus noise; and the second."""
    keys = jax.random.split(key, 4)
    points = centres(random_views(keys[0], views), GRID)
    waves = jax.random.normal(keys[1], (2, D)) * 3
    artifact = jax.random.normal(keys[2], (GRID**2, D))
    y = 2 * jnp.sin(points @ waves) + artifact
    y = y + rest * jax.random.normal(keys[3], y.shape)
    places = jnp.broadcast_to(jnp.arange(GRID**2), y.shape[:2])
    return {"features": y.reshape(-1, D), "points": points.reshape(-1, 2), "places": places.ravel()}, artifact


def drawn(data: dict[str, jax.Array], key: jax.Array) -> dict[str, jax.Array]:
    rows = jax.random.randint(key, (128,), 0, len(data["features"]))
    return {name: array[rows] for name, array in data.items()}


def fitted(data: dict[str, jax.Array], key: jax.Array, phases: tuple[Phase, ...], rate: float = 2e-2) -> Any:
    return fit_instance(CONFIG, phases, TX, lambda step: jnp.float32(rate), partial(drawn, data), key)


@pytest.mark.slow
def test_known_semantics_and_a_known_artifact_come_apart() -> None:
    """Up to the constant that can be moved from one to the other."""
    data, artifact = known(jax.random.key(0))
    model, losses = jax.jit(lambda key: fitted(data, key, (Phase(shared_parts, 500, ("semantics", "artifact")),)))(
        jax.random.key(1)
    )
    found, true = (x - x.mean(0) for x in (model.artifact[...], artifact))
    assert float(cosine(found, true).min()) > 0.97
    assert float(jnp.square(found - true).mean() / jnp.square(true).mean()) < 0.03
    semantics = data["features"] - artifact[data["places"]]
    said = model.semantics(data["points"])
    left = (said - said.mean(0)) - (semantics - semantics.mean(0))
    assert float(jnp.square(left).mean() / semantics.var(0).mean()) < 0.05
    assert float(losses[-1]) < 0.05 * float(losses[0])


@pytest.mark.slow
def test_a_field_of_places_in_the_view_would_take_the_artifact() -> None:
    """The control: F that is told the place instead of the point explains what belongs to G."""
    data, artifact = known(jax.random.key(0))
    grid = (jnp.stack(jnp.meshgrid(*[jnp.arange(GRID)] * 2, indexing="ij"), -1).reshape(-1, 2) + 0.5) / GRID
    wrong = data | {"points": grid[data["places"]]}
    phases = (Phase(shared_parts, 300, ("semantics", "artifact")),)
    model, _ = jax.jit(lambda key: fitted(wrong, key, phases))(jax.random.key(1))
    said, true = (x - x.mean(0) for x in (model.semantics(grid), artifact))
    assert float((said * true).sum() / jnp.square(true).sum()) > 0.3


@pytest.mark.slow
def test_many_at_once_are_as_each_alone() -> None:
    phases = (Phase(shared_parts, 6, ("semantics", "artifact")), Phase(with_residual, 6, JOINED))
    data = jax.tree.map(lambda *x: jnp.stack(x), *(known(jax.random.key(i), 8)[0] for i in range(3)))
    keys = jax.random.split(jax.random.key(5), 3)
    one = jax.jit(lambda own, key: nnx.to_pure_dict(nnx.state(fitted(own, key, phases)[0], nnx.Param)))
    together = jax.jit(jax.vmap(one))(data, keys)
    for i in range(3):
        alone = one(jax.tree.map(lambda x, i=i: x[i], data), keys[i])
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a, b[i], atol=2e-4), alone, together)


@pytest.mark.slow
def test_what_a_phase_does_not_train_stays_exactly() -> None:
    data, _ = known(jax.random.key(0), 8)
    key = jax.random.key(2)
    shared = Phase(shared_parts, 5, ("semantics", "artifact"))
    first, _ = fitted(data, key, (shared,))
    fresh = CONFIG.build(nnx.Rngs(params=jax.random.split(key)[0]))
    np.testing.assert_array_equal(first.residual.up.kernel[...], fresh.residual.up.kernel[...])
    both, _ = fitted(data, key, (shared, Phase(with_residual, 5, JOINED)))
    np.testing.assert_array_equal(both.artifact[...], first.artifact[...])
    assert float(jnp.abs(both.residual.up.kernel[...] - fresh.residual.up.kernel[...]).max()) > 1e-3
    assert float(jnp.abs(both.semantics.down.kernel[...] - first.semantics.down.kernel[...]).max()) > 1e-3


@pytest.mark.slow
def test_the_residual_takes_only_what_is_left() -> None:
    """Gradients: the distance does not reach h, h's own terms do not reach F and G."""
    data, _ = known(jax.random.key(0), 8)
    graphdef, params = nnx.split(CONFIG.build(nnx.Rngs(0)))

    def gradient(**weights: float) -> Any:
        loss = lambda p: with_residual(nnx.merge(graphdef, p), data, **weights)  # noqa: E731
        return nnx.to_pure_dict(jax.jit(jax.grad(loss))(params))

    alone, own = gradient(fit=0.0, sparse=0.0), gradient(fit=0.3, sparse=0.1)
    assert all(float(jnp.abs(x).max()) == 0 for x in jax.tree.leaves(alone["residual"]))
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(own["residual"])) > 0
    for part in ("semantics", "artifact"):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), alone[part], own[part])


def test_a_phase_trains_what_there_is() -> None:
    data, _ = known(jax.random.key(0), 8)
    with pytest.raises(ValueError, match="noise"):
        fitted(data, jax.random.key(0), (Phase(shared_parts, 2, ("semantics", "noise")),))

"""Kernels as singular values and vectors: exact at first, exact across draws, trained by the published gradients."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models import gpt
from stagejax.transforms import Reparameterized, Spectral, merged
from stagejax.transforms.spectral import (
    compose,
    multinomial,
    probabilities,
    redecompose,
    resample,
    retract,
    sequential,
    top,
    uniform,
)

BASE = gpt(layers=2, embed=8, heads=2, mlp=12, vocab=20, length=6)
FORM = Spectral(rank=3)


def build(config: Any) -> tuple[Any, Any, Any]:
    """Graph definition, parameters and other variables; drawn by one program."""

    def values() -> tuple[Any, Any]:
        _, *states = nnx.split(config.build(nnx.Rngs(0)), nnx.Param, ...)
        return tuple(map(nnx.to_pure_dict, states))

    return nnx.graphdef(nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))), *jax.jit(values)()


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any, Any]:
    return build(Reparameterized(BASE, FORM))


@pytest.fixture(scope="module")
def moved(parts: Any) -> tuple[Any, Any]:
    """Factors as training leaves them: active directions away from the store, which is no longer orthogonal."""
    _, params, rest = parts
    key = jax.random.key(7)
    return jax.tree.map(lambda x: x + 0.1 * jax.random.normal(key, x.shape), params), rest


def kernels(params: Any, rest: Any) -> dict[str, np.ndarray]:
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(jax.jit(partial(merged, FORM))(params, rest))
        if "kernel" in jax.tree_util.keystr(path)
    }


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], **tolerance: float) -> None:
    assert len(one) == len(other) == 6
    for path, kernel in one.items():
        np.testing.assert_allclose(kernel, other[path], **tolerance, err_msg=path)


@pytest.mark.slow
def test_the_first_kernels_are_those_of_the_base(parts: Any) -> None:
    _, params, rest = parts
    base = build(BASE)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), jax.jit(partial(merged, FORM))(params, rest), base[1]
    )

    def logits(model: Any) -> Any:
        return jax.jit(lambda params, rest: nnx.merge(model[0], params, rest)(jnp.arange(6)[None]))(*model[1:])

    np.testing.assert_allclose(logits(parts), logits(base), atol=1e-5)


@pytest.mark.slow
def test_factors_name_their_axes(parts: Any) -> None:
    query = axes_of(nnx.merge(*parts))["blocks"]["attention"]["query"]["kernel"]
    assert {name: str(named) for name, named in query.items()} == {
        "left": "#layers <embed >spectrum",
        "values": "#layers *spectrum",
        "right": "#layers <spectrum >kv_heads >q_per_kv >head_dim",
        "active_left": "#layers <embed >active",
        "active_right": "#layers <active >kv_heads >q_per_kv >head_dim",
    }
    assert all(is_axes(named) for named in query.values())


@pytest.mark.slow
@pytest.mark.parametrize("enhanced", [True, False])
def test_gradients_of_active_directions_lack_the_singular_value(enhanced: bool) -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    left, right = jax.random.normal(keys[0], (5, 4)), jax.random.normal(keys[1], (4, 6))
    values, active = jnp.array([3.0, 2.0, 0.5, 0.1]), jnp.array([3, 1])
    goal = jax.random.normal(keys[2], (5, 6))
    chosen = left[:, active] + 1, right[active] - 1

    def loss(make: Any, *trained: Any) -> jax.Array:
        return jnp.sum((make(*trained) - goal) ** 2)

    def plain(values: Any, active_left: Any, active_right: Any) -> jax.Array:
        own_left, own_right = left.at[:, active].set(active_left), right.at[active].set(active_right)
        return jnp.einsum("im,m,mo->io", own_left, values, own_right)

    def composed(values: Any, active_left: Any, active_right: Any) -> jax.Array:
        return compose(enhanced, left, values, right, active_left, active_right, active)

    expected = jax.grad(lambda *t: loss(plain, *t), (0, 1, 2))(values, *chosen)
    found = jax.grad(lambda *t: loss(composed, *t), (0, 1, 2))(values, *chosen)
    np.testing.assert_allclose(composed(values, *chosen), plain(values, *chosen), rtol=1e-5)
    scale = values[active] if enhanced else jnp.ones(2)
    for own, true, by in zip(found, expected, (1, scale, scale[:, None]), strict=True):
        np.testing.assert_allclose(own, true / by, rtol=1e-4)


@pytest.mark.slow
def test_another_draw_leaves_the_function_to_the_bit(moved: Any) -> None:
    params, rest = jax.jit(lambda p, r: resample(FORM, p, r, jax.random.key(1), 0, multinomial))(*moved)
    same(kernels(*moved), kernels(params, rest), rtol=0)
    up = params["blocks"]["mlp"]["up"]["kernel"]
    active = np.asarray(rest["blocks"]["mlp"]["up"]["kernel"]["active"])
    assert active.shape == (2, 3)
    assert all(len(set(row)) == 3 for row in active.tolist())
    for layer in range(2):
        np.testing.assert_array_equal(up["active_left"][layer], up["left"][layer][:, active[layer]])
        np.testing.assert_array_equal(up["active_right"][layer], up["right"][layer][active[layer]])


def test_a_new_decomposition_is_orthogonal_sorted_and_the_same_function(moved: Any) -> None:
    params, rest = jax.jit(partial(redecompose, FORM))(*moved)
    same(kernels(*moved), kernels(params, rest), atol=2e-5)
    down = params["blocks"]["mlp"]["down"]["kernel"]
    for layer in range(2):
        np.testing.assert_allclose(down["left"][layer].T @ down["left"][layer], np.eye(8), atol=1e-5)
        np.testing.assert_allclose(down["right"][layer] @ down["right"][layer].T, np.eye(8), atol=1e-5)
    assert np.all(np.diff(down["values"]) <= 0)


def test_retraction_makes_unit_directions_and_values_of_at_least_zero(moved: Any) -> None:
    params = moved[0] | {"blocks": jax.tree.map(jnp.negative, moved[0]["blocks"])}
    query = jax.jit(partial(retract, FORM))(params)["blocks"]["attention"]["query"]["kernel"]
    np.testing.assert_allclose(jnp.linalg.norm(query["active_left"], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(jnp.sqrt((query["active_right"] ** 2).sum((2, 3, 4))), 1, rtol=1e-5)
    assert float(query["values"].min()) >= 0
    np.testing.assert_array_equal(query["left"], params["blocks"]["attention"]["query"]["kernel"]["left"])


def test_directions_are_drawn_by_singular_value_mixed_with_uniform() -> None:
    values = jnp.array([4.0, 3.0, 2.0, 1.0, 0.0])
    np.testing.assert_allclose(probabilities(values), 0.5 * (0.2 + np.array([0.4, 0.3, 0.2, 0.1, 0.0])), rtol=1e-6)
    drawn = jax.vmap(lambda key: multinomial(values, 2, key, 0))(jax.random.split(jax.random.key(0), 20_000))
    first = np.bincount(np.asarray(drawn[:, 0]), minlength=5) / len(drawn)
    np.testing.assert_allclose(first, probabilities(values), atol=0.012)
    p = np.asarray(probabilities(values))  # without replacement: the second is drawn from what is left
    second = np.array([sum(p[i] * p[j] / (1 - p[i]) for i in range(5) if i != j) for j in range(5)])
    np.testing.assert_allclose(np.bincount(np.asarray(drawn[:, 1]), minlength=5) / len(drawn), second, atol=0.012)
    assert bool(jnp.all(drawn[:, 0] != drawn[:, 1]))


def test_the_other_samplers_take_the_largest_any_and_each_in_turn() -> None:
    values = jnp.array([[1.0, 5.0, 3.0, 2.0], [9.0, 1.0, 2.0, 8.0]])
    assert top(values, 2, jax.random.key(0), 0).tolist() == [[1, 2], [0, 3]]
    turns = np.concatenate([sequential(values, 2, jax.random.key(0), turn) for turn in range(2)], axis=1)
    assert sorted(turns[0].tolist()) == [0, 1, 2, 3]
    drawn = jax.vmap(lambda key: uniform(values, 2, key, 0))(jax.random.split(jax.random.key(0), 4000))
    np.testing.assert_allclose(np.bincount(np.asarray(drawn).ravel(), minlength=4) / drawn.size, 0.25, atol=0.02)


def test_a_rank_that_a_kernel_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Spectral\(rank=9\).*embed.*set rank to 1 \.\.\. 8"):
        Reparameterized(BASE, Spectral(rank=9)).build(nnx.Rngs(0))

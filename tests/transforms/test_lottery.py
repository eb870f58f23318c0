"""Lottery tickets: exactly the entries that moved most, the reset, and that all others stay."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.models import bert
from stagejax.models.text.tagger import Tagger
from stagejax.transforms import Reparameterized
from stagejax.transforms.lottery import Ticket, add_differences, density, draw, largest, strays


def encoder_only(path: str, axes: object) -> bool:
    return path.startswith("encoder/") and not path.startswith("encoder/head") and "norm" not in path


BASE = Tagger(bert(vocab=30, layers=2, embed=8, heads=2, mlp=8), classes=3)
FORM = Reparameterized(BASE, Ticket(), encoder_only)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=7, max_size=7), st.sampled_from([0, 3, 7]))
def test_the_largest_are_as_many_as_asked_for(sizes: list[int], count: int) -> None:
    arrays = [jnp.array(sizes[:2], jnp.float32), jnp.array(sizes[2:], jnp.float32)[None]]
    masks = [np.asarray(mask) for mask in largest(arrays, count)]
    assert [mask.shape for mask in masks] == [array.shape for array in arrays]
    chosen = np.concatenate([mask.ravel() for mask in masks])
    assert chosen.sum() == count
    values = np.array(sizes)
    assert count == 0 or count == len(values) or values[chosen].min() >= values[~chosen].max()


def opened(seed: int) -> tuple[dict, dict]:
    _, params, rest = nnx.split(FORM.build(nnx.Rngs(seed)), nnx.Param, ...)
    return nnx.to_pure_dict(params), nnx.to_pure_dict(rest)


def entries(params: dict) -> np.ndarray:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return np.concatenate([np.ravel(leaf) for path, leaf in leaves if path[-1].key == "entries"])


@pytest.mark.slow
def test_a_ticket_is_global_resets_and_leaves_the_head() -> None:
    start, trained = opened(0), opened(1)
    params, rest = draw(0.08)(None, start, trained)
    np.testing.assert_array_equal(entries(params), entries(start[0]))
    np.testing.assert_array_equal(params["head"]["kernel"], trained[0]["head"]["kernel"])
    learns = np.concatenate([np.ravel(mask) for mask in jax.tree.leaves(rest)])
    change = np.abs(entries(trained[0]) - entries(start[0]))
    assert learns.sum() == round(0.08 * change.size)
    assert change[learns].min() >= change[~learns].max()
    shares = [float(mask.mean()) for mask in jax.tree.leaves(rest)]
    assert max(shares) - min(shares) > 0.05  # not the same share of each parameter
    assert density(rest) == pytest.approx(0.08, abs=1e-3)


@pytest.mark.slow
def test_only_entries_with_a_ticket_move() -> None:
    start = opened(0)
    params, rest = draw(0.1)(None, start, opened(1))
    graphdef, _, _ = nnx.split(FORM.build(nnx.Rngs(0)), nnx.Param, ...)
    tokens, tx = jnp.arange(12).reshape(2, 6), optax.adam(1e-2)

    @jax.jit
    def step(params: dict, state: optax.OptState) -> tuple[dict, optax.OptState]:
        grads = jax.grad(lambda p: jnp.sum(nnx.merge(graphdef, p, rest).tags(tokens) ** 2))(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    after, state = params, tx.init(params)
    for _ in range(3):
        after, state = step(after, state)
    learns = np.concatenate([np.ravel(mask) for mask in jax.tree.leaves(rest)])
    moved = entries(after) != entries(params)
    assert not moved[~learns].any()
    assert moved[learns].mean() > 0.5  # not those of tokens and positions that are absent
    assert strays((params, rest), (after, rest)) == 0
    closed = jax.tree.map(jnp.zeros_like, rest)
    assert strays((params, closed), (after, closed)) == moved.sum()


def test_the_form_is_the_same_model() -> None:
    tokens = jnp.arange(12).reshape(2, 6)
    plain, form = BASE.build(nnx.Rngs(0)), FORM.build(nnx.Rngs(0))
    np.testing.assert_array_equal(form.tags(tokens), plain.tags(tokens))
    merged, _ = FORM.merge(jax.random.key(0), opened(0))
    np.testing.assert_array_equal(merged["encoder"]["tokens"]["table"], plain.encoder.tokens.table[...])


def test_differences_add_up() -> None:
    trees = [({"x": jnp.array([value])}, {}) for value in (1.0, 5.0, 3.0, 10.0, 4.0)]
    assert float(add_differences(None, *trees)[0]["x"][0]) == 1 + (5 - 3) + (10 - 4)
    with pytest.raises(ValueError, match="began"):
        add_differences(None, *trees[:2])


def test_a_density_is_a_share() -> None:
    with pytest.raises(ValueError, match="share"):
        draw(0.0)

"""What every growth operator must do: add it to `pairs.OPERATORS` and it is tested here."""

import itertools
import json
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from pairs import CONV, EXACT, FIRST, NAMES, OPERATORS, by_matrices, by_path, logits, random_params

from stagejax.declare import declare, fingerprint
from stagejax.growth import Growth, Net2Net, by_index, by_squared_dual, by_weight, grow, grow_moments, receipt_of
from stagejax.growth.maps import SIDES

WHAT = ("operator", "small", "large")
PAIRS = [
    pytest.param(*pair, id=name, marks=() if first else pytest.mark.slow)
    for pair, name, first in zip(OPERATORS, NAMES, FIRST, strict=True)
]
every_pair = pytest.mark.parametrize(WHAT, OPERATORS, ids=NAMES)
every_operator = pytest.mark.parametrize(WHAT, PAIRS)  # on one pair; on the others too with -m slow


@every_pair
def test_declared(operator, small, large) -> None:
    growth = Growth(operator, small, large)
    assert hash(growth) == hash(Growth(operator, small, large))
    assert fingerprint(declare(growth)) == fingerprint(declare(Growth(operator, small, large)))
    assert str(operator).startswith(type(operator).__name__ + "(")
    receipt = receipt_of(growth, "reset").to_json()
    assert json.loads(json.dumps(receipt)) == receipt
    assert operator.shrinks or receipt["parameters_before"] <= receipt["parameters_after"]
    assert receipt["sizes_after"] == large.sizes()


@every_operator
def test_grown_as_its_terms_say(operator, small, large) -> None:
    """Compiled, against matrices in numpy; and the same shapes and dtypes without any array."""
    growth, sources = Growth(operator, small, large), {"small": random_params(small), "init": random_params(large, 1)}
    grown = grow(growth, sources["small"], others={"init": sources["init"]})
    abstract = jax.eval_shape(lambda p: grow(growth, p, others={"init": sources["init"]}), sources["small"])
    assert jax.tree.map(shape, abstract) == jax.tree.map(shape, grown)
    wanted = by_matrices(growth, sources, growth.terms, by_weight)
    assert set(by_path(grown)) == set(growth.target)
    for where, leaf in by_path(grown).items():
        assert leaf.shape == growth.target[where][1]
        np.testing.assert_allclose(leaf, wanted[where], rtol=1e-5, atol=1e-6, err_msg=where)


@every_operator
def test_moments_move_by_the_duals(operator, small, large) -> None:
    growth, params = Growth(operator, small, large), random_params(small)
    tx = optax.chain(optax.clip(1.0), optax.adamw(optax.constant_schedule(1e-3)))
    grown = jax.eval_shape(lambda p: grow_moments(growth, tx, tx.init(p), "dual"), params)
    fresh = jax.eval_shape(tx.init, random_params(large))
    assert jax.tree.structure(grown) == jax.tree.structure(fresh)
    assert jax.tree.map(shape, grown) == jax.tree.map(shape, fresh)
    squares = optax.ScaleByRmsState(nu=jax.tree.map(np.square, params))
    moved = by_path(grow_moments(growth, optax.scale_by_rms(), squares, "dual").nu)
    sources = {"small": squares.nu, "init": jax.tree.map(np.zeros_like, random_params(large))}
    for where, wanted in by_matrices(growth, sources, growth.moment_terms, by_squared_dual).items():
        wanted = wanted if where in growth.source else 0  # a parameter that is born has no moments yet
        np.testing.assert_allclose(moved[where], wanted, rtol=1e-5, atol=1e-6, err_msg=where)
        assert moved[where].min() >= 0


@every_pair
def test_masks_stay_masks(operator, small, large) -> None:
    """Seen by index, every new entry is one old entry or none."""
    growth, masks = Growth(operator, small, large), lambda c: jax.tree.map(lambda x: np.ones(x.shape, bool), c)
    trees = masks(random_params(small)), {"init": masks(random_params(large))}
    grown = jax.eval_shape(lambda tree: grow(growth, tree, others=trees[1], view=by_index), trees[0])
    assert all(leaf.dtype == bool for leaf in jax.tree.leaves(grown))
    for term in growth.terms:
        for rule, side in itertools.product(term.maps.values(), SIDES):
            pattern = by_index(rule.rule(side, True), side).dense()
            assert set(np.unique(pattern)) <= {0, 1}
            assert pattern.sum(-1).max() <= 1


@pytest.mark.parametrize(WHAT, PAIRS[: len(EXACT)])
def test_exact_ones_keep_the_function(operator, small, large) -> None:
    """In float64; and, the first pair of each operator, in float32."""
    first = next(pair for pair in EXACT if type(pair[0]) is type(operator))[0] is operator
    for x64, most in [(True, 1e-10), (False, 1e-5)][: 1 + first]:
        with jax.enable_x64(x64):
            growth, params = Growth(operator, small, large), random_params(small)
            grown = grow(growth, params, others={"init": random_params(large, 1)})
            before, after = logits(small, params), logits(growth.config, grown)
            assert after.dtype == (np.float64 if x64 else np.float32)
            assert np.abs(after - before).max() / np.abs(before).max() < most


def test_compiled_equals_eager() -> None:
    growth = Growth(Net2Net(), CONV, replace(CONV, channels=(7, 6)))
    params, fresh = random_params(CONV), {"init": random_params(growth.new, 1)}
    with jax.disable_jit():
        eager = by_path(grow(growth, params, others=fresh))
    for where, leaf in by_path(grow(growth, params, others=fresh)).items():
        np.testing.assert_allclose(leaf, eager[where], rtol=1e-6, atol=1e-7, err_msg=where)


def shape(x):
    return x.shape, x.dtype

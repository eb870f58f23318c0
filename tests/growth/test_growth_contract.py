"""What every growth operator must do: add it to `pairs.OPERATORS` and it is tested here."""

import json

import jax
import numpy as np
import optax
import pytest
from pairs import NAMES, OPERATORS, by_path, random_params

from stagejax.declare import declare, fingerprint
from stagejax.growth import Growth, by_index, grow, grow_moments, receipt_of

every_operator = pytest.mark.parametrize(("operator", "small", "large"), OPERATORS, ids=NAMES)


@every_operator
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
def test_compiled_equals_eager_and_abstract(operator, small, large) -> None:
    growth, params = Growth(operator, small, large), random_params(small)
    fresh = {"init": random_params(large, 1)}
    grown = grow(growth, params, others=fresh)
    with jax.disable_jit():
        eager = by_path(grow(growth, params, others=fresh))
    abstract = jax.eval_shape(lambda p: grow(growth, p, others=fresh), params)
    assert {where: shape for where, (_, shape) in growth.target.items()} == {k: v.shape for k, v in eager.items()}
    assert jax.tree.map(lambda x: (x.shape, x.dtype), abstract) == jax.tree.map(lambda x: (x.shape, x.dtype), grown)
    for where, leaf in by_path(grown).items():
        np.testing.assert_allclose(leaf, eager[where], rtol=1e-6, atol=1e-7, err_msg=where)


@every_operator
def test_moments_fit_the_grown_parameters(operator, small, large) -> None:
    growth, params = Growth(operator, small, large), random_params(small)
    tx = optax.chain(optax.clip(1.0), optax.adamw(optax.constant_schedule(1e-3)))
    clip, (adam, *others) = tx.init(params)
    adam = adam._replace(count=adam.count + 1, mu=params, nu=jax.tree.map(np.square, params))
    state = (clip, (adam, *others))
    fresh = jax.eval_shape(tx.init, random_params(large))
    for rule in ("reset", "copy", "dual"):
        grown = grow_moments(growth, tx, state, rule)
        assert jax.tree.structure(grown) == jax.tree.structure(fresh)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), grown) == jax.tree.map(lambda x: (x.shape, x.dtype), fresh)
        adam = grown[1][0]
        assert int(adam.count) == (0 if rule == "reset" else 1)
        assert all(np.asarray(x).min() >= 0 for x in jax.tree.leaves(adam.nu))
        assert any(np.asarray(x).any() for x in jax.tree.leaves(adam.mu)) == (rule != "reset")


@every_operator
def test_masks_stay_masks(operator, small, large) -> None:
    growth, positive = Growth(operator, small, large), lambda tree: jax.tree.map(lambda x: np.asarray(x) > 0, tree)
    ones = lambda tree: jax.tree.map(lambda x: np.float32(np.asarray(x) > 0), tree)  # noqa: E731
    values, fresh = random_params(small), random_params(large, 1)
    masks = grow(growth, positive(values), others={"init": positive(fresh)}, view=by_index)
    shares = grow(growth, ones(values), others={"init": ones(fresh)}, view=by_index)
    for (where, mask), share in zip(by_path(masks).items(), by_path(shares).values(), strict=True):
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, share > 0, err_msg=where)

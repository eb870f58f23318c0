"""Quantizers: nearest codes by brute force, gradients straight through, residuals that add up."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.axes import axes_of
from stagejax.models.generative.quantizer import Quantizer, ResidualQuantizer, revive, usage

X = jax.random.normal(jax.random.key(1), (20, 3))
BOOK = Quantizer(codes=7, embed=3, rngs=nnx.Rngs(0))
BOOKS = ResidualQuantizer(books=3, codes=7, embed=3, rngs=nnx.Rngs(0))


def test_the_nearest_code_is_taken() -> None:
    distance = np.square(np.asarray(X)[:, None] - np.asarray(BOOK.table[...])).sum(-1)
    found = BOOK(X)
    np.testing.assert_array_equal(found.codes, distance.argmin(1))
    np.testing.assert_allclose(found.vectors, BOOK.table[...][found.codes], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.codebook, distance.min(1).mean(), rtol=1e-5)
    assert str(axes_of(BOOK)["table"]) == "<codes >embed"


def test_the_gradient_passes_straight_through_and_each_loss_moves_its_side() -> None:
    graphdef, params = nnx.split(BOOK)

    def gradients(read):
        return jax.grad(lambda x, p: read(nnx.merge(graphdef, p)(x)), argnums=(0, 1))(X, params)

    for x_gradient, p_gradient in [gradients(lambda q: (q.vectors * X[::-1]).sum())]:
        np.testing.assert_allclose(x_gradient, X[::-1], rtol=1e-6)
        assert not np.asarray(p_gradient["table"][...]).any()
    x_gradient, p_gradient = gradients(lambda q: q.codebook)
    assert not np.asarray(x_gradient).any()
    assert np.asarray(p_gradient["table"][...]).any()
    x_gradient, p_gradient = gradients(lambda q: q.commitment)
    np.testing.assert_allclose(x_gradient, 2 / 20 * (X - BOOK(X).vectors), rtol=1e-4, atol=1e-6)
    assert not np.asarray(p_gradient["table"][...]).any()


def test_residuals_add_up() -> None:
    found = BOOKS(X)
    rest = np.asarray(X)
    for q, book in enumerate(BOOKS.books):
        codes = np.square(rest[:, None] - np.asarray(book.table[...])).sum(-1).argmin(1)
        np.testing.assert_array_equal(found.codes[:, q], codes)
        rest = rest - np.asarray(book.table[...])[codes]
        np.testing.assert_allclose(X - BOOKS.vectors(found.codes[:, : q + 1]), rest, atol=1e-5)
    np.testing.assert_allclose(X - found.vectors, rest, atol=1e-5)


def test_a_codebook_is_learnt() -> None:
    """By its own loss alone, codes go to the centres of four clusters."""
    centres = jnp.array([[2.0, 2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, -2.0]])
    x = jnp.repeat(centres, 25, 0) + 0.1 * jax.random.normal(jax.random.key(0), (100, 2))
    graphdef, params = nnx.split(Quantizer(codes=4, embed=2, rngs=nnx.Rngs(3)))
    params["table"] = params["table"].replace(0.5 * centres)

    @jax.jit
    def step(params):
        gradient = jax.grad(lambda p: nnx.merge(graphdef, p)(x).loss())(params)
        return jax.tree.map(lambda p, g: p - 0.3 * g, params, gradient)

    for _ in range(60):
        params = step(params)
    np.testing.assert_allclose(params["table"][...], centres, atol=0.1)
    _, perplexity = usage(nnx.merge(graphdef, params)(x).codes, 4)
    assert round(float(perplexity), 3) == 4.0


def test_unused_codes_go_to_what_is_far_from_all_codes() -> None:
    """Where 1 and 2 are left over by a code at 0, and 3 has no weight, 2 is drawn four times as often as 1."""
    x, weight = jnp.array([[0.0], [1.0], [2.0], [3.0]]), jnp.array([1.0, 1.0, 1.0, 0.0])
    table, used = jnp.zeros((5001, 1)), jnp.zeros(5001).at[0].set(1.0)
    found = np.asarray(revive(table, used, x, jax.random.key(0), 1e-9, weight))[:, 0]
    assert found[0] == 0
    shares = np.bincount(found[1:].astype(int), minlength=4) / 5000
    np.testing.assert_allclose(shares, [0, 0.2, 0.8, 0], atol=0.03)

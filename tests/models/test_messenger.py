"""Messengers and translators: against plain formulas, and how large they say that they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.axes import axes_of, is_axes
from stagejax.models.text.messenger import Messenger, Translator, standardized

X = jnp.asarray(np.random.RandomState(0).randn(3, 2, 2, 4), jnp.float32)


def test_standardized_by_hand_and_of_any_scale() -> None:
    x = np.asarray(X)
    mean, var = (f(x, axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.var))
    np.testing.assert_allclose(standardized(X), (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
    gradient = jax.grad(lambda scale: (standardized(scale * X) ** 3).sum())(1.0)
    assert abs(float(gradient)) < 1e-2  # nothing pulls a state to be longer or shorter


def test_a_translator_by_hand() -> None:
    net = Translator(reads=4, hidden=5, writes=3).build(nnx.Rngs(0))
    net.up.bias[...], net.down.bias[...] = jnp.arange(5.0), jnp.arange(3.0)
    hidden = np.maximum(np.asarray(standardized(X)) @ np.asarray(net.up.kernel[...]) + np.arange(5), 0)
    expected = hidden @ np.asarray(net.down.kernel[...]) + np.arange(3)
    np.testing.assert_allclose(net(X), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "config", [Translator(4, 6, 3), Messenger((("low", 4), ("high", 7)), 5, 6)], ids=["translator", "messenger"]
)
def test_every_axis_has_a_size_and_parameters_are_counted(config) -> None:
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    sizes: dict[str, int] = {}
    for axes, leaf in zip(jax.tree.leaves(axes_of(model), is_leaf=is_axes), leaves, strict=True):
        for name, size in zip(axes.names, leaf.shape, strict=True):
            assert sizes.setdefault(name, size) == size
    assert sizes == config.sizes()
    assert sum(np.prod(leaf.shape) for leaf in leaves) == config.parameters


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.integers(1, 300))
def test_a_messenger_is_as_large_as_its_translators(low: int, high: int, message: int, hidden: int) -> None:
    pairs = [pair for width in (low, high) for pair in ((width, message), (message, width))]
    expected = sum(Translator(reads, hidden, writes).parameters for reads, writes in pairs)
    assert Messenger((("low", low), ("high", high)), message, hidden).parameters == expected


def test_states_have_encoders_and_decoders_of_their_own() -> None:
    net = Messenger((("low", 4), ("high", 4)), message=4, hidden=5).build(nnx.Rngs(0))
    said = [f(name, X) for f in (net.encode, net.decode) for name in ("low", "high")]
    assert all(not np.allclose(a, b) for i, a in enumerate(said) for b in said[:i])

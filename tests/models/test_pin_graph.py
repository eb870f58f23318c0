"""Layers on pins: attention with scalar keys is ordinary multi-head attention, its derivative a covariance, maxima."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.pin_graph import Between, OuterReading, PinConv, TableAttention, tilted_mean

RNG = np.random.default_rng(0)


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def test_attention_to_a_table_is_ordinary_multi_head_attention() -> None:
    width, heads, n = 8, 2, 49
    net = TableAttention(width, heads, rngs=nnx.Rngs(0))
    net.bias.set_value(normal(width))
    query, keys, values = normal(5, width), normal(5, n), normal(5, n)
    q = (query @ net.query.kernel[...] + net.query.bias[...]).reshape(5, heads, -1)
    k = (keys[..., None] * net.key[...] + 0.7).reshape(5, n, heads, -1)  # a bias of keys drops out
    v = (values[..., None] * net.value[...] + net.bias[...]).reshape(5, n, heads, -1)
    weights = jax.nn.softmax(jnp.einsum("bhd,bnhd->bhn", q, k) / np.sqrt(width // heads), -1)
    expected = jnp.einsum("bhn,bnhd->bhd", weights, v).reshape(5, -1) @ net.out.kernel[...] + net.out.bias[...]
    np.testing.assert_allclose(net(query, keys, values), expected, rtol=2e-4, atol=1e-5)
    with pytest.raises(ValueError, match="heads=3"):
        TableAttention(8, 3, rngs=nnx.Rngs(0))


@pytest.mark.slow
def test_a_tilted_mean_is_differentiated_exactly() -> None:
    slopes, keys, values = normal(3, 4), normal(3, 6), normal(3, 6)

    def plain(slopes: jax.Array) -> jax.Array:
        return jnp.einsum("nhj,nj->nh", jax.nn.softmax(slopes[..., None] * keys[:, None], -1), values)

    np.testing.assert_allclose(tilted_mean(slopes, keys, values), plain(slopes), rtol=1e-4, atol=1e-6)
    of = [jax.grad(lambda s, f=f: (f(s) ** 2).sum())(slopes) for f in (lambda s: tilted_mean(s, keys, values), plain)]
    np.testing.assert_allclose(*of, rtol=1e-3, atol=1e-5)
    steep = tilted_mean(jnp.array([[1e4, -1e4]]), keys[:1], values[:1])[0]
    np.testing.assert_allclose(steep, [values[0, keys[0].argmax()], values[0, keys[0].argmin()]], rtol=1e-5)


@pytest.mark.slow
def test_timing_gcn_reads_tables_by_products_of_weights_of_both_axes() -> None:
    net = OuterReading(3, 2, 6, 8, readings=2, rngs=nnx.Rngs(0))
    asked, tables = normal(4, 32), normal(4, 8, 64)
    weights = [net.weigh(asked.reshape(4, 8, 2, 2)[:, :, i], tables[..., :15]) for i in (0, 1)]
    squares = tables[..., 15:].reshape(4, 8, 7, 7)
    read = [jnp.einsum("ali,alj,alij->al", w[..., :7], w[..., 7:], squares) for w in weights]
    np.testing.assert_allclose(net(asked, tables), jnp.stack(read, -1).reshape(4, 16), rtol=1e-4, atol=1e-5)


def test_the_first_layer_is_that_of_both_ends_and_the_edge_side_by_side() -> None:
    net = Between(3, 2, (6, 4), rngs=nnx.Rngs(0))
    x, edge, senders, receivers = normal(5, 3), normal(7, 2), jnp.arange(7) % 5, jnp.arange(7) % 3
    kernel = jnp.concatenate([net.pins.kernel[:, 0], net.pins.kernel[:, 1], net.edge.kernel[...]])
    hidden = jnp.concatenate([x[senders], x[receivers], edge], -1) @ kernel + net.edge.bias[...]
    expected = net.rest(jax.nn.leaky_relu(hidden, 0.2))
    np.testing.assert_allclose(net(net.ends(x), senders, receivers, edge), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_pin_reads_mean_sum_least_and_largest_of_its_messages() -> None:
    net = PinConv(2, 1, 4, 3, 2, rngs=nnx.Rngs(0))
    x, edges = normal(4, 2), normal(3, 1)
    senders, receivers = jnp.array([0, 1, 2]), jnp.array([3, 3, 1])
    sent = net.send(net.send.ends(x), senders, receivers, edges)
    m = jax.nn.sigmoid(sent[:, :1]) * sent[:, 1:]

    def gathered(own: jax.Array) -> jax.Array:
        return jnp.concatenate([own[:, :2].mean(0), own[:, 2:4].sum(0), own[:, 4:6].min(0), own[:, 6:].max(0)])

    rows = jnp.stack([jnp.zeros(8), gathered(m[2:]), jnp.zeros(8), gathered(m[:2])])
    np.testing.assert_allclose(net(x, edges, senders, receivers), net.read(x, rows), rtol=1e-4, atol=1e-5)

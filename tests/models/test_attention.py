import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.models.attention import attend
from stagejax.models.rotary import rotary_angles, rotate

B, T, K, G, H = 2, 5, 2, 3, 4


def reference(query_BTKGH, key_BSKH, value_BSKV, visible_BTS):
    scores = np.einsum("btkgh,bskh->bkgts", query_BTKGH, key_BSKH) / np.sqrt(query_BTKGH.shape[-1])
    scores = np.where(visible_BTS[:, None, None], scores, -1e30)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bkgts,bskv->btkgv", weights, value_BSKV)


@pytest.fixture
def qkv():
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = ((B, T, K, G, H), (B, T, K, H), (B, T, K, H))
    return tuple(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))


LOWER = np.tril(np.ones((T, T), bool))
PADDING = np.arange(T) < np.array([[3], [5]])
SEGMENTS = np.array([[1, 1, 2, 2, 0], [1, 2, 2, 2, 2]])
ANY = LOWER[None] | (np.arange(T) < 2)
PREFIX = np.arange(T) < np.array([[2], [4]])


@pytest.mark.parametrize(
    ("options", "visible"),
    [
        ({}, np.ones((B, T, T), bool)),
        ({"causal": True}, LOWER[None]),
        ({"mask": PADDING}, PADDING[:, None]),
        ({"mask": np.broadcast_to(ANY, (B, T, T))}, ANY),
        ({"mask": ANY}, ANY),
        ({"segments": SEGMENTS}, SEGMENTS[:, :, None] == SEGMENTS[:, None]),
        ({"lengths_B": np.array([3, 5])}, PADDING[:, None]),
        (
            {"causal": True, "mask": PADDING, "segments": SEGMENTS},
            LOWER & PADDING[:, None] & (SEGMENTS[:, :, None] == SEGMENTS[:, None]),
        ),
        ({"causal": True, "prefix": PREFIX}, LOWER | PREFIX[:, None]),
        ({"causal": True, "prefix": PREFIX & False}, LOWER[None]),
        ({"causal": True, "prefix": PREFIX, "mask": PADDING}, (LOWER | PREFIX[:, None]) & PADDING[:, None]),
    ],
    ids=[
        "all",
        "causal",
        "padding",
        "any",
        "any, shared",
        "segments",
        "lengths",
        "together",
        "prefix",
        "no prefix",
        "prefix and padding",
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_attend_matches_numpy(qkv, options, visible, dtype, tolerance):
    visible = np.broadcast_to(visible, (B, T, T))
    expected = reference(*(np.asarray(x, np.float64) for x in qkv), visible)
    sees = visible.any(-1)  # a query that sees nothing gets some average of everything
    with jax.enable_x64(dtype == "float64"):
        options = {name: value if isinstance(value, bool) else jnp.asarray(value) for name, value in options.items()}
        got = attend(*(x.astype(dtype) for x in qkv), **options)
        assert got.dtype == dtype
        np.testing.assert_allclose(np.asarray(got)[sees], expected[sees], rtol=10 * tolerance, atol=tolerance)
        assert np.isfinite(got).all()


@pytest.mark.parametrize("size", [2, 7])
def test_values_may_have_another_size_than_keys(qkv, size):
    query, key, _ = qkv
    value = jax.random.normal(jax.random.key(1), (B, T, K, size))
    expected = reference(*(np.asarray(x, np.float64) for x in (query, key, value)), LOWER[None])
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-14)):
        with jax.enable_x64(dtype == "float64"):
            got = attend(*(x.astype(dtype) for x in (query, key, value)), causal=True)
        assert got.shape == (B, T, K, G, size)
        np.testing.assert_allclose(got, expected, rtol=10 * tolerance, atol=tolerance)


def test_grouped_queries_are_repeated_keys(qkv):
    query, key, value = qkv
    repeated = (jnp.repeat(x, G, axis=2) for x in (key, value))
    multi_head = attend(query.reshape(B, T, K * G, 1, H), *repeated, causal=True)
    grouped = attend(query, key, value, causal=True)
    np.testing.assert_allclose(grouped.reshape(B, T, K * G, 1, H), multi_head, rtol=1e-5, atol=1e-6)


def test_rotary_products_depend_on_the_distance_alone():
    query, key = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 8))

    def product(t, s):
        angles = rotary_angles(jnp.array([[t, s]]), 8)
        return float(jnp.vdot(rotate(query, angles[:, :1]), rotate(key, angles[:, 1:])))

    assert product(7, 3) == pytest.approx(product(24, 20), abs=1e-5)
    assert product(7, 3) != pytest.approx(product(7, 4), abs=1e-3)


def test_rotary_layout_is_half_split():
    x = jnp.arange(1.0, 5.0).reshape(1, 1, 1, 4)
    angles = jnp.array([[[jnp.pi / 2, 0.0]]])
    np.testing.assert_allclose(rotate(x, angles)[0, 0, 0], [-3.0, 2.0, 1.0, 4.0], atol=1e-6)

"""The vision transformer: its shapes, its axes, its shared, skipped and frozen blocks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.vit import UnplacedViT, ViT

CONFIG = ViT(image=6, channels=2, patch=3, classes=3, embed=8, layers=3, heads=2, mlp=12, norm_eps=1e-3)
IMAGES = jnp.asarray(np.random.RandomState(0).rand(4, 6, 6, 2), jnp.float32)


def spread(config, seed=0):
    graphdef, shapes = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
    rng = np.random.RandomState(seed)
    params = jax.tree.map(lambda x: jnp.asarray(0.5 * rng.normal(size=x.shape), x.dtype), nnx.to_pure_dict(shapes))
    return graphdef, params


@pytest.mark.parametrize("tokens", [{}, {"pool": "class"}, {"pool": "class", "distilled": "head"}], ids=str)
def test_every_axis_has_a_size(tokens) -> None:
    config = replace(CONFIG, **tokens, kv_heads=1)
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    sizes = {}
    for axes, leaf in zip(
        jax.tree.leaves(axes_of(model), is_leaf=is_axes),
        jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param))),
        strict=True,
    ):
        sizes |= dict(zip(axes.names, leaf.shape, strict=True))
    assert sizes == config.sizes()


def test_a_patch_is_one_row_of_tokens() -> None:
    """Patches are cut row by row: a change of one pixel changes the token of its patch and no other."""
    graphdef, params = spread(CONFIG)
    tokens = lambda images: np.asarray(nnx.merge(graphdef, params).tokens(images))  # noqa: E731
    changed = IMAGES.at[0, 1, 4, 1].add(1.0)  # row 1 of patches' row 0, column 4: patch (0, 1)
    difference = np.abs(tokens(changed) - tokens(IMAGES)).sum(-1)
    assert (difference > 1e-6).nonzero() == (np.array([0]), np.array([1]))
    kernel = params["patches"]["kernel"]
    by_hand = np.einsum("yxp,yxpe->e", IMAGES[2, 3:, :3], np.asarray(kernel))
    by_hand += np.asarray(params["patches"]["bias"]) + np.asarray(params["positions"]["table"])[2]
    np.testing.assert_allclose(tokens(IMAGES)[2, 2], by_hand, rtol=1e-5)


@pytest.mark.slow
def test_shared_rows_equal_repeated_ones_and_add_their_gradients() -> None:
    graphdef, params = spread(CONFIG)
    wide = ViT(**{**vars(CONFIG), "layers": 4})
    layers = (0, 0, 1, 2)
    repeated = {**params, "blocks": jax.tree.map(lambda p: p[jnp.array(layers)], params["blocks"])}
    whole = nnx.split(nnx.eval_shape(lambda: wide.build(nnx.Rngs(0))))[0]

    @jax.jit
    def both(params, repeated):
        shared = jax.value_and_grad(lambda p: (nnx.merge(graphdef, p)(IMAGES, layers=layers) ** 2).sum())
        plain = jax.value_and_grad(lambda p: (nnx.merge(whole, p)(IMAGES) ** 2).sum())
        return shared(params), plain(repeated)

    (loss, grads), (expected, rows) = both(params, repeated)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for got, row in zip(jax.tree.leaves(grads["blocks"]), jax.tree.leaves(rows["blocks"]), strict=True):
        summed = np.stack([row[0] + row[1], row[2], row[3]])
        np.testing.assert_allclose(got, summed, atol=1e-3 * np.abs(summed).max())


@pytest.mark.slow
def test_no_gradient_below_and_parts_make_the_whole() -> None:
    graphdef, params = spread(CONFIG)

    @jax.jit
    def run(params):
        model = nnx.merge(graphdef, params)
        parts = model.encode(model.encode(model.tokens(IMAGES), 0, 1), 1, 3)
        grads = jax.grad(lambda p: (nnx.merge(graphdef, p)(IMAGES, depth=2, stop_below=1) ** 2).sum())(params)
        return model(IMAGES), model.logits(model.pool(parts)), grads

    whole, parts, grads = run(params)
    np.testing.assert_allclose(whole, parts, rtol=1e-5)
    moved = np.array([[bool(np.any(row)) for row in leaf] for leaf in jax.tree.leaves(grads["blocks"])]).any(0)
    assert moved.tolist() == [False, True, False]
    assert not np.any(grads["patches"]["kernel"])
    with pytest.raises(ValueError, match="depth=4"):
        nnx.merge(graphdef, params)(IMAGES, depth=4)


def test_skipped_blocks_keep_the_mean_and_the_first_is_never_skipped() -> None:
    graphdef, params = spread(replace(CONFIG, drop_path=0.5, layers=2))

    @jax.jit
    def run(keys):
        model = nnx.merge(graphdef, params)
        x = model.tokens(IMAGES)
        return model.encode(x), model.encode(x, 0, 1), jax.lax.map(lambda key: model.encode(x, key=key), keys)

    plain, first, draws = run(jax.random.split(jax.random.key(0), 32))
    skipped = np.isclose(draws, first, rtol=1e-4, atol=1e-4).all((-1, -2))
    doubled = np.isclose(draws, 2 * plain - first, rtol=1e-4, atol=1e-3).all((-1, -2))
    assert (skipped | doubled).all()
    assert 0.3 < skipped.mean() < 0.7


def test_the_class_token_is_what_the_head_reads() -> None:
    graphdef, params = spread(replace(CONFIG, pool="class"))

    @jax.jit
    def run(params):
        model = nnx.merge(graphdef, params)
        x = model.tokens(IMAGES)
        y = model.encode(x)
        first = model.class_token[...] + model.positions.table[0]
        return x, first, model.pool(y), model.pool(y.at[:, 1:].add(1.0))

    x, token, pooled, others_moved = run(params)
    assert x.shape == (4, 5, 8)
    np.testing.assert_array_equal(x[0, 0], token)
    np.testing.assert_array_equal(pooled, others_moved)


def test_the_second_token_has_a_head_of_its_own() -> None:
    config = replace(CONFIG, pool="class", distilled="head")
    graphdef, params = spread(config)

    @jax.jit
    def run(params):
        model = nnx.merge(graphdef, params)
        x = model.features(IMAGES)
        return model.tokens(IMAGES), x, model.head(x[:, 0]), model.distilled_head(x[:, 1]), model(IMAGES)

    tokens, features, by_class, by_second, logits = run(params)
    assert (tokens.shape, features.shape) == ((4, 6, 8), (4, 2, 8))
    expected = params["distilled_token"] + params["positions"]["table"][1]
    np.testing.assert_allclose(tokens[:, 1], np.tile(expected, (4, 1)), rtol=1e-6)
    np.testing.assert_allclose(logits, (by_class + by_second) / 2, rtol=1e-6)
    one = spread(replace(config, distilled="token"))[1]
    assert "distilled_head" not in one
    with pytest.raises(ValueError, match="set pool='class'"):
        replace(CONFIG, distilled="token")


def test_refusals() -> None:
    with pytest.raises(ValueError, match="heads=3 does not divide embed=8"):
        replace(CONFIG, heads=3)
    with pytest.raises(ValueError, match="patch=4 does not divide image=6"):
        replace(CONFIG, patch=4)
    with pytest.raises(ValueError, match="images of shape"):
        nnx.merge(*spread(CONFIG))(jnp.zeros((1, 5, 6, 2)))


@pytest.mark.slow
def test_dense_features_are_those_that_are_pooled() -> None:
    for tokens in ({}, {"pool": "class", "distilled": "token"}):
        graphdef, params = spread(replace(CONFIG, **tokens))
        model = nnx.merge(graphdef, params)
        dense = model.dense(IMAGES)
        assert dense.shape == (4, 4, 8)
        if not tokens:
            np.testing.assert_allclose(dense.mean(1), model.features(IMAGES), atol=1e-5)


@pytest.mark.slow
def test_without_positions_a_table_changes_nothing() -> None:
    graphdef, params = spread(UnplacedViT.of(CONFIG))
    other = params | {"positions": jax.tree.map(jnp.zeros_like, params["positions"])}
    same = [nnx.merge(graphdef, own)(IMAGES) for own in (params, other)]
    np.testing.assert_array_equal(*same)
    placed = nnx.merge(spread(CONFIG)[0], params)(IMAGES)
    assert float(jnp.abs(placed - same[0]).max()) > 1e-3

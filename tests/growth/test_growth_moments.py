"""Moments across a growth, and the exact following of the small model by the large one."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from pairs import CONV, NAMES, OPERATORS, ROTARY, SMALL, TOKENS, by_matrices, by_path, logits, random_params

from stagejax.axes import axes_of
from stagejax.growth import (
    FPI,
    AddRows,
    BlockDiagonal,
    CopyExperts,
    Deepen,
    DirectCopy,
    Growth,
    GrowthError,
    HeadSize,
    IdentityBlocks,
    Isometric,
    Upcycle,
    balanced,
    by_dual,
    by_index,
    factors,
    grow,
    grow_moments,
    uniform,
)
from stagejax.optimizer import adafactor, adamw, lion, muon, sgd

RMS = replace(SMALL, norm="rms", norm_eps=1e-3)


def axes_tree(config):
    return axes_of(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))


def trainer(config, tx):
    graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)

    def loss(params, shift):
        tokens = (jnp.asarray(TOKENS) + shift) % config.vocab
        predicted = nnx.merge(graphdef, params, rest)(tokens)
        return optax.softmax_cross_entropy_with_integer_labels(predicted, (tokens * 3 + 1) % config.vocab).mean()

    @jax.jit
    def steps(params, state, first, last):
        def one(step, carry):
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params, step), state, params)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(first, last, one, (params, state))

    return steps


FOLLOWERS = {
    "adamw": adamw(2e-2, warmup=4, eps=1e-4, weight_decay=0.1, clip=0.3),
    "lion": lion(1e-3),
    "sgd": sgd(1e-1, clip=0.3, nesterov=True),
}


@pytest.mark.parametrize(
    ("name", "operator", "small", "changes"),
    [
        ("adamw", FPI(draw=balanced), SMALL, {"embed": 16, "heads": 5, "mlp": 29}),
        ("adamw", FPI(draw=balanced), replace(SMALL, causal=False, tied=False, norm="rms"), {"embed": 16, "heads": 5}),
        pytest.param(
            "adamw", Isometric(draw=uniform), RMS, {"embed": 13, "heads": 3, "mlp": 17}, marks=pytest.mark.slow
        ),
        pytest.param(
            "lion", FPI(), replace(SMALL, use_bias=False, layers=1), {"embed": 24, "heads": 3}, marks=pytest.mark.slow
        ),
        ("sgd", FPI(), replace(SMALL, layers=1), {"embed": 16, "mlp": 17}),
    ],
)
def test_the_large_model_follows_the_small_one(name, operator, small, changes) -> None:
    """After ten steps of training, growth with dual moments; then thirty steps of both end in the same function."""
    optimizer = FOLLOWERS[name]
    growth = Growth(operator, small, replace(small, **changes))
    with jax.enable_x64(True):
        tx = optimizer(steps=100, axes=axes_tree(small))
        large_tx = replace(optimizer, follow=growth)(steps=100, axes=axes_tree(growth.config))
        train, params = trainer(small, tx), random_params(small)
        params, state = train(params, tx.init(params), 0, 10)
        large, large_state = grow(growth, params), grow_moments(growth, tx, state, "dual")
        params, state = train(params, state, 10, 40)
        large, large_state = trainer(growth.config, large_tx)(large, large_state, 10, 40)
        before, after = logits(small, params), logits(growth.config, large)
        assert np.abs(after - before).max() < 1e-9
        for where, leaf in by_path(grow(growth, params)).items():
            np.testing.assert_allclose(by_path(large)[where], leaf, atol=1e-9, err_msg=where)
        again = grow_moments(growth, tx, state, "dual")
        for got, wanted in zip(jax.tree.leaves(large_state), jax.tree.leaves(again), strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-9)


def test_factors_are_the_rule_of_mup() -> None:
    """Copies: 1 where an axis is written, 1/(number of copies) where it is read, and the other way round for eps."""
    growth = Growth(FPI(), SMALL, replace(SMALL, embed=16, heads=6, mlp=18))
    known = factors(growth, axes_tree(growth.config))
    lr, eps = by_path(known.lr), by_path(known.eps)
    np.testing.assert_allclose(lr["tokens/table"], 1)
    np.testing.assert_allclose(eps["tokens/table"], 1 / 2)
    np.testing.assert_allclose(lr["blocks/attention/query/kernel"], 1 / 2)
    np.testing.assert_allclose(eps["blocks/attention/query/kernel"], 1 / 3)
    np.testing.assert_allclose(lr["norm/gain"], 1 / 2)  # before a tied head
    np.testing.assert_allclose(eps["norm/gain"], 1)
    np.testing.assert_allclose(lr["blocks/mlp/down/kernel"].ravel(), [1 / 2] * 6 + [1] * 6 + [1 / 2] * 6)
    for where, (_, shape) in growth.target.items():
        assert np.broadcast_shapes(lr[where].shape, shape) == shape


CHAINS = {
    "adamw": optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(1e-3, 10))),
    "momentum": optax.sgd(1e-2, momentum=0.9),
    "rmsprop": optax.rmsprop(1e-3, momentum=0.9, centered=True),
    "lion": optax.lion(1e-3),
    "amsgrad": optax.amsgrad(1e-3),
    "adabelief": optax.adabelief(1e-3),
    "injected": optax.inject_hyperparams(optax.adam)(learning_rate=1e-3),
    "masked": optax.masked(
        optax.adam(1e-3), lambda p: jax.tree_util.tree_map_with_path(lambda k, _: "norm" in str(k), p)
    ),
    "partition": optax.partition(
        {"a": optax.adam(1e-3), "b": optax.sgd(1e-2, momentum=0.9)},
        lambda p: jax.tree_util.tree_map_with_path(lambda k, _: "a" if "mlp" in str(k) else "b", p),
    ),
    "muon": optax.contrib.muon(
        1e-3,
        muon_weight_dimension_numbers=lambda p: jax.tree.map(
            lambda x: optax.contrib.MuonDimensionNumbers(1, 2) if x.ndim == 3 else None, p
        ),
    ),
    "adafactor": optax.adafactor(1e-3, min_dim_size_to_factor=8, momentum=0.9),
    "accumulated": optax.MultiSteps(optax.adam(1e-3), 2).gradient_transformation(),
}


@pytest.mark.parametrize("name", CHAINS)
def test_any_chain_of_optax_grows(name) -> None:
    tx, growth = CHAINS[name], Growth(FPI(), SMALL, replace(SMALL, mlp=24))
    params = random_params(SMALL)
    state = jax.tree.map(lambda x: x + jnp.ones((), x.dtype), tx.init(params))
    fresh = jax.eval_shape(tx.init, random_params(growth.config))
    for rule in ("dual", "copy", "reset"):
        grown = grow_moments(growth, tx, state, rule)
        assert jax.tree.structure(grown) == jax.tree.structure(fresh)
        assert jax.tree.map(lambda x: x.shape, grown) == jax.tree.map(lambda x: x.shape, fresh)
        known = [(field, x) for field, x in leaves_of(grown, "up/kernel") if x.size > 1]  # units with two copies
        assert known or name == "masked"  # which has norms alone
        for field, value in known:
            power = POWER[field]
            np.testing.assert_allclose(value, {"dual": 2.0**-power, "copy": 1, "reset": 0}[rule], err_msg=field)


#: Which power of the gradient the fields of optimizer states average.
POWER = dict.fromkeys(("mu", "trace", "ema", "acc_grads"), 1) | dict.fromkeys(("nu", "nu_max", "v_row", "v_col"), 2)


def leaves_of(state, end: str) -> list[tuple[str, jax.Array]]:
    """Every value that an optimizer's state holds for parameters whose path ends so, with the field that holds it."""
    found = []
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        if jax.tree_util.keystr(path, simple=True, separator="/").endswith(end):
            fields = [key.name for key in path if isinstance(key, jax.tree_util.GetAttrKey)]
            found.append((fields[-1], x))
    return found


@pytest.mark.parametrize(
    "optimizer", [adafactor(1e-3, factored_from=8, warmup=2), muon(1e-3, clip=1.0)], ids=["adafactor", "muon"]
)
def test_our_optimizers_grow(optimizer) -> None:
    growth, params = Growth(FPI(), SMALL, replace(SMALL, mlp=24)), random_params(SMALL)
    tx = optimizer(10, axes_tree(SMALL))
    state = jax.tree.map(lambda x: x + jnp.ones((), x.dtype), tx.init(params))
    fresh = jax.eval_shape(optimizer(10, axes_tree(growth.config)).init, random_params(growth.config))
    grown = grow_moments(growth, tx, state, "dual")
    assert jax.tree.map(lambda x: (x.shape, x.dtype), grown) == jax.tree.map(lambda x: (x.shape, x.dtype), fresh)


@pytest.mark.slow
@pytest.mark.parametrize("operator", [FPI(), DirectCopy()], ids=str)
def test_means_of_rows_and_columns_grow_as_what_they_are_means_of(operator) -> None:
    """Where the squares have rank one, the grown means are those of the grown squares, also over another dimension."""
    small = replace(SMALL, causal=False, norm_position="post", types=3)
    growth = Growth(operator, small, replace(small, embed=32, mlp=24, heads=8, layers=3))
    tx = optax.adafactor(1e-3, min_dim_size_to_factor=8)
    ones = jax.tree.map(jnp.ones_like, random_params(small))
    rng = np.random.RandomState(0)

    def outer(x):  # a product of one vector for each dimension
        return functools.reduce(np.multiply, np.ix_(*[rng.uniform(0.5, 2, size) for size in x.shape]))

    squares = jax.tree.map(lambda x: jnp.asarray(outer(x), x.dtype), ones)
    _, state = tx.update(jax.tree.map(jnp.sqrt, squares), tx.init(ones), ones)  # the first step takes them as they are
    adam = optax.scale_by_adam()
    moments = adam.init(ones)._replace(nu=squares)
    grown = grow_moments(growth, tx, state, "dual")[0]
    wanted = by_path(grow_moments(growth, adam, moments, "dual").nu)
    rows, cols, whole = by_path(grown.v_row), by_path(grown.v_col), by_path(grown.v)
    factored = 0
    for where, square in wanted.items():
        if whole[where].shape == (1,):
            second, largest = np.argsort(square.shape)[-2:]
            np.testing.assert_allclose(rows[where], square.mean(largest), rtol=1e-4, err_msg=where)
            np.testing.assert_allclose(cols[where], square.mean(second), rtol=1e-4, err_msg=where)
            factored += 1
        else:
            np.testing.assert_allclose(whole[where], square, rtol=1e-4, err_msg=where)
    assert 8 <= factored < len(wanted)


def test_a_state_of_another_optimizer_or_model_is_refused() -> None:
    growth, params = Growth(FPI(), SMALL, replace(SMALL, mlp=24)), random_params(SMALL)
    adam, momentum = optax.adam(1e-3), optax.sgd(1e-3, momentum=0.9)
    with pytest.raises(GrowthError, match="not one of this transformation"):
        grow_moments(growth, adam, momentum.init(params), "dual")
    with pytest.raises(GrowthError, match="the moments' leaf 'other' is no parameter of Transformer"):
        grow_moments(growth, adam, adam.init({"other": jnp.ones(3)}), "dual")
    factored = optax.adafactor(1e-3, min_dim_size_to_factor=8)
    with pytest.raises(GrowthError, match=r"squares of 'blocks/mlp/down/kernel' are .* that is \(2, 12, 8\) in"):
        grow_moments(growth, factored, factored.init(random_params(growth.config)), "dual")


def test_rules_differ_as_they_should() -> None:
    growth = Growth(FPI(), SMALL, replace(SMALL, mlp=24))
    tx = optax.adam(1e-3)
    params = random_params(SMALL)
    state = tx.init(params)
    state = (state[0]._replace(mu=params, nu=jax.tree.map(np.square, params), count=jnp.array(7)), *state[1:])
    kernel = params["blocks"]["mlp"]["up"]["kernel"]

    def up(rule):
        adam = grow_moments(growth, tx, state, rule)[0]
        return adam.mu["blocks"]["mlp"]["up"]["kernel"], adam.nu["blocks"]["mlp"]["up"]["kernel"], int(adam.count)

    mu, nu, count = up("dual")
    np.testing.assert_allclose(mu[..., 12:], kernel / 2)
    np.testing.assert_allclose(nu[..., 12:], kernel**2 / 4, rtol=1e-6)
    assert count == 7
    mu, nu, count = up("copy")
    np.testing.assert_allclose(mu[..., 12:], kernel)
    assert count == 7
    mu, nu, count = up("reset")
    assert not mu.any()
    assert not nu.any()
    assert count == 0


def moved(growth, leaves, rule: str):
    """First and second moments g and g² of some parameters, and the step count 7, after a growth."""
    params: dict = {}
    for where in growth.source:
        node, (*parents, last) = params, where.split("/")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = jnp.asarray(leaves[where]) if where in leaves else None
    tx = optax.scale_by_adam()
    state = tx.init(params)._replace(mu=params, nu=jax.tree.map(np.square, params), count=jnp.array(7))
    grown = grow_moments(growth, tx, state, rule)
    return by_path(grown.mu), by_path(grown.nu), int(grown.count)


#: For each kind of growth: one parameter, and what becomes of its first moment g under "dual" and under "copy".
CLOSED = {
    "width, written": (
        FPI(), SMALL, {"mlp": 16}, "blocks/mlp/up/bias",
        lambda g: np.concatenate([g[:, :4] / 2, g[:, 4:], g[:, :4] / 2], 1), lambda g: g[:, np.arange(16) % 12],
    ),
    "width, read": (
        FPI(), SMALL, {"mlp": 16}, "blocks/mlp/down/kernel",
        lambda g: g[:, np.arange(16) % 12], lambda g: g[:, np.arange(16) % 12],
    ),
    "width, isometric": (
        Isometric(), RMS, {"embed": 12}, "tokens/table",
        lambda g: g[:, np.arange(12) % 8] * np.array([0.5**0.5] * 4 + [1] * 4 + [0.5**0.5] * 4),
        lambda g: g[:, np.arange(12) % 8],
    ),
    "depth, copies": (
        Deepen(), SMALL, {"layers": 4}, "blocks/mlp/up/kernel",
        lambda g: g[[0, 1, 0, 1]], lambda g: g[[0, 1, 0, 1]],
    ),
    "depth, identity": (
        IdentityBlocks(), SMALL, {"layers": 3}, "blocks/attention/out/kernel",
        lambda g: np.stack([g[0], 0 * g[0], g[1]]), lambda g: np.stack([g[0], 0 * g[0], g[1]]),
    ),
    "heads": (
        FPI(), SMALL, {"heads": 4}, "blocks/attention/query/kernel",
        lambda g: g[:, :, [0, 1, 0, 1]] / 2, lambda g: g[:, :, [0, 1, 0, 1]],
    ),
    "head size": (
        HeadSize(), ROTARY, {"head_dim": 8}, "blocks/attention/key/kernel",
        lambda g: np.stack([g, 0 * g], -1).reshape(2, 8, 2, 8) / 2**0.5,
        lambda g: np.stack([g, 0 * g], -1).reshape(2, 8, 2, 8),
    ),
    "experts, of a dense model": (
        Upcycle(), SMALL, {"experts": 3}, "blocks/mlp/up/bias",
        lambda g: np.stack([g / 3] * 3, 1), lambda g: np.stack([g] * 3, 1),
    ),
    "experts, copied": (
        CopyExperts(), replace(SMALL, experts=2, top_k=1), {"experts": 4, "top_k": 2}, "blocks/mlp/router/kernel",
        lambda g: g[..., [0, 1, 0, 1]] / 2, lambda g: g[..., [0, 1, 0, 1]],
    ),
    "vocabulary": (
        AddRows(), SMALL, {"vocab": 15}, "tokens/table",
        lambda g: np.concatenate([g, 0 * g[:2]]), lambda g: np.concatenate([g, 0 * g[:2]]),
    ),
    "channels": (
        FPI(), CONV, {"channels": (6, 6)}, "blocks/1/norm/gain",
        lambda g: g[[0, 1, 2, 3, 0, 1]] / np.array([2, 2, 1, 1, 2, 2]), lambda g: g[[0, 1, 2, 3, 0, 1]],
    ),
    "block-diagonal": (
        BlockDiagonal(), SMALL, {"mlp": 24}, "blocks/mlp/up/bias",
        lambda g: np.concatenate([g, g], 1) / 2, lambda g: np.concatenate([g, g], 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CLOSED)
def test_each_rule_in_closed_form(kind) -> None:
    """Second moments by the squares of what first ones move by; counts stay but under "reset"."""
    operator, small, changes, where, dual, copy = CLOSED[kind]
    growth = Growth(operator, small, replace(small, **changes))
    g = np.asarray(by_path(random_params(small))[where])
    weights = dual(np.ones_like(g))
    for rule, first, second, count in (
        ("dual", dual(g), weights**2 * copy(g) ** 2, 7),
        ("copy", copy(g), copy(g) ** 2, 7),
        ("reset", 0 * copy(g), 0 * copy(g), 0),
    ):
        mu, nu, counted = moved(growth, {where: g}, rule)
        np.testing.assert_allclose(mu[where], first, rtol=1e-6, atol=1e-7, err_msg=rule)
        np.testing.assert_allclose(nu[where], second, rtol=1e-6, atol=1e-7, err_msg=rule)
        assert counted == count


#: The first pair of every operator; the others are slow.
FIRST = {NAMES[[type(pair[0]) for pair in OPERATORS].index(type(pair[0]))] for pair in OPERATORS}
PAIRS = [
    pytest.param(*pair, id=name, marks=[] if name in FIRST else pytest.mark.slow)
    for pair, name in zip(OPERATORS, NAMES, strict=True)
]


@pytest.mark.parametrize(("operator", "small", "large"), PAIRS)
def test_first_moments_of_every_operator(operator, small, large) -> None:
    """By the dual maps or by index, against matrices in numpy, for the largest parameters that change."""
    growth, params = Growth(operator, small, large), by_path(random_params(small))
    changed = [w for w in params if params[w].shape != growth.target[w][1]] or list(params)
    chosen = {where: params[where] for where in sorted(changed, key=lambda w: -params[w].size)[:2]}
    sources = {"small": random_params(small), "init": jax.tree.map(np.zeros_like, random_params(large))}
    for rule, view in (("dual", by_dual), ("copy", by_index)):
        wanted, (mu, _, _) = by_matrices(growth, sources, growth.moment_terms, view), moved(growth, chosen, rule)
        for where in chosen:
            np.testing.assert_allclose(mu[where], wanted[where], rtol=1e-5, atol=1e-6, err_msg=f"{rule} {where}")
    mu, nu, count = moved(growth, chosen, "reset")
    assert all(mu[where].shape == growth.target[where][1] and not mu[where].any() for where in chosen)
    assert not any(nu[where].any() for where in chosen)
    assert count == 0


def test_frozen_parameters_have_no_moments_to_grow() -> None:
    growth, tx = Growth(FPI(), SMALL, replace(SMALL, embed=16)), optax.adam(1e-3)
    params = {**random_params(SMALL), "tokens": {"table": None}}
    grown = grow_moments(growth, tx, tx.init(params), "dual")
    assert grown[0].mu["tokens"] == {"table": None}
    assert grown[0].nu["norm"]["gain"].shape == (16,)


def test_what_cannot_be_moved_is_refused() -> None:
    growth, params = Growth(FPI(), SMALL, replace(SMALL, mlp=24)), random_params(SMALL)
    rprop = optax.rprop(1e-3)
    with pytest.raises(GrowthError, match=r"ScaleByRpropState keeps step_sizes for 'blocks/.*moments='copy'"):
        grow_moments(growth, rprop, rprop.init(params), "dual")
    grow_moments(growth, rprop, rprop.init(params), "copy")
    adam = optax.adam(1e-3)
    with pytest.raises(ValueError, match="moments='double' is unknown"):
        grow_moments(growth, adam, adam.init(params), "double")
    with pytest.raises(GrowthError, match=r"is \(2, 24, 8\) in the tree to grow, but \(2, 12, 8\)"):
        grow_moments(growth, adam, adam.init(random_params(growth.config)), "dual")

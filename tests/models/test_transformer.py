import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.block import dropout
from stagejax.models.transformer import Transformer, bert, gpt, llama

SMALL = {"vocab": 23, "embed": 8, "heads": 4, "layers": 2, "mlp": 12, "length": 10, "norm_eps": 1e-3}
VARIANTS = {
    "bert": bert(**SMALL, types=2),
    "bert untied": bert(**SMALL, tied=False),
    "bert pre-norm": bert(**SMALL, norm_position="pre"),
    "encoder rotary rms": bert(**SMALL, norm="rms", positions="rotary", activation="swiglu"),
    "gpt": gpt(**SMALL),
    "gpt untied": gpt(**SMALL, tied=False),
    "gpt post-norm": gpt(**SMALL, norm_position="post"),
    "gpt no bias, wide heads, narrow values": gpt(**SMALL, use_bias=False, head_dim=6, value_dim=3),
    "llama": llama(**SMALL, kv_heads=2),
    "llama tied, one kv head": llama(**SMALL, kv_heads=1, tied=True),
}
variants = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
DECODERS = {name: config for name, config in VARIANTS.items() if config.causal}
decoders = pytest.mark.parametrize("config", DECODERS.values(), ids=DECODERS)


def spread(shapes):
    """Parameters of size one half, so that no part of a model is near to zero or to linear."""
    leaves, structure = jax.tree.flatten(shapes)
    rng = np.random.default_rng(0)
    return jax.tree.unflatten(structure, [jnp.asarray(rng.normal(size=x.shape) * 0.5, np.float32) for x in leaves])


@functools.cache
def abstract(config):
    return nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))


@functools.cache
def pieces(config):
    """The model as a pure function of its parameters, jitted, and parameters for it."""
    graphdef, shapes = abstract(config)

    @functools.partial(jax.jit, static_argnames=("depth", "stop_below"))
    def apply(params, tokens, **options):
        return nnx.merge(graphdef, params)(tokens, **options)

    return apply, spread(nnx.to_pure_dict(shapes))


def model_of(config):
    return nnx.merge(abstract(config)[0], pieces(config)[1])


TOKENS = np.random.default_rng(1).integers(0, 23, (2, 7)).astype(np.int32)


@variants
def test_every_parameter_names_its_axes_and_their_sizes(config):
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    assert not nnx.to_pure_dict(nnx.split(model, nnx.Param, ...)[2])
    named = jax.tree.map(
        lambda axes, leaf: tuple(config.sizes()[name] for name in axes.names) == leaf.shape,
        axes_of(model),
        params,
        is_leaf=is_axes,
    )
    assert all(jax.tree.leaves(named))
    used = {name for axes in jax.tree.leaves(axes_of(model), is_leaf=is_axes) for name in axes.names}
    assert used == set(config.sizes())


@variants
def test_the_norm_before_a_tied_head_and_no_other_says_so(config):
    axes = axes_of(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
    last = axes["norm"] if config.causal else axes["head"]["norm"]
    tied = {id(leaf) for leaf in jax.tree.leaves(axes, is_leaf=is_axes) if leaf.tied}
    expected = jax.tree.leaves(last, is_leaf=is_axes) if config.tied else []
    assert tied == {id(leaf) for leaf in expected}


@pytest.mark.slow
def test_initial_parameters_do_not_depend_on_scan():
    states = [nnx.state(gpt(**SMALL, scan=scan).build(nnx.Rngs(3))) for scan in (False, True)]
    jax.tree.map(np.testing.assert_array_equal, *states)
    blocks = jax.tree.map(np.asarray, nnx.to_pure_dict(states[0])["blocks"])
    query = blocks["attention"]["query"]["kernel"]
    assert (query[0] != query[1]).all()
    assert float(blocks["attention"]["out"]["kernel"].std()) == pytest.approx(0.02 / math.sqrt(4), rel=0.2)


@functools.cache
def value_and_grad(config):
    apply, params = pieces(config)
    return jax.jit(jax.value_and_grad(lambda params: (apply(params, TOKENS) ** 2).mean()))(params)


@pytest.mark.parametrize(
    ("name", "options"),
    [("bert", {"scan": True}), ("llama", {"scan": True, "remat": "full"}), ("llama", {"remat": "dots"})],
)
def test_scan_and_remat_change_no_value_and_no_gradient(name, options):
    expected = value_and_grad(VARIANTS[name])
    got = value_and_grad(dataclasses.replace(VARIANTS[name], **options))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), got, expected)


def norm(x, leaf, kind, eps):
    if kind == "layer":
        x = x - x.mean(-1, keepdims=True)
    y = x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * leaf["gain"]
    return y + leaf.get("shift", 0)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def dense(x, leaf, contracted=1):
    return np.tensordot(x, leaf["kernel"], contracted) + leaf.get("bias", 0)


@pytest.mark.parametrize("name", ["bert", "gpt", "bert pre-norm", "gpt post-norm", "llama"])
def test_one_layer_matches_numpy(name):
    c = dataclasses.replace(VARIANTS[name], layers=1)
    apply, params = pieces(c)
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    block = jax.tree.map(lambda x: x[0], p["blocks"])
    tokens = np.asarray(TOKENS)
    T = tokens.shape[1]

    def attention(x, p):
        q, k, v = (dense(x, p[part]) for part in ("query", "key", "value"))
        if c.positions == "rotary":
            half = q.shape[-1] // 2
            angles = np.arange(T)[:, None] * 10000.0 ** (-np.arange(half) / half)
            turn = np.exp(1j * angles)

            def rotated(x, turn):
                z = (x[..., :half] + 1j * x[..., half:]) * turn
                return np.concatenate([z.real, z.imag], -1)

            q, k = rotated(q, turn[:, None, None]), rotated(k, turn[:, None])
        scores = np.einsum("btkgh,bskh->bkgts", q, k) / np.sqrt(q.shape[-1])
        if c.causal:
            scores = np.where(np.tril(np.ones((T, T), bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return dense(np.einsum("bkgts,bskh->btkgh", weights, v), p["out"], 3)

    def mlp(x, p):
        if c.activation == "swiglu":
            gate = dense(x, p["gate"])
            return dense(gate / (1 + np.exp(-gate)) * dense(x, p["up"]), p["down"])
        h = dense(x, p["up"])
        if c.activation == "gelu_tanh":
            return dense(0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3))), p["down"])
        return dense(gelu(h), p["down"])

    x = p["tokens"]["table"][tokens]
    if c.positions == "learned":
        x = x + p["positions"]["table"][:T]
    if c.types:
        x = x + p["types"]["table"][0]
    if c.norm_position == "post":
        x = norm(x, p["embed_norm"], c.norm, c.norm_eps)
    for part, f in (("attention", attention), ("mlp", mlp)):
        if c.norm_position == "pre":
            x = x + f(norm(x, block[f"{part}_norm"], c.norm, c.norm_eps), block[part])
        else:
            x = norm(x + f(x, block[part]), block[f"{part}_norm"], c.norm, c.norm_eps)
    if "norm" in p:
        x = norm(x, p["norm"], c.norm, c.norm_eps)
    if not c.causal:
        x = norm(gelu(dense(x, p["head"]["dense"])), p["head"]["norm"], c.norm, c.norm_eps)
    expected = x @ (p["tokens"]["table"].T if c.tied else p["head"]["output"]["kernel"])
    if not c.causal:
        expected = expected + p["head"]["bias"]
    assert ("norm" in p) == (c.causal or c.norm_position == "pre")
    np.testing.assert_allclose(apply(params, TOKENS), expected, rtol=2e-4, atol=2e-4)


@decoders
def test_the_future_changes_nothing(config):
    apply, params = pieces(dataclasses.replace(config, layers=1))
    changed = np.where(np.arange(7) == 4, (TOKENS + 1) % 23, TOKENS)
    before, after = np.asarray(apply(params, TOKENS)), np.asarray(apply(params, changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert np.abs(before[:, 4:] - after[:, 4:]).min(-1).max() > 0


SCANNED = dataclasses.replace(VARIANTS["llama"], scan=True)


@pytest.mark.parametrize("config", [VARIANTS["gpt"], VARIANTS["gpt post-norm"], VARIANTS["llama"], SCANNED])
def test_cached_steps_match_the_whole_sequence(config):
    apply, params = pieces(config)
    step = jax.jit(model_of(config).step)
    expected = apply(params, TOKENS)
    cache = model_of(config).init_cache(2, 7)
    first, cache = step(TOKENS[:, :4], cache)
    logits = [first]
    for t in range(4, 7):
        new, cache = step(TOKENS[:, t : t + 1], cache)
        logits.append(new)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.concatenate(logits, 1) / scale, expected / scale, atol=1e-5)
    assert cache.lengths_B.tolist() == [7, 7]
    assert np.isnan(step(TOKENS[:, :1], cache)[0]).all()


def test_cached_rows_may_have_different_lengths():
    config = VARIANTS["llama"]
    apply, params = pieces(config)
    step = jax.jit(model_of(config).step)
    counts = jnp.array([2, 4], jnp.int32)
    _, cache = step(TOKENS[:, :4], model_of(config).init_cache(2, 8), counts)
    following = jnp.array([[5], [6]], jnp.int32)
    logits, cache = step(following, cache)
    assert cache.lengths_B.tolist() == [3, 5]
    for row, count in enumerate((2, 4)):
        alone = np.zeros((2, 7), np.int32)  # one causal row, with padding behind it that changes nothing
        alone[:, : count + 1] = [*TOKENS[row, :count].tolist(), int(following[row, 0])]
        expected = apply(params, alone)[0, count]
        np.testing.assert_allclose(np.asarray(logits)[row, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_dropout_is_a_function_of_the_key():
    config = dataclasses.replace(VARIANTS["gpt"], dropout=0.5, layers=2)
    apply, params = pieces(config)
    one, again, other = (np.asarray(apply(params, TOKENS, key=jax.random.key(seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-2
    scanned, _ = pieces(dataclasses.replace(config, scan=True))
    np.testing.assert_allclose(scanned(params, TOKENS, key=jax.random.key(0)), one, rtol=1e-4, atol=1e-4)
    plain, _ = pieces(dataclasses.replace(config, dropout=0.0))
    np.testing.assert_array_equal(apply(params, TOKENS), plain(params, TOKENS))


def test_dropout_keeps_the_mean():
    kept = dropout(jnp.ones(10_000), 0.25, jax.random.key(0))
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.03)
    assert set(np.unique(kept).tolist()) == {0.0, float(np.float32(1 / 0.75))}


@pytest.mark.slow
@pytest.mark.parametrize("scan", [False, True])
def test_a_sub_model_trains_its_top_blocks_and_head_alone(scan):
    apply, params = pieces(dataclasses.replace(VARIANTS["bert"], scan=scan, layers=3))
    grads = jax.jit(jax.grad(lambda params: (apply(params, TOKENS, depth=2, stop_below=1) ** 2).mean()))(params)
    grads = jax.tree.map(np.asarray, grads)
    rows = jax.tree.map(lambda g: np.abs(g).reshape(3, -1).max(-1), grads["blocks"])
    key_bias = rows["attention"]["key"].pop("bias")  # moves all scores of a query alike, so it never has a gradient
    for row in jax.tree.leaves(rows):
        assert row[0] == 0
        assert row[1] > 1e-6
        assert row[2] == 0
    assert key_bias[0] == key_bias[2] == 0
    assert all(np.abs(g).max() == 0 for g in jax.tree.leaves((grads["positions"], grads["embed_norm"])))
    assert np.abs(grads["tokens"]["table"]).max() > 1e-6


def test_depth_and_stop_choose_the_function_and_its_gradient():
    apply, params = pieces(VARIANTS["bert"])
    bottom, _ = pieces(dataclasses.replace(VARIANTS["bert"], layers=1))
    first = {**params, "blocks": jax.tree.map(lambda p: p[:1], params["blocks"])}
    np.testing.assert_allclose(apply(params, TOKENS, depth=1), bottom(first, TOKENS), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(apply(params, TOKENS), apply(params, TOKENS, stop_below=1))


@pytest.mark.slow
def test_unrolled_backward_passes_of_frozen_rows_are_dropped():
    config = gpt(vocab=8, embed=64, heads=1, layers=4, mlp=256, length=8)
    graphdef, state = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
    params = nnx.to_pure_dict(state)
    tokens = jax.ShapeDtypeStruct((1, 8), jnp.int32)

    def flops(trained_rows):
        def loss(top, params, tokens):
            still = jax.tree.map(lambda p: p[: 4 - trained_rows], params["blocks"])
            blocks = jax.tree.map(lambda *parts: jnp.concatenate(parts), still, top)
            return nnx.merge(graphdef, {**params, "blocks": blocks})(tokens).sum()

        top = jax.tree.map(lambda p: jax.ShapeDtypeStruct((trained_rows, *p.shape[1:]), p.dtype), params["blocks"])
        return jax.jit(jax.grad(loss)).lower(top, params, tokens).compile().cost_analysis()["flops"]

    # Of 4 blocks' forward (1 unit each) and backward (2): all train 12, one trains 4 + 2.
    assert flops(1) / flops(4) < 0.65


def test_packed_sequences_are_alone():
    apply, params = pieces(VARIANTS["gpt"])
    segments = jnp.array([[1, 1, 1, 2, 2, 2, 2]] * 2)
    positions = jnp.array([[0, 1, 2, 0, 1, 2, 3]] * 2)
    packed = np.asarray(apply(params, TOKENS, segments=segments, positions=positions))
    np.testing.assert_allclose(packed[:, :3], np.asarray(apply(params, TOKENS))[:, :3], rtol=1e-4, atol=1e-4)
    second = np.asarray(apply(params, np.roll(TOKENS, -3, axis=1)))
    np.testing.assert_allclose(packed[:, 3:], second[:, :4], rtol=1e-4, atol=1e-4)


def test_padding_is_not_seen():
    apply, params = pieces(VARIANTS["bert"])
    mask = jnp.arange(7)[None] < jnp.array([[4], [4]])
    padded = np.asarray(apply(params, np.where(np.arange(7) < 4, TOKENS, 0), mask=mask))
    np.testing.assert_allclose(padded[:, :4], apply(params, TOKENS[:, :4]), rtol=1e-4, atol=1e-4)


def test_token_types_are_added():
    apply, params = pieces(VARIANTS["bert"])
    zeros, ones = (np.asarray(apply(params, TOKENS, types=np.full(TOKENS.shape, i))) for i in (0, 1))
    np.testing.assert_array_equal(zeros, apply(params, TOKENS))
    assert np.abs(zeros - ones).max() > 1e-3


@pytest.mark.parametrize("name", ["bert", "llama"])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_computes_in_the_dtype_of_its_parameters(name, dtype):
    with jax.enable_x64(True):
        apply, params = pieces(VARIANTS[name])
        wide = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
        logits = apply(jax.tree.map(lambda p: p.astype(dtype), wide), TOKENS)
        exact = apply(wide, TOKENS)
        assert logits.dtype == dtype
        if dtype == "float64":  # no float32 inside: unrolled and scanned programs agree to the last digits
            scanned, _ = pieces(dataclasses.replace(VARIANTS[name], scan=True))
            np.testing.assert_allclose(scanned(wide, TOKENS), exact, rtol=1e-12, atol=1e-12)
            assert "f32" not in str(jax.make_jaxpr(apply)(wide, TOKENS))
        else:
            assert np.abs(np.asarray(logits, np.float64) - exact).max() < 0.1 * np.abs(exact).max()


def test_a_token_outside_of_the_vocabulary_is_not_clamped():
    apply, params = pieces(VARIANTS["llama"])
    logits = apply(params, np.where(np.arange(7) == 3, np.array([[23], [1]]), TOKENS))
    assert np.isnan(np.asarray(logits)[0, 3:]).all()
    assert np.isfinite(np.asarray(logits)[1]).all()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"heads": 4, "kv_heads": 3}, "kv_heads=3 .* Set kv_heads to 1, 2 or 4"),
        ({"heads": 1, "kv_heads": 2, "embed": 8}, "kv_heads=2 .* Set kv_heads to 1"),
        ({"kv_heads": 0}, "kv_heads=0"),
        ({"positions": "rotary", "head_dim": 5}, "head_dim=5 is odd.*even number"),
        ({"positions": "rotary", "embed": 12, "heads": 4}, "head_dim=3 is odd"),
        ({"embed": 10, "heads": 4}, "heads=4 does not divide embed=10.*Set head_dim"),
        ({"layers": 0}, "layers=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
    ],
)
def test_a_bad_config_says_which_field_and_what_to_set(fields, says):
    with pytest.raises(ValueError, match=says):
        Transformer(**fields)


@pytest.mark.parametrize("field", ["norm", "norm_position", "positions", "activation", "attention", "remat"])
def test_an_unknown_choice_names_the_others(field):
    # Outside of tests nothing checks the annotations, so the message must come from the config itself.
    config = Transformer()
    object.__setattr__(config, field, "batch")
    with pytest.raises(ValueError, match=f"{field}='batch' is unknown: choose"):
        config.__post_init__()


def test_bad_calls_say_what_to_set():
    model, tokens = model_of(VARIANTS["gpt"]), jnp.asarray(TOKENS)
    with pytest.raises(ValueError, match=r"11 tokens.*length=10"):
        model(jnp.zeros((1, 11), jnp.int32))
    with pytest.raises(ValueError, match="depth=4 and stop_below=0 in a model of layers=2"):
        model(tokens, depth=4)
    with pytest.raises(ValueError, match="stop_below=3"):
        model(tokens, depth=2, stop_below=3)
    with pytest.raises(ValueError, match="types=0"):
        model(tokens, types=tokens)
    with pytest.raises(ValueError, match="length=10"):
        model.init_cache(1, 11)
    with pytest.raises(ValueError, match="causal=False"):
        model_of(VARIANTS["bert"]).init_cache(1, 4)


def test_a_prefix_is_seen_in_both_directions_and_nothing_behind_it():
    apply, params = pieces(VARIANTS["gpt"])
    tokens = jnp.arange(1, 8)[None]
    prefix = jnp.arange(7)[None] < 3

    def logits(changed=None, prefix=prefix):
        return np.asarray(apply(params, tokens if changed is None else tokens.at[0, changed].add(9), prefix=prefix))

    before = logits()
    for changed, first in ((2, 0), (0, 0), (3, 3), (5, 5)):  # the last token of the prefix reaches the first one
        moved = np.abs(logits(changed) - before)[0].max(-1) > 1e-4
        assert moved.tolist() == [t >= first for t in range(7)]
    plain = np.asarray(apply(params, tokens))
    np.testing.assert_allclose(logits(prefix=prefix & False), plain, rtol=1e-5, atol=1e-5)
    assert np.abs(before - plain).max() > 1e-3

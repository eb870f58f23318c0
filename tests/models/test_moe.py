"""The mixture of experts against loops over tokens: outputs, gradients, capacity, statistics, devices, FLOPs."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType

from stagejax.axes import axes_of, shardings
from stagejax.ledger import count_flops
from stagejax.models.moe import Mixture, MoE
from stagejax.models.transformer import Transformer, llama
from stagejax.objectives import causal_lm, with_experts
from stagejax.objectives.experts import load_balance, load_entropy

E, F, X = 6, 5, 4
INPUT = np.random.default_rng(1).normal(size=(2, 7, E)).astype(np.float32)
FOUR = Mixture(experts=X, top_k=2)


def randomised(module: nnx.Module, dtype: str = "float32"):
    graphdef, state = nnx.split(module)
    leaves, structure = jax.tree.flatten(nnx.to_pure_dict(state))
    rng = np.random.default_rng(0)
    return graphdef, structure.unflatten([jnp.asarray(rng.normal(size=x.shape) * 0.7, dtype) for x in leaves])


@functools.cache
def layer(mixture: Mixture, activation: str = "swiglu", bias: bool = False):
    """The layer as a pure function of parameters and input, jitted, and random parameters."""
    module = MoE(E, F, mixture, activation=activation, bias=bias, std=1.0, std_out=1.0, rngs=nnx.Rngs(0))
    graphdef, params = randomised(module)
    return jax.jit(lambda params, x, masks=None: nnx.merge(graphdef, params).routed(x, masks)), params


def by_loop(params, x_BTE, mixture: Mixture, activation: str = "swiglu"):
    """One token at a time; the output and the share of choices for which there was no room."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    room = math.inf
    if mixture.capacity is not None:
        room = min(x_BTE.shape[1], math.ceil(mixture.capacity * mixture.top_k * x_BTE.shape[1] / X))

    def dense(name, e, x):
        return x @ p[name]["kernel"][e] + (p[name]["bias"][e] if "bias" in p[name] else 0)

    def expert(e, x):
        up = dense("up", e, x)
        if activation == "swiglu":
            gate = dense("gate", e, x)
            return dense("down", e, gate / (1 + np.exp(-gate)) * up)
        return dense("down", e, up * 0.5 * (1 + np.vectorize(math.erf)(up / math.sqrt(2))))

    y, dropped = np.zeros(x_BTE.shape), 0
    for b, row in enumerate(np.asarray(x_BTE, np.float64)):
        taken = [0] * X
        for t, token in enumerate(row):
            logits = token @ p["router"]["kernel"]
            best = sorted(range(X), key=lambda e: -logits[e])[: mixture.top_k]
            among = best if mixture.routing == "topk_softmax" else range(X)
            total = sum(math.exp(logits[e]) for e in among)
            for e in best:
                taken[e] += 1
                if taken[e] > room:
                    dropped += 1
                else:
                    y[b, t] += math.exp(logits[e]) / total * expert(e, token)
    return y, dropped / (x_BTE.shape[0] * x_BTE.shape[1] * mixture.top_k)


@pytest.mark.parametrize(
    ("mixture", "activation", "bias"),
    [
        (FOUR, "swiglu", False),
        (dataclasses.replace(FOUR, routing="softmax_topk"), "gelu", True),
        (dataclasses.replace(FOUR, dispatch="dense"), "gelu", True),
        (dataclasses.replace(FOUR, top_k=1, routing="softmax_topk", dispatch="dense"), "swiglu", False),
        (dataclasses.replace(FOUR, capacity=0.6), "swiglu", True),
        (dataclasses.replace(FOUR, capacity=float(X)), "gelu", False),
    ],
    ids=str,
)
def test_equals_the_loop_over_tokens(mixture, activation, bias) -> None:
    apply, params = layer(mixture, activation, bias)
    y, statistics = apply(params, INPUT)
    expected, dropped = by_loop(params, INPUT, mixture, activation)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    assert float(statistics.dropped) == pytest.approx(dropped, abs=1e-6)
    if mixture.capacity is not None:
        assert (dropped > 0) == (mixture.capacity < 1)


def test_gradients_are_those_of_the_plain_sum() -> None:
    """All dispatches, against autodiff of the definition: every expert, weighted by its softmax if it was chosen."""
    _, params = layer(FOUR, "swiglu", True)

    def plain(params, x):
        logits = x @ params["router"]["kernel"]
        chosen = logits >= jnp.sort(logits, axis=-1)[..., -2:-1]
        weights = jax.nn.softmax(jnp.where(chosen, logits, -jnp.inf))
        gate, up = (jnp.einsum("bte,xef->btxf", x, params[n]["kernel"]) + params[n]["bias"] for n in ("gate", "up"))
        y = jnp.einsum("btxf,xfe->btxe", jax.nn.silu(gate) * up, params["down"]["kernel"]) + params["down"]["bias"]
        return jnp.einsum("btx,btxe->bte", weights, y)

    def gradients(function):
        return jax.jit(jax.grad(lambda p, x: jnp.sum(jnp.sin(function(p, x))), argnums=(0, 1)))(params, INPUT)

    expected = gradients(plain)
    for change in ({}, {"dispatch": "dense"}, {"capacity": float(X)}):
        apply, _ = layer(dataclasses.replace(FOUR, **change), "swiglu", True)
        got = gradients(lambda p, x, apply=apply: apply(p, x)[0])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), got, expected)


def test_statistics_of_a_router_that_does_not_care() -> None:
    apply, params = layer(FOUR)
    params = {**params, "router": {"kernel": jnp.zeros((E, X))}}
    statistics = apply(params, INPUT)[1]
    np.testing.assert_allclose(statistics.probability, 1 / X, rtol=1e-6)
    assert float(statistics.entropy) == pytest.approx(math.log(X))
    assert float(statistics.z) == pytest.approx(math.log(X) ** 2)
    assert float(statistics.max_z) == 0
    assert float(load_balance(statistics.load, statistics.probability)) == pytest.approx(1)


def test_statistics_count_what_the_loop_counts() -> None:
    apply, params = layer(FOUR)
    statistics = apply(params, INPUT)[1]
    logits = np.asarray(INPUT, np.float64).reshape(-1, E) @ np.asarray(params["router"]["kernel"], np.float64)
    chosen = np.argsort(-logits, axis=1)[:, :2]
    np.testing.assert_allclose(statistics.load, np.bincount(chosen.ravel(), minlength=X) / chosen.size, rtol=1e-6)
    np.testing.assert_allclose(statistics.z, np.mean(np.log(np.exp(logits).sum(1)) ** 2), rtol=1e-5)
    np.testing.assert_allclose(statistics.max_z, np.mean(logits.max(1) ** 2), rtol=1e-5)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(statistics.entropy, -np.mean((p * np.log(p)).sum(1)), rtol=1e-5)
    assert float(load_entropy(jnp.array([0.5, 0.5, 0.0, 0.0]))) == pytest.approx(0.5)


def test_an_expert_of_mask_zero_is_not_there() -> None:
    """The layer with its last two experts masked is the layer of the first two, also in its gradients."""
    apply, params = layer(FOUR)
    two = {n: {"kernel": p["kernel"][:, :2] if n == "router" else p["kernel"][:2]} for n, p in params.items()}
    alone, _ = layer(Mixture(experts=2, top_k=2))
    masks = {"experts": jnp.array([1.0, 1.0, 0.0, 0.0])}
    np.testing.assert_allclose(apply(params, INPUT, masks)[0], alone(two, INPUT)[0], rtol=1e-5, atol=1e-6)
    grads = jax.grad(lambda p, m: apply(p, INPUT, {"experts": m})[0].sum(), argnums=(0, 1))(params, masks["experts"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert not np.asarray(grads[0]["up"]["kernel"])[2:].any()


def test_half_a_mask_halves_the_odds() -> None:
    apply, params = layer(dataclasses.replace(FOUR, top_k=1, routing="softmax_topk"))
    params = {**params, "router": {"kernel": jnp.zeros((E, X))}}
    probability = apply(params, INPUT, {"experts": jnp.array([1.0, 1.0, 0.5, 0.0])})[1].probability
    np.testing.assert_allclose(probability, [0.4, 0.4, 0.2, 0.0], rtol=1e-6)


def test_flops_are_those_of_the_chosen_experts() -> None:
    tokens = INPUT.shape[0] * INPUT.shape[1]
    router, each = 2 * tokens * E * X, 2 * tokens * 3 * E * F  # gate, up, down of one expert
    for mixture, experts in (
        (FOUR, 2),
        (dataclasses.replace(FOUR, dispatch="dense"), X),
        (dataclasses.replace(FOUR, capacity=8 / 7), X * 4 / 7),  # room for ceil(8/7 · 2 · 7 / 4) = 4 of a row's 7
    ):
        apply, params = layer(mixture)
        assert count_flops(lambda p, x, apply=apply: apply(p, x)[0], params, INPUT) == router + experts * each
    assert count_flops(jax.grad(lambda p: layer(FOUR)[0](p, INPUT)[0].sum()), layer(FOUR)[1]) < 3 * (router + 2 * each)


# --- inside a transformer ---


SMALL = llama(vocab=11, embed=8, heads=4, kv_heads=2, layers=2, mlp=6, experts=X, norm_eps=1e-3)
TOKENS = np.random.default_rng(2).integers(0, 11, (4, 6)).astype(np.int32)


@functools.cache
def model(config: Transformer):
    graphdef, params = randomised(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
    return graphdef, params, jax.jit(lambda params, tokens: nnx.merge(graphdef, params).routed(tokens))


def test_every_layer_has_named_experts() -> None:
    axes = axes_of(nnx.eval_shape(lambda: SMALL.build(nnx.Rngs(0))))["blocks"]["mlp"]
    assert str(axes["router"]["kernel"]) == "#layers <embed >experts"
    assert str(axes["up"]["kernel"]) == "#layers #experts <embed >mlp"
    assert str(axes["down"]["kernel"]) == "#layers #experts <mlp >embed"
    assert SMALL.sizes()["experts"] == X


def test_scan_and_remat_change_nothing() -> None:
    _, params, apply = model(SMALL)
    logits, statistics = apply(params, TOKENS)
    assert statistics.load.shape == (2, X)
    assert np.abs(statistics.load[0] - statistics.load[1]).max() > 0
    _, _, scanned = model(dataclasses.replace(SMALL, scan=True, remat="full"))
    other, routers = scanned(params, TOKENS)
    np.testing.assert_allclose(other, logits, rtol=1e-4, atol=1e-4)
    for a, b in zip(jax.tree.leaves(routers), jax.tree.leaves(statistics), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("capacity", [None, 0.7])
def test_the_future_changes_nothing(capacity) -> None:
    """Also with little room, for which tokens queue in their order."""
    _, params, apply = model(dataclasses.replace(SMALL, capacity=capacity))
    changed = np.where(np.arange(6) == 4, (TOKENS + 1) % 11, TOKENS).astype(np.int32)
    (before, statistics), (after, _) = apply(params, TOKENS), apply(params, changed)
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (float(statistics.dropped.max()) > 0) == (capacity is not None)


def test_cached_steps_match_the_whole_sequence() -> None:
    graphdef, params, apply = model(SMALL)
    step = jax.jit(lambda params, tokens, cache: nnx.merge(graphdef, params).step(tokens, cache))
    expected = np.asarray(apply(params, TOKENS)[0])
    first, cache = step(params, TOKENS[:, :4], nnx.merge(graphdef, params).init_cache(4, 6))
    logits = [first]
    for t in (4, 5):
        new, cache = step(params, TOKENS[:, t : t + 1], cache)
        logits.append(new)
    np.testing.assert_allclose(np.concatenate(logits, 1), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.skipif(jax.device_count() < 8, reason="needs eight devices")
@pytest.mark.parametrize("capacity", [None, 1.0])
def test_sharded_by_expert_equals_unsharded(capacity) -> None:
    apply, params = layer(dataclasses.replace(FOUR, capacity=capacity))
    mesh = jax.make_mesh((2, 4), ("data", "expert"), axis_types=(AxisType.Auto,) * 2)
    module = nnx.eval_shape(
        lambda: MoE(E, F, FOUR, activation="swiglu", bias=False, std=1.0, std_out=1.0, rngs=nnx.Rngs(0))
    )
    places = shardings(axes_of(module), params, mesh)
    assert places["up"]["kernel"].spec == jax.P("expert", None, None)

    def loss(params, x):
        y, routers = apply(params, x)
        return jnp.sum(jnp.sin(y)) + load_balance(routers.load, routers.probability), routers

    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    alone = run(params, INPUT)
    spread = run(jax.device_put(params, places), jax.device_put(INPUT, jax.NamedSharding(mesh, jax.P("data"))))
    for a, b in zip(jax.tree.leaves(spread), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.slow
def test_the_objective_adds_its_losses_and_reports_them_apart() -> None:
    graphdef, params, apply = model(SMALL)
    batch = {"tokens": jnp.asarray(TOKENS)}

    def both(params):
        weights = {"balance": 0.5, "z": 0.25, "max_z": 0.125}
        one = nnx.merge(graphdef, params)
        return causal_lm(one, batch, None), with_experts(causal_lm, one, batch, None, **weights)

    (language, plain), (loss, metrics) = jax.jit(both)(params)
    routers = apply(params, TOKENS[:, :-1])[1]
    balance = np.mean([X * np.sum(f * p) for f, p in zip(routers.load, routers.probability, strict=True)])
    extra = 0.5 * balance + 0.25 * routers.z.mean() + 0.125 * routers.max_z.mean()
    np.testing.assert_allclose(loss, language + extra, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], plain["loss"], rtol=1e-5)
    np.testing.assert_allclose([metrics[f"load/{e}"] for e in range(X)], routers.load.mean(0), rtol=1e-5)
    assert float(metrics["load_max"]) == pytest.approx(X * float(routers.load.max()))


def test_the_balance_loss_evens_the_load() -> None:
    apply, params = layer(dataclasses.replace(FOUR, top_k=1))
    kernel = params["router"]["kernel"] + jnp.array([1.0, 0.0, 0.0, 0.0]) * INPUT.mean((0, 1))[:, None] * 3

    def balance(kernel):
        statistics = apply({**params, "router": {"kernel": kernel}}, INPUT)[1]
        return load_balance(statistics.load, statistics.probability), statistics.load

    step = jax.jit(jax.value_and_grad(balance, has_aux=True))
    (first, load), _ = step(kernel)
    for _ in range(60):
        kernel = kernel - 0.3 * step(kernel)[1]
    (last, evened), _ = step(kernel)
    assert float(last) < float(first)
    assert float(evened.max()) < float(load.max())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"experts": 2, "top_k": 3}, "top_k=3 of experts=2"),
        ({"experts": 2, "top_k": 0}, "top_k=0 of experts=2"),
        ({"experts": 2, "capacity": 0.0}, r"capacity=0\.0 must be positive"),
    ],
)
def test_a_bad_config_says_what_to_set(fields, says) -> None:
    with pytest.raises(ValueError, match=says):
        Transformer(**fields)


def test_a_model_without_experts_has_no_routers() -> None:
    with pytest.raises(ValueError, match=r"experts=0.*Set Transformer\.experts"):
        nnx.eval_shape(lambda: Transformer(layers=1).build(nnx.Rngs(0))).routed(jnp.zeros((1, 3), jnp.int32))

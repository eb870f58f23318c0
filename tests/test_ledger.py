"""The FLOPs of a program and sums of costs."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec

from stagejax.ledger import Cost, count_flops, total


def spec(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def compiled_flops(fn, *specs):
    analysis = jax.jit(fn).lower(*specs).compile().cost_analysis()
    return (analysis[0] if isinstance(analysis, list) else analysis)["flops"]


def mlp(params, x):
    for w in params:
        x = x @ w
    return x.sum()


PARAMS = [spec(64, 96), spec(96, 32), spec(32, 48)]
FORWARD = 2 * 16 * (64 * 96 + 96 * 32 + 32 * 48)


def test_matmul_agrees_with_the_compiler():
    def fn(a, b):
        return a @ b

    assert (
        count_flops(fn, spec(32, 64), spec(64, 48))
        == 2 * 32 * 64 * 48
        == compiled_flops(fn, spec(32, 64), spec(64, 48))
    )


def test_a_mlp_and_its_gradient():
    x = spec(16, 64)
    assert count_flops(mlp, PARAMS, x) == FORWARD
    step = jax.value_and_grad(mlp)
    # backward: a weight gradient each, an input gradient for all but the first
    assert count_flops(step, PARAMS, x) == 3 * FORWARD - 2 * 16 * 64 * 96
    ours, theirs = count_flops(step, PARAMS, x), compiled_flops(step, PARAMS, x)
    assert ours == pytest.approx(theirs, rel=0.05)  # the compiler counts the sum too


def test_frozen_leaves_do_not_count():
    def step(params, x):
        return jax.grad(mlp)(params, x)[-1:]  # the last layer alone is trained

    # one weight gradient; the last layer's own output is needed by nothing, and is not computed
    dots = 2 * 16 * (64 * 96 + 96 * 32) + 2 * 16 * 32 * 48
    assert count_flops(step, PARAMS, spec(16, 64)) == dots
    # the same behind jit, and behind remat
    assert count_flops(lambda p, x: jax.jit(jax.grad(mlp))(p, x)[-1:], PARAMS, spec(16, 64)) == dots
    remat = jax.checkpoint(mlp)
    assert count_flops(lambda p, x: jax.grad(remat)(p, x)[-1:], PARAMS, spec(16, 64)) >= dots


def test_a_transformer_block_by_its_formula():
    batch, length, embed, heads, size, mlp_size, layers = 2, 8, 16, 4, 4, 32, 3

    def block(x_BLD, w):
        q, k, v = (jnp.einsum("bld,dhk->blhk", x_BLD, w[name]) for name in "qkv")
        weights = jax.nn.softmax(jnp.einsum("blhk,bmhk->bhlm", q, k))
        mixed = jnp.einsum("bhlm,bmhk->blhk", weights, v)
        x_BLD = x_BLD + jnp.einsum("blhk,hkd->bld", mixed, w["o"])
        return x_BLD + jax.nn.gelu(x_BLD @ w["up"]) @ w["down"], None

    shapes = {
        **dict.fromkeys("qkv", (layers, embed, heads, size)),
        "o": (layers, heads, size, embed),
        "up": (layers, embed, mlp_size),
        "down": (layers, mlp_size, embed),
    }
    w = {name: spec(*shape) for name, shape in shapes.items()}
    x = spec(batch, length, embed)
    weights_in_layer = 4 * embed * heads * size + 2 * embed * mlp_size
    forward = layers * (2 * batch * length * weights_in_layer + 2 * 2 * batch * heads * size * length**2)

    def loss(w, x, body):
        return jax.lax.scan(body, x, w)[0].sum()

    assert count_flops(functools.partial(loss, body=block), w, x) == forward
    both = jax.grad(functools.partial(loss, body=block), argnums=(0, 1))
    assert count_flops(both, w, x) == 3 * forward
    rematerialised = jax.grad(functools.partial(loss, body=jax.checkpoint(block)), argnums=(0, 1))
    assert forward * 3 < count_flops(rematerialised, w, x) <= forward * 4


def test_a_scan_drops_what_nobody_needs():
    def fn(x, w):
        def body(carry, _):
            used, unused = carry
            return (used @ w, unused @ w), used @ w.T

        (used, _), _ = jax.lax.scan(body, (x, x), None, length=5)
        return used

    assert count_flops(fn, spec(4, 8), spec(8, 8)) == 5 * 2 * 4 * 8 * 8


def test_a_conditional_counts_its_dearest_branch():
    def fn(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: x @ x @ x, x)

    assert count_flops(fn, spec(8, 8)) == 2 * 2 * 8**3


def test_while_loops():
    def fn(x):
        return jax.lax.while_loop(lambda x: x[0, 0] < 3, lambda x: x @ x, x)

    with pytest.raises(ValueError, match=r"while_trips"):
        count_flops(fn, spec(8, 8))
    assert count_flops(fn, spec(8, 8), while_trips=7) == 7 * 2 * 8**3
    assert count_flops(lambda x: jax.lax.while_loop(lambda x: x[0] < 3, lambda x: x + 1, x), spec(8)) == 0
    assert count_flops(lambda x: jax.lax.fori_loop(0, 3, lambda _, x: x @ x, x), spec(8, 8)) == 3 * 2 * 8**3


def test_custom_derivatives_count_the_rule_that_runs():
    @jax.custom_vjp
    def f(x):
        return x @ x

    f.defvjp(lambda x: (f(x), x), lambda x, t: (t @ x @ x,))
    assert count_flops(f, spec(8, 8)) == 2 * 8**3
    assert count_flops(jax.value_and_grad(lambda x: f(x).sum()), spec(8, 8)) == 3 * 2 * 8**3

    @jax.custom_jvp
    def g(x):
        return x @ x

    g.defjvp(lambda p, t: (g(p[0]), t[0]))
    assert count_flops(jax.value_and_grad(lambda x: g(x).sum()), spec(8, 8)) == 2 * 8**3


def test_shard_map_counts_every_device():
    mesh = jax.sharding.AbstractMesh((4,), ("data",), axis_types=(AxisType.Auto,))
    rows = PartitionSpec("data")
    fn = jax.shard_map(lambda x, w: x @ w, mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows)
    assert count_flops(fn, spec(16, 8), spec(8, 8)) == 2 * 16 * 8 * 8


@pytest.mark.parametrize(
    ("strides", "groups", "padding"), [((1, 1), 1, "VALID"), ((2, 2), 1, "SAME"), ((1, 1), 2, "SAME")]
)
def test_convolutions_and_both_gradients_cost_the_same(strides, groups, padding):
    x, w = spec(2, 4, 9, 9), spec(6, 4 // groups, 3, 3)

    def conv(x, w):
        return jax.lax.conv_general_dilated(x, w, strides, padding, feature_group_count=groups)

    forward = count_flops(conv, x, w)
    assert forward == pytest.approx(compiled_flops(conv, x, w), rel=0.01)
    for side in (0, 1):
        assert count_flops(jax.grad(lambda x, w: conv(x, w).sum(), side), x, w) == forward
    if padding == "VALID":
        assert forward == 2 * (2 * 6 * 7 * 7) * (4 // groups) * 3 * 3


def test_ragged_products():
    rows, experts, sizes = spec(12, 4), spec(3, 4, 5), jax.ShapeDtypeStruct((3,), jnp.int32)
    assert count_flops(jax.lax.ragged_dot, rows, experts, sizes) == 2 * 12 * 4 * 5
    grads = jax.grad(lambda a, b, n: (jax.lax.ragged_dot(a, b, n) ** 2).sum(), (0, 1))
    assert count_flops(grads, rows, experts, sizes) == 3 * 2 * 12 * 4 * 5


def test_costs_add_scale_and_travel():
    a = Cost(flops=10.0, eval_flops=1.0, tokens=4, samples=2, sampled_tokens=3, steps=1, seconds=0.5)
    assert a + Cost.zero() == a
    assert total([a, a, a]) == a.scale(3)
    assert total([]) == Cost()
    assert Cost.from_json(a.to_json()) == a
    with pytest.raises(ValueError, match="wattage"):
        Cost.from_json({"flops": 1.0, "wattage": 2.0})

"""Adapters in an encoder: what a block computes, what each combiner adds, and that tasks in one batch stay apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax import axes
from stagejax.models import bert
from stagejax.models.text.adapters import Adapted
from stagejax.models.text.combiners import Fusion, Own, Scale, transfer_parameters
from stagejax.objectives.tasks.several_tasks import several_tasks

TINY = bert(vocab=40, layers=2, embed=8, heads=2, mlp=16, length=12, init_std=0.2)
CONFIG = Adapted(TINY, tasks=3, classes=4, adapters=3, bottleneck=4)
COMBINERS = [Scale(), Scale(uniform=True), Scale(shared=True), Scale(shared=True, uniform=True), Fusion(std=0.5)]
COMBINERS += [Scale(constraint="softmax"), Scale(constraint="mean")]
TOKENS = jnp.asarray(np.random.default_rng(0).integers(4, 40, (6, 12)), jnp.int32).at[:, 0].set(1)
TOKENS = TOKENS.at[:, 5].set(2).at[:3, 9].set(2).at[:3, 10:].set(0).at[3:, 6:].set(0)  # three pairs, three single texts
TASKS = jnp.array([0, 1, 2, 0, 1, 2])


def trained_bank(config: Adapted, seed: int = 0) -> Any:
    """A model whose adapters do something."""
    model = config.build(nnx.Rngs(seed))
    if model.bank is not None:
        model.bank.up[...] = jax.random.normal(jax.random.key(5), model.bank.up.shape)
    return model


def outputs(model: Any, layer: int) -> tuple[Any, Any]:
    """Some stream h (B, T, E), and what each adapter gives of it by the formula (A, B, T, E)."""
    h = jax.random.normal(jax.random.key(1), (6, 12, 8))
    down, up = model.bank.down[...][layer], model.bank.up[...][layer]
    return h, jnp.stack([jnp.maximum(h @ down[a], 0) @ up[a] for a in range(len(down))])


@pytest.mark.slow
def test_fresh_adapters_change_nothing() -> None:
    plain = replace(CONFIG, adapters=0).build(nnx.Rngs(0))
    model = CONFIG.build(nnx.Rngs(0))
    model.encoder = plain.encoder
    wanted = plain.encoder.hidden(TOKENS, mask=TOKENS != 0)
    np.testing.assert_allclose(model.hidden(TOKENS, TASKS), wanted, atol=1e-5)
    np.testing.assert_allclose(plain.hidden(TOKENS, TASKS), wanted, atol=1e-5)


@pytest.mark.slow
def test_a_block_adds_its_residual_once() -> None:
    """Three equal adapters with coefficients that sum to 1 are one adapter; r + 3 u would be another stream."""
    model = trained_bank(replace(CONFIG, combine=Scale(dropout=0.0)))
    for name in ("down", "up"):
        leaf = getattr(model.bank, name)
        leaf[...] = jnp.broadcast_to(leaf[...][:, :1], leaf.shape)
    model.combine.omega[...] = jnp.zeros(model.combine.omega.shape) + jnp.array([0.5, 1.5, -1.0])[:, None]
    own = CONFIG.build(nnx.Rngs(0))
    own.encoder, own.bank = model.encoder, model.bank
    np.testing.assert_allclose(model.hidden(TOKENS, TASKS), own.hidden(TOKENS, TASKS), atol=1e-5)


def test_an_adapter_sits_between_the_feed_forward_network_and_its_norm() -> None:
    model = trained_bank(replace(CONFIG, encoder=replace(TINY, layers=1)))
    block = jax.tree.map(lambda x: x[0], nnx.split(model.encoder.blocks)[1])
    block = nnx.merge(nnx.split(model.encoder.blocks)[0], block)
    x = model.encoder.embed(TOKENS, jnp.arange(12)[None], None)
    x = block.attention_norm(x + block.attention(x, mask=TOKENS != 0))
    r = x + block.mlp(x)
    h = block.mlp_norm(r)
    down, up = model.bank.down[...][0][TASKS], model.bank.up[...][0][TASKS]
    u = jax.vmap(lambda h, down, up: jnp.maximum(h @ down, 0) @ up)(h, down, up)
    np.testing.assert_allclose(model.hidden(TOKENS, TASKS), block.mlp_norm(r + u), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("uniform", [False, True])
def test_scale_is_a_free_sum(shared: bool, uniform: bool) -> None:
    model = trained_bank(replace(CONFIG, combine=Scale(shared=shared, uniform=uniform)))
    omega = model.combine.omega
    assert omega.shape == (3, *(() if shared else (2,)), 3, *(() if uniform else (8,)))
    omega[...] = jax.random.normal(jax.random.key(2), omega.shape)
    for layer in range(2):
        h, u = outputs(model, layer)
        own = omega[...] if shared else omega[...][:, layer]
        wanted = jnp.stack([sum(own[t, a] * u[a, b] for a in range(3)) for b, t in enumerate(TASKS)])
        np.testing.assert_allclose(model.combine(model.bank, h, TASKS, layer, None), wanted, atol=1e-4)


def test_coefficients_begin_at_two_over_the_number_of_sources() -> None:
    combine = Scale(sees=((0, 1), (0, 1, 2, 3)))
    omega = np.asarray(combine.build(2, 4, 12, 256, nnx.Rngs(0)).omega[...])
    np.testing.assert_allclose(omega[0].mean(), 1.0, atol=1e-4)
    np.testing.assert_allclose(omega[1].mean(), 0.5, atol=1e-4)
    np.testing.assert_allclose(omega.std(axis=(1, 2, 3)), 0.001, rtol=0.05)


def test_a_training_step_drops_whole_coefficients_and_rescales_the_others() -> None:
    scales = Scale(dropout=0.3, spread=0.0).build(2, 4, 12, 256, nnx.Rngs(0))
    found = np.asarray(scales.coefficients(3, jax.random.key(0)))
    np.testing.assert_allclose(np.unique(found), [0, 0.5 / 0.7], rtol=1e-6)
    np.testing.assert_allclose((found == 0).mean(), 0.3, atol=0.03)
    assert not np.array_equal(found, scales.coefficients(4, jax.random.key(0)))
    np.testing.assert_array_equal(scales.coefficients(3), 0.5)


@pytest.mark.parametrize(("constraint", "total"), [("softmax", 1.0), ("mean", 1.0), (None, 2.0)])
def test_only_the_ablations_are_normalised(constraint: Any, total: float) -> None:
    scales = Scale(constraint=constraint, sees=((0, 2), (1,)), spread=0.1).build(2, 3, 2, 8, nnx.Rngs(0))
    sums = np.asarray(scales.coefficients(0)).sum(1)
    if constraint:
        np.testing.assert_allclose(sums, total, rtol=1e-5)
    else:
        assert np.abs(sums - total).max() > 0.01


@pytest.mark.slow
def test_fusion_is_attention_over_adapters() -> None:
    model = trained_bank(replace(CONFIG, combine=Fusion(std=0.5)))
    fusion = model.combine
    np.testing.assert_array_equal(fusion.value[...], np.broadcast_to(np.eye(8), (3, 2, 8, 8)))
    fusion.value[...] += 0.3 * jax.random.normal(jax.random.key(3), fusion.value.shape)
    h, u = outputs(model, 1)
    wanted = []
    for b, t in enumerate(TASKS):
        query, key, value = (w[...][t, 1] for w in (fusion.query, fusion.key, fusion.value))
        scores = jnp.stack([((h[b] @ query) * (u[a, b] @ key)).sum(-1) for a in range(3)])
        shares = jax.nn.softmax(scores, axis=0)
        wanted.append(sum(shares[a][:, None] * (u[a, b] @ value) for a in range(3)))
    np.testing.assert_allclose(fusion(model.bank, h, TASKS, 1, None), jnp.stack(wanted), atol=2e-4)


@pytest.mark.parametrize("combine", COMBINERS, ids=repr)
@pytest.mark.slow
def test_what_a_target_does_not_see_does_not_matter(combine: Any) -> None:
    model = trained_bank(replace(CONFIG, combine=replace(combine, sees=((0, 1), (1, 2), (0, 1, 2)))))
    before = model.answers(TOKENS, TASKS)
    model.bank.up[...] = model.bank.up[...].at[:, 0].multiply(-1.0)
    changed = np.abs(np.asarray(model.answers(TOKENS, TASKS) - before)).max(1) > 1e-6
    assert changed.tolist() == [True, False, True, True, False, True]


@pytest.mark.parametrize("combine", [Own(), *COMBINERS], ids=repr)
@pytest.mark.slow
def test_tasks_in_one_batch_are_trained_as_if_apart(combine: Any) -> None:
    """The gradient of one task's rows alone is, in all that is this task's, that of the whole batch."""
    graphdef, params, rest = nnx.split(trained_bank(replace(CONFIG, combine=combine)), nnx.Param, ...)
    batch = {"tokens": TOKENS, "task": TASKS, "classes": jnp.array([4, 2, 1] * 2), "weight": jnp.ones(6)}
    batch["label"] = jnp.array([3.0, 1.0, 0.7, 0.0, 0.0, 0.2])

    def gradient(rows: Any, tasks: int) -> Any:
        own = {name: x[rows] for name, x in batch.items()}
        loss = lambda p: several_tasks(nnx.merge(graphdef, p, rest), own, jax.random.key(7), tasks=tasks)[0]  # noqa: E731
        return nnx.to_pure_dict(jax.grad(loss)(params))

    whole = gradient(slice(None), 3)
    for task in range(3):
        alone = gradient(jnp.array([task, task + 3]), 1)
        trained = {"heads": alone["heads"], "combine": alone.get("combine", {})}
        for part, leaves in trained.items():
            for name, leaf in leaves.items():
                np.testing.assert_allclose(leaf[task], whole[part][name][task], rtol=2e-4, atol=1e-6)
                assert not np.delete(np.asarray(leaf), task, 0).any()
        if isinstance(combine, Own):
            np.testing.assert_allclose(alone["bank"]["up"][:, task], whole["bank"]["up"][:, task], rtol=2e-4, atol=1e-6)


@pytest.mark.slow
def test_one_adapter_for_all_and_adapters_further_on() -> None:
    model = trained_bank(replace(CONFIG, adapters=1))
    assert not np.allclose(model.hidden(TOKENS, TASKS), model.encoder.hidden(TOKENS, mask=TOKENS != 0))
    np.testing.assert_array_equal(model.hidden(TOKENS, TASKS), model.hidden(TOKENS, TASKS * 0))
    more = trained_bank(replace(CONFIG, adapters=5, combine=Own(first=2)))
    few = trained_bank(CONFIG)
    few.encoder, few.bank.down[...], few.bank.up[...] = (
        more.encoder,
        more.bank.down[...][:, 2:],
        more.bank.up[...][:, 2:],
    )
    np.testing.assert_allclose(more.hidden(TOKENS, TASKS), few.hidden(TOKENS, TASKS), atol=1e-6)
    with pytest.raises(ValueError, match="needs one for each"):
        replace(CONFIG, adapters=4, combine=Own(first=2)).build(nnx.Rngs(0))


def test_texts_of_a_row_are_read_apart() -> None:
    model = CONFIG.build(nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (6, 12, 8))
    first, second = model.texts(TOKENS, x)
    np.testing.assert_allclose(first, x[:, 1:5].mean(1), atol=1e-6)
    np.testing.assert_allclose(second[:3], x[:3, 6:9].mean(1), atol=1e-6)
    np.testing.assert_array_equal(second[3:], first[3:])  # one text


@pytest.mark.slow
@pytest.mark.parametrize("combine", [Own(), Scale(), Fusion()], ids=repr)
def test_looped_layers_give_what_unrolled_ones_do(combine: Any) -> None:
    unrolled = trained_bank(replace(CONFIG, combine=combine))
    looped = trained_bank(replace(CONFIG, combine=combine, encoder=replace(TINY, scan=True)))
    key = jax.random.key(1)
    np.testing.assert_allclose(looped.answers(TOKENS, TASKS, key), unrolled.answers(TOKENS, TASKS, key), atol=1e-5)


@pytest.mark.parametrize("combine", [Own(), *COMBINERS[:5]], ids=repr)
def test_every_axis_has_its_size(combine: Any) -> None:
    config = replace(CONFIG, combine=combine)
    sizes, model = config.sizes(), nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    found = jax.tree.leaves(axes.axes_of(model), is_leaf=axes.is_axes)
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    for named, leaf in zip(found, leaves, strict=True):
        assert leaf.shape == tuple(sizes[name] for name in named.names), named


def test_transfer_trains_the_published_numbers_of_parameters() -> None:
    """Of RoBERTa-base with 8 sources; AdapterFusion's are 3 L d^2, and ScaLearn's share of them T / 3d."""
    found = [transfer_parameters(combine, 8, 12, 768) for combine in COMBINERS[:5]]
    assert found == [73_728, 96, 6_144, 8, 21_233_664]
    assert found[0] / found[4] == pytest.approx(8 / (3 * 768))


def test_an_encoder_without_a_place_for_adapters_is_refused() -> None:
    with pytest.raises(ValueError, match="give it bert"):
        Adapted(replace(TINY, norm_position="pre"), 2, 2)
    with pytest.raises(ValueError, match="say for each"):
        replace(CONFIG, combine=Scale(sees=((0,), (1,)))).build(nnx.Rngs(0))

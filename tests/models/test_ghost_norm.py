"""Ghost batch norm: equal to batch norm on one ghost after the other, in values, gradients and running statistics."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.axes import axes_of
from stagejax.mesh import make_mesh
from stagejax.models.conv import BatchNorm
from stagejax.models.convnet import ResNet
from stagejax.models.ghost_norm import GhostBatchNorm, Ghosted, one_after_the_other
from stagejax.models.shallow import Shallow
from stagejax.models.vision.cnn import CNN, ConvLayer

X = jnp.asarray(np.random.RandomState(0).randn(12, 2, 3, 4) * [1, 2, 3, 4] + [0, 1, -2, 5], jnp.float32)


def norms(ghost: int) -> tuple[GhostBatchNorm, BatchNorm]:
    """The two layers, with the same gain and shift that are not trivial."""
    made = GhostBatchNorm("channels.1", 4, ghost=ghost, momentum=0.8), BatchNorm("channels.1", 4, momentum=0.8)
    for norm in made:
        norm.gain[...], norm.shift[...] = jnp.arange(1.0, 5.0), jnp.arange(-2.0, 2.0)
        norm.mean[...], norm.var[...] = jnp.arange(4.0), jnp.arange(1.0, 5.0)
    return made


@pytest.mark.parametrize("ghost", [1, 3, 4, 12])
def test_ghosts_are_batches_one_after_the_other(ghost: int) -> None:
    ours, plain = norms(ghost)
    y = ours(X, train=True)
    for start in range(0, 12, ghost):
        part = X[start : start + ghost]
        np.testing.assert_allclose(y[start : start + ghost], plain(part, train=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.mean[...], plain.mean[...], rtol=1e-5)
    np.testing.assert_allclose(ours.var[...], plain.var[...], rtol=1e-5)
    np.testing.assert_allclose(ours(X, train=False), plain(X, train=False), rtol=1e-4, atol=1e-5)


def test_its_running_statistics_are_not_the_mean_of_ghosts_at_one_rate() -> None:
    ours, _ = norms(3)
    before = np.asarray(ours.mean[...])
    ours(X, train=True)
    wrong = 0.8 * before + 0.2 * np.asarray(X).mean((0, 1, 2))
    assert np.abs(np.asarray(ours.mean[...]) - wrong).max() > 0.5


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40), st.sampled_from([0.0, 0.5, 0.9, 0.99]))
def test_the_closed_form_is_the_recursion(values: list[float], momentum: float) -> None:
    expected = 7.0
    for value in values:
        expected = momentum * expected + (1 - momentum) * value
    found = one_after_the_other(jnp.array([7.0]), jnp.array(values, jnp.float32)[:, None], momentum)
    np.testing.assert_allclose(found, [expected], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_gradient_is_the_mean_over_ghosts() -> None:
    base = CNN((4, 4, 1), (ConvLayer(3),), (5,), (("label", (2,)),), norm=True)
    x = jnp.asarray(np.random.RandomState(1).randn(12, 4, 4, 1), jnp.float32)

    def gradient(config: object, rows: jax.Array) -> dict[str, jax.Array]:
        graphdef, params, rest = nnx.split(config.build(nnx.Rngs(0)), nnx.Param, ...)  # type: ignore[attr-defined]

        def loss(params: object) -> jax.Array:
            return jnp.square(nnx.merge(graphdef, params, rest, copy=True)(rows, key=jax.random.key(0)) - 1).mean()

        return nnx.to_pure_dict(jax.grad(loss)(params))

    parts = [gradient(base, x[start : start + 4]) for start in (0, 4, 8)]
    expected = jax.tree.map(lambda *leaves: sum(leaves) / 3, *parts)
    found = gradient(Ghosted(base, 4), x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), found, expected)


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 12 is no multiple of ghost=5"):
        norms(5)[0](X, train=True)
    with pytest.raises(ValueError, match="at least 1"):
        GhostBatchNorm("channels.1", 4, ghost=0)
    with pytest.raises(ValueError, match="no batch norm"):
        Ghosted(Shallow(3, 4, 2), 8).build(nnx.Rngs(0))


@pytest.mark.parametrize("base", [CNN(norm=True), ResNet(image=8, blocks=(1, 2, 1))], ids=["cnn", "resnet"])
def test_any_model_is_turned_and_keeps_its_parameters(base: CNN | ResNet) -> None:
    plain, ours = (nnx.eval_shape(lambda c=c: c.build(nnx.Rngs(0))) for c in (base, Ghosted(base, 4)))
    kinds = {type(module) for _, module in nnx.iter_modules(ours)}
    assert GhostBatchNorm in kinds
    assert BatchNorm not in kinds
    assert axes_of(plain) == axes_of(ours)
    shapes = [jax.tree.map(lambda x: x.shape, nnx.to_pure_dict(nnx.state(model))) for model in (plain, ours)]
    assert shapes[0] == shapes[1]
    assert Ghosted(base, 4).sizes() == base.sizes()


def test_ghosts_within_a_device_need_no_other_device() -> None:
    mesh = make_mesh("data=4")
    rows = jax.NamedSharding(mesh, jax.P("data"))
    x = jax.device_put(jnp.zeros((16, 2, 2, 4)), rows)

    def text(ghost: int) -> str:
        graphdef, state = nnx.split(norms(ghost)[0])
        apply = jax.jit(lambda x: nnx.merge(graphdef, state, copy=True)(x, train=True), out_shardings=rows)
        return apply.lower(x).compile().as_text() or ""

    assert not any(f"all-{what}" in text(2) for what in ("reduce", "gather", "to-all"))
    assert "all-reduce" in text(16)

"""Learngene: networks made of a few shared layers, in training and at the end, by one operator."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pairs import by_path, model, random_params

from stagejax.axes import axes_of
from stagejax.growth import AuxNet, Expand, Growth, GrowthError, LinearExpansion, grow
from stagejax.models.vit import ViT
from stagejax.objectives.classification import classification

LEARNGENE = ViT(image=8, patch=4, classes=3, embed=8, layers=2, heads=2, mlp=12)
NETWORK = replace(LEARNGENE, layers=5)
SOURCE = (0, 0, 1, 1, 1)
AUX = AuxNet(LEARNGENE, Expand(SOURCE), NETWORK)
BATCH = {"image": jnp.asarray(np.random.RandomState(1).rand(3, 8, 8, 1), jnp.float32), "label": jnp.array([0, 2, 1])}


@cache
def loss_and_gradient(config, **options):
    graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
    loss = lambda params: classification(nnx.merge(graphdef, params, rest), BATCH, None, **options)[0]  # noqa: E731
    return jax.jit(jax.value_and_grad(loss))


PARAMS = random_params(LEARNGENE)


def test_the_auxiliary_network_has_the_learngenes_parameters_and_names() -> None:
    aux, learngene = (nnx.eval_shape(lambda c=c: c.build(nnx.Rngs(0))) for c in (AUX, LEARNGENE))
    assert axes_of(aux) == axes_of(learngene)
    assert AUX.sizes() == LEARNGENE.sizes()


@pytest.mark.slow
def test_a_descendant_by_the_auxiliary_networks_own_list_is_that_network() -> None:
    descendant = grow(Growth(Expand(SOURCE), AUX, NETWORK), PARAMS)
    loss, _ = loss_and_gradient(AUX)(PARAMS)
    same, _ = loss_and_gradient(NETWORK)(descendant)
    assert float(loss) == pytest.approx(float(same), rel=1e-6)


@pytest.mark.slow
def test_growing_inside_the_step_is_sharing_weights() -> None:
    """Against the network's own weight sharing, an implementation that knows nothing of growth."""
    loss, grads = loss_and_gradient(AUX)(PARAMS)
    shared, expected = loss_and_gradient(LEARNGENE, layers=SOURCE)(PARAMS)
    assert float(loss) == pytest.approx(float(shared), rel=1e-6)
    for where, leaf in by_path(expected).items():
        np.testing.assert_allclose(by_path(grads)[where], leaf, rtol=1e-4, atol=1e-6, err_msg=where)


@pytest.mark.slow
def test_a_shared_layers_gradient_is_the_sum_over_its_places() -> None:
    descendant = grow(Growth(Expand(SOURCE), AUX, NETWORK), PARAMS)
    _, own = loss_and_gradient(NETWORK)(descendant)
    _, shared = loss_and_gradient(AUX)(PARAMS)
    for where, leaf in by_path(own).items():
        if "blocks" in where:
            summed = np.stack([leaf[:2].sum(0), leaf[2:].sum(0)])
            np.testing.assert_allclose(by_path(shared)[where], summed, rtol=1e-4, atol=1e-6, err_msg=where)


@pytest.mark.slow
def test_linear_expansion_puts_layers_on_a_line() -> None:
    config = replace(LEARNGENE, layers=4)
    made = by_path(grow(Growth(LinearExpansion(), LEARNGENE, config), PARAMS))
    for where, leaf in by_path(PARAMS).items():
        if "blocks" in where:
            expected = np.stack([leaf[0] + share * leaf[1] for share in (0.25, 0.5, 0.75, 1.0)])
            np.testing.assert_allclose(made[where], expected, rtol=1e-6, atol=1e-6, err_msg=where)
        else:
            np.testing.assert_array_equal(made[where], leaf)
    aux = model(AuxNet(LEARNGENE, LinearExpansion(), config), PARAMS)
    network = model(config, grow(Growth(LinearExpansion(), LEARNGENE, config), PARAMS))
    np.testing.assert_allclose(aux(BATCH["image"]), network(BATCH["image"]), rtol=1e-5, atol=1e-5)


def test_lists() -> None:
    assert Expand.by_counts(3, 3, 4, 3, 3).source[:7] == (0, 0, 0, 1, 1, 1, 2)
    assert Expand.evenly(5, 12) == Expand.by_counts(3, 3, 2, 2, 2)
    with pytest.raises(GrowthError, match="makes 5 layers"):
        _ = Growth(Expand(SOURCE), LEARNGENE, replace(NETWORK, layers=4)).terms
    with pytest.raises(GrowthError, match="two layers, but layers=5"):
        _ = Growth(LinearExpansion(), NETWORK, replace(NETWORK, layers=6)).terms

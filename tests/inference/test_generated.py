"""Samples of generators: the Fisher diagonal of a discriminator's logit, and labels with features."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.apart import take_apart
from stagejax.inference import Frozen
from stagejax.inference.generated import LogitFisher, in_convolutions, looked_at, samples_of
from stagejax.models.generative.gan import Discriminator, Generator
from stagejax.models.generative.stylegan2 import StyleGenerator
from stagejax.models.vision.cnn import CNN, ConvLayer

G, D = Generator(latent=3, start=2, channels=(4, 3)), Discriminator(4, (3,), hidden=4)


def variables(config: object, seed: int) -> tuple[dict, dict]:
    _, params, rest = nnx.split(config.build(nnx.Rngs(seed)), nnx.Param, ...)  # type: ignore[attr-defined]
    return nnx.to_pure_dict(params), nnx.to_pure_dict(rest)


@pytest.mark.slow
def test_the_fisher_diagonal_is_that_of_the_logit_by_finite_differences_in_convolution_layers_only() -> None:
    key, (params, rest), other = jax.random.key(0), variables(G, 0), variables(D, 1)
    found, _ = jax.jit(LogitFisher(G, D, samples=3))(key, (params, rest), other)
    for name in ("first", "pixels"):
        assert not np.asarray(found[name]["dense"]["kernel"]).any()
        assert not np.asarray(found[name]["bias"]).any()
    assert np.asarray(found["levels"]["2"]["bias"]).any()
    z, place, h = jax.random.normal(key, (3, 1, G.latent)), (1, 1, 2, 0), 1e-2
    judge = nnx.merge(take_apart(D)[0], *other)

    def logits(shift: float) -> np.ndarray:
        kernel = params["levels"]["2"]["kernel"].at[place].add(shift)
        own = params | {"levels": {"2": params["levels"]["2"] | {"kernel": kernel}}}
        model = nnx.merge(take_apart(G)[0], own, rest)
        return np.array([float(judge(model(row))[0]) for row in z])

    wanted = np.mean(((logits(h) - logits(-h)) / (2 * h)) ** 2)
    np.testing.assert_allclose(found["levels"]["2"]["kernel"][place], wanted, rtol=0.02)


def test_samples_of_a_seed_are_the_same_for_all_generators_and_are_labelled() -> None:
    nets = [Frozen(G, *variables(G, seed)) for seed in (0, 0, 1)]
    one, two, other = (samples_of(net, 5, seed=3) for net in nets)
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 0
    config = CNN((4, 4, 1), (ConvLayer(2),), (6,), heads=(("label", (7,)),))
    model = config.build(nnx.Rngs(0))
    labels, features = looked_at(Frozen(config, *variables(config, 0)), one)
    images = jnp.asarray(one)
    np.testing.assert_array_equal(labels, np.asarray(model(images)).argmax(-1))
    np.testing.assert_allclose(features, model.features(images).reshape(5, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_modulated_layer_counts_as_a_whole_and_what_it_shows_does_not() -> None:
    config = StyleGenerator(latent=2, style=3, mapping=1, channels=(4, 3), pixels=1)
    params, _ = variables(config, 0)
    found = in_convolutions(take_apart(config)[1], jax.tree.map(jnp.ones_like, params))
    assert {name for name in found if any(np.asarray(x).any() for x in jax.tree.leaves(found[name]))} == {"levels"}
    assert all(np.asarray(x).all() for x in jax.tree.leaves(found["levels"]))

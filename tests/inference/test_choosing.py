"""Choices by likelihood: losses of endings as one text after the other gives them, options and probes as declared."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.inference import Frozen
from stagejax.inference.choosing import draw_endings, ending_losses, first_is_least, mean_features, padded, probe_texts
from stagejax.models import llama
from stagejax.objectives.loss import cross_entropy

CONFIG = llama(vocab=40, embed=8, layers=1, heads=1, mlp=8)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model() -> nnx.Module:
    return CONFIG.build(nnx.Rngs(0))


@pytest.fixture(scope="module")
def net(model: nnx.Module) -> Frozen:
    return Frozen(CONFIG, nnx.to_pure_dict(nnx.state(model, nnx.Param)), {})


@pytest.mark.slow
def test_the_loss_of_an_ending_is_that_of_its_tokens_alone(model: nnx.Module, net: Frozen) -> None:
    prompts = [RNG.integers(1, 40, size) for size in (1, 4, 7)]
    endings = [RNG.integers(1, 40, size) for size in (5, 2, 3)]
    found = ending_losses(net, prompts, endings, length=12, batch=2)
    for prompt, ending, loss in zip(prompts, endings, found, strict=True):
        whole = jnp.asarray(np.concatenate([prompt, ending])[None])
        losses = cross_entropy(model(whole[:, :-1]), whole[:, 1:])[0][0]
        assert loss == pytest.approx(float(losses[len(prompt) - 1 :].mean()), rel=1e-5)


@pytest.mark.slow
def test_features_are_means_over_the_text_without_padding(model: nnx.Module, net: Frozen) -> None:
    texts = [RNG.integers(1, 40, size) for size in (3, 9, 20)]
    found = mean_features(net, texts, length=10, batch=2)
    for text, own in zip(texts, found, strict=True):
        hidden = np.asarray(model.hidden(jnp.asarray(text[None, :10])))[0]
        np.testing.assert_allclose(own, hidden.mean(0), atol=1e-5)


def test_an_ending_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="row 0: 3 tokens and 3 more"):
        padded([np.arange(3)], [np.arange(3)], 4)


def test_options_are_of_other_sources_and_of_other_texts() -> None:
    pools = [np.array([[100 * place + i] * 6 for i in range(4 + place)]) for place in range(5)]
    made = draw_endings(pools, [0, 2], context=4, each=3)
    assert made.options.shape == (15, 7, 2)
    for owner, stranger, text, options in zip(made.owners, made.strangers, made.texts, made.options, strict=True):
        of = options[:, 0] // 100
        assert options[0, 0] == text[0]
        assert of[0] == owner
        assert len({owner, *of[1:4]}) == 4
        assert (of[4:] == owner).all()
        assert len(set(options[[0, 4, 5, 6], 0])) == 4
        assert stranger in {0, 2} - {owner}
    again = draw_endings(pools, [0, 2], context=4, each=3)
    np.testing.assert_array_equal(again.options, made.options)


def test_too_few_sources_say_so() -> None:
    pools = [np.zeros((5, 6), int)] * 3
    with pytest.raises(ValueError, match="4 sources of 4 texts or more"):
        draw_endings(pools, [0, 1], context=4, each=3)


def test_a_model_that_knows_nothing_is_right_by_chance() -> None:
    assert first_is_least(np.zeros((100, 4))).mean() == 0.25


def test_a_probe_is_chosen_and_tested_on_texts_of_its_own(net: Frozen) -> None:
    """Labels that only the training part tells truly are of no use in the test."""
    texts = [np.full(4, 5 + i % 2) for i in range(90)]
    parts = [("train", "train", "train", "valid", "test")[i % 5] for i in range(90)]
    true = [i % 2 for i in range(90)]
    assert probe_texts(net, texts, true, parts, length=4) == 1.0
    swapped = [1 - label if part == "test" else label for label, part in zip(true, parts, strict=True)]
    assert probe_texts(net, texts, swapped, parts, length=4) == 0.0

"""Token merging: which states are edited, what each part of the sampler does, and what it is charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.inference.frozen import Frozen
from stagejax.inference.pictures.token_merging import MergedSampler, composed, placed, with_ends_of
from stagejax.models.generative.text_to_image import TextToImage
from stagejax.objectives.flow import guided, integrate, shifted_times

slow = pytest.mark.slow
RNG = np.random.default_rng(0)
TEXT = RNG.normal(size=(2, 12, 4)).astype(np.float32)  # start, "a red bag and a blue boot", four ends
NOUNS = np.array([[3, 7], [3, 7]])
WHOSE = np.zeros((2, 2, 12), bool)
WHOSE[:, 0, 2] = WHOSE[:, 1, 6] = True
NONE = {"alpha": 1.1, "beta": 1.2, "binding": 0.0, "latent": 0.0, "text": 0.0}


def test_nouns_take_up_their_own_colours() -> None:
    found = np.asarray(composed(jnp.asarray(TEXT), jnp.asarray(NOUNS), jnp.asarray(WHOSE)))
    np.testing.assert_allclose(found[:, 3], 1.1 * TEXT[:, 3] + 1.2 * TEXT[:, 2], rtol=1e-5)
    np.testing.assert_allclose(found[:, 7], 1.1 * TEXT[:, 7] + 1.2 * TEXT[:, 6], rtol=1e-5)
    assert not found[:, [2, 6]].any()
    others = [0, 1, 4, 5, 8, 9, 10, 11]
    np.testing.assert_array_equal(found[:, others], TEXT[:, others])


def test_several_attributes_are_added() -> None:
    whose = WHOSE.copy()
    whose[:, 0, 1] = True
    found = np.asarray(composed(jnp.asarray(TEXT), jnp.asarray(NOUNS), jnp.asarray(whose), 1.0, 0.5))
    np.testing.assert_allclose(found[:, 3], TEXT[:, 3] + 0.5 * (TEXT[:, 1] + TEXT[:, 2]), rtol=1e-5)


def test_ends_are_those_of_the_stripped_prompt_and_the_last_is_repeated() -> None:
    stripped = RNG.normal(size=TEXT.shape).astype(np.float32)
    ends, others = np.array([8, 4]), np.array([6, 11])
    found = np.asarray(with_ends_of(*map(jnp.asarray, (TEXT, ends, stripped, others))))
    np.testing.assert_array_equal(found[0, :8], TEXT[0, :8])
    np.testing.assert_array_equal(found[0, 8:], stripped[0, 6:10])
    np.testing.assert_array_equal(found[1, 4:], np.repeat(stripped[1, 11:], 8, 0))


def test_states_are_placed() -> None:
    tokens = jnp.asarray(RNG.normal(size=(2, 2, 4)), jnp.float32)
    found = np.asarray(placed(jnp.asarray(TEXT), jnp.asarray(NOUNS), tokens))
    np.testing.assert_array_equal(found[:, [3, 7]], tokens)
    np.testing.assert_array_equal(np.delete(found, [3, 7], 1), np.delete(TEXT, [3, 7], 1))


def test_every_pass_is_charged() -> None:
    plain = MergedSampler(steps=16)
    assert plain.passes(2) == 32
    assert replace(plain, merge=True, ends=True).passes(2) == 32
    assert replace(plain, early=4, focus="entropy", updates=3).passes(2) == 32 + 4 * 9
    assert replace(plain, early=4, binding=3).passes(3) == 32 + 4 * 3 * 11
    assert replace(plain, early=4, updates=3).passes(2) == 32  # no focus, no updates


@pytest.fixture(scope="module")
def net() -> Frozen:
    config = TextToImage((8, 16), text=4, embed=8, layers=1, heads=1, head_dim=8, mlp=8)
    model = config.build(nnx.Rngs(0))
    model.output.kernel[...] = 0.1 * jax.random.normal(jax.random.key(1), model.output.kernel.shape)
    return Frozen(config, nnx.to_pure_dict(nnx.state(model, nnx.Param)), {})


@pytest.fixture(scope="module")
def prompts() -> dict[str, np.ndarray]:
    words = np.zeros((2, 12), bool)
    words[:, 1:8] = True
    phrases, stripped = (RNG.normal(size=shape).astype(np.float32) for shape in ((2, 2, 12, 4), TEXT.shape))
    ends = {"ends": np.array([8, 8]), "stripped_ends": np.array([6, 6])}
    return {
        "text": TEXT,
        "stripped": stripped,
        "phrases": phrases,
        "nouns": NOUNS,
        "whose": WHOSE,
        "words": words,
    } | ends


NOISE = RNG.normal(size=(2, 8, 16, 3)).astype(np.float32)


def draw(net: Frozen, prompts: Any, rates: dict[str, float] = NONE, **parts: Any) -> np.ndarray:
    return MergedSampler(steps=3, **parts).draw(net, prompts, NOISE, rates)


@slow
def test_without_parts_it_is_guided_sampling(net: Frozen, prompts: Any) -> None:
    model = net.config.build(nnx.Rngs(0))
    nnx.update(model, net.params)
    free, given = (lambda x, t, o=o: model(x, t, jnp.asarray(TEXT), drop=jnp.full(2, o)) for o in (True, False))
    expected = jax.jit(lambda noise: integrate(guided(given, free, 2.0), noise, shifted_times(3)))(NOISE)
    np.testing.assert_allclose(draw(net, prompts), expected, atol=1e-4)


@slow
def test_updates_of_size_0_change_nothing(net: Frozen, prompts: Any) -> None:
    plain = draw(net, prompts)
    for parts in ({"binding": 2}, {"focus": "entropy", "updates": 2}, {"focus": "excite", "updates": 2}):
        np.testing.assert_allclose(draw(net, prompts, early=2, **parts), plain, atol=1e-5)


@slow
def test_each_part_changes_pictures_and_thresholds_stop_the_entropy(net: Frozen, prompts: Any) -> None:
    plain, rates = draw(net, prompts), {"alpha": 1.1, "beta": 1.2, "binding": 1.0, "latent": 1.0, "text": 1.0}
    entropy = {"early": 2, "focus": "entropy", "updates": 1}
    always = {"merge": True}, {"ends": True}, {"early": 2, "binding": 1}, entropy | {"thresholds": (0.0, 0.0)}
    for parts in always:
        assert np.abs(draw(net, prompts, rates, **parts) - plain).max() > 1e-4
    np.testing.assert_allclose(draw(net, prompts, rates, **entropy, thresholds=(1.1, 1.1)), plain, atol=1e-5)
    excite = draw(net, prompts, rates, early=2, focus="excite", updates=1)
    text_alone = draw(net, prompts, rates | {"latent": 0.0}, early=2, focus="excite", updates=1)
    assert np.abs(excite - plain).max() > 1e-4
    np.testing.assert_allclose(text_alone, plain, atol=1e-5)

"""Ways to answer: those of one model or of several together, one program for a sweep, distances, and two samplers."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.decode import Prompts, Steered, sample
from stagejax.inference import Frozen
from stagejax.inference.prompts.emulating import Way
from stagejax.inference.serving.speculating import compare_samplers, median_seconds
from stagejax.inference.several import compiled_together
from stagejax.models import llama

V = 10
LARGE, SMALL = (llama(vocab=V, layers=1, embed=e, heads=2, mlp=16, init_std=0.8) for e in (24, 16))
WAY = Way(length=10, limit=5, stops=((3,),), weights=(1.0,))
PROMPTS = {"tokens": np.array([[1, 4, 5, 0], [1, 7, 0, 0]], np.int32), "lengths": np.array([3, 2], np.int32)}


def frozen(config: object, seed: int) -> Frozen:
    _, params, rest = nnx.split(config.build(nnx.Rngs(seed)), nnx.Param, ...)
    return Frozen(config, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


NETS = [frozen(LARGE, 0), frozen(SMALL, 1), frozen(SMALL, 2)]
MODELS = [LARGE.build(nnx.Rngs(0)), SMALL.build(nnx.Rngs(1)), SMALL.build(nnx.Rngs(2))]


@pytest.mark.slow
def test_answers_are_samples_of_the_steered_model() -> None:
    found = WAY.answers(NETS, PROMPTS, jax.random.key(3))
    model, prompts = Steered(MODELS[0], MODELS[1], (MODELS[2],)), Prompts(PROMPTS["tokens"], PROMPTS["lengths"])
    wanted = sample(model, prompts, jax.random.key(3), length=10, limit=5, stops=((3,),))
    np.testing.assert_array_equal(found.tokens_BNS, wanted.tokens_BNS)
    alone = replace(WAY, weights=None).answers(NETS[:1], PROMPTS, jax.random.key(3), 0.0)
    greedy = MODELS[0](jnp.asarray(alone.tokens_BNS[:, 0]))[np.arange(2), PROMPTS["lengths"] - 1].argmax(-1)
    np.testing.assert_array_equal(alone.tokens_BNS[np.arange(2), 0, PROMPTS["lengths"]], greedy)


@pytest.mark.slow
def test_a_sweep_of_weights_is_one_program_and_its_ends_differ() -> None:
    nets = [*NETS, frozen(SMALL, 4)]
    compiled_together.cache_clear()
    ends = [replace(WAY, weights=w).answers(nets, PROMPTS, jax.random.key(0)) for w in ((1.0, 0.0), (0.0, 1.0))]
    assert compiled_together.cache_info().currsize == 1
    one = WAY.answers(NETS, PROMPTS, jax.random.key(0))
    np.testing.assert_array_equal(ends[0].tokens_BNS, one.tokens_BNS)
    assert not np.allclose(ends[0].logprobs_BNS, ends[1].logprobs_BNS)


@pytest.mark.slow
@pytest.mark.parametrize("more", [0, 3])
def test_divergence_is_the_mean_over_counted_tokens(more: int) -> None:
    tokens = np.array([[1, 4, 5, 6, 2, 0], [1, 7, 8, 3, 0, 0]], np.int32)
    counted = np.array([[0, 0, 1, 1, 0], [0, 1, 1, 0, 0]], np.float32)
    own = np.concatenate([tokens[:, :1], np.full((2, more), 9, np.int32), tokens[:, 1:]], axis=1)
    rows = {"tokens": tokens, "own": own, "counted": counted}
    total, count = replace(WAY, weights=None).divergence(NETS[1], NETS[:1], rows)
    p = np.asarray(jax.nn.log_softmax(MODELS[1](jnp.asarray(tokens))), np.float64)
    q = np.asarray(jax.nn.log_softmax(MODELS[0](jnp.asarray(own))), np.float64)[:, more:]
    wanted = ((np.exp(p) * (p - q)).sum(-1)[:, :-1] * counted).sum()
    assert count == 4
    assert total == pytest.approx(wanted, rel=1e-3)
    assert WAY.divergence(NETS[2], [NETS[1], NETS[1], NETS[2]], rows | {"own": tokens})[0] == pytest.approx(0, abs=1e-4)


def test_three_models_cost_what_each_of_them_costs() -> None:
    alone = replace(WAY, weights=None)
    each = [alone.flops([net], 4) for net in (LARGE, SMALL)]
    assert WAY.flops([LARGE, SMALL, SMALL], 4) == each[0] + 2 * each[1]


@pytest.mark.slow
def test_both_samplers_have_one_distribution() -> None:
    prompt = {name: rows[:1] for name, rows in PROMPTS.items()}
    made = compare_samplers(NETS, replace(WAY, limit=2), 2, prompt, calls=2, rows=4000)
    assert min(made["p"].values()) > 0.01
    assert made["answers"] == 8000
    assert 0 < made["accepted"] < 1
    seconds = median_seconds(NETS, WAY, 2, [prompt] * 3)
    assert set(seconds) == {"direct", "speculative"}
    assert min(seconds.values()) > 0

"""Pairs of a model's own answers: right before wrong, with the log-probabilities of the model that answered."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import go

from stagejax import Stage
from stagejax.data.prompts.answers import PromptedText
from stagejax.data.reasoning.problems import Problems
from stagejax.inference.answering import Answering
from stagejax.inference.prompts.preferring import drawn_tokens, own_pairs, pair_rows
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.objectives.rewards.preference import answer_logprobs
from stagejax.optimizer import adam

PROBLEMS = Problems(size=12, steps=(1,))
WORDS = PROBLEMS.tokenizer()
LENGTH = 30
NET = gpt(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=16, length=LENGTH, init_std=0.3)
PROMPTS = PromptedText(source=PROBLEMS, tokenizer=WORDS, batch=4, length=26)
STOPS = tuple((token,) for token in range(0, WORDS.vocab, 3))


def even(samples: Any, batch: Any) -> jax.Array:
    """A made-up rule: whether the number of tokens is even."""
    return jnp.asarray((samples.ends_BN - samples.starts_BN) % 2 == 0, jnp.float32)


def never(samples: Any, batch: Any) -> jax.Array:
    return jnp.zeros(samples.ends_BN.shape)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    def pipeline(run: Any) -> tuple[Any, Any]:
        net = run.train(Stage("net", NET, causal_lm, adam(1e-2), PROMPTS, 1))
        how = Answering(even, LENGTH, 4, STOPS)
        return net, run.make("pairs", own_pairs, net, PROMPTS, how, 0, sampled_tokens=drawn_tokens)

    return go(tmp_path_factory.mktemp("pairs"), pipeline)


@pytest.mark.slow
def test_a_right_answer_is_beside_a_wrong_or_a_longer_one(made: tuple[Any, Any]) -> None:
    pairs = made[1].value
    chosen, rejected = (pairs[f"{side}_weights"].sum(1) for side in ("chosen", "rejected"))
    assert len(chosen) > 3
    assert (chosen % 2 == 0).all()
    assert ((rejected % 2 == 1) | (rejected > chosen)).all()
    starts = [pairs[f"{side}_weights"].argmax(1) for side in ("chosen", "rejected")]
    np.testing.assert_array_equal(*starts)
    for a, b, start in zip(pairs["chosen"], pairs["rejected"], starts[0], strict=True):
        np.testing.assert_array_equal(a[: start + 1], b[: start + 1])  # one prompt


@pytest.mark.slow
def test_the_reference_is_the_model_that_answered(made: tuple[Any, Any]) -> None:
    net, pairs = made[0].module(), made[1].value
    for side in ("chosen", "rejected"):
        expected = answer_logprobs(net, jnp.asarray(pairs[side]), pairs[f"{side}_weights"])
        np.testing.assert_allclose(pairs[f"{side}_reference"], expected, rtol=1e-5)


def test_every_answer_is_charged_and_every_pair_comes_in_an_epoch(made: tuple[Any, Any]) -> None:
    result = made[1]
    assert result.value["drawn"].shape == (12, 4)
    assert result.cost.sampled_tokens == result.value["drawn"].sum()
    data = pair_rows(result, LENGTH, 2, seed=3)
    size = data.size()
    found = np.sort(data.take(np.arange(size))["chosen_reference"])
    np.testing.assert_array_equal(found, np.sort(result.value["chosen_reference"]))


@pytest.mark.slow
def test_a_model_that_answers_nothing_right_makes_no_pairs(made: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="net answered none of 12 prompts right"):
        own_pairs(made[0], PROMPTS, Answering(never, LENGTH, 4, STOPS), 0)

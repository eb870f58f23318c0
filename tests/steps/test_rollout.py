"""Reinforcement learning as a stage: answers in the state, the same bits when killed between two epochs on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import assert_outcome, assert_same, cut_short, flat, go, outcome

from stagejax import checkpoint
from stagejax.data.prompts.answers import PromptedText
from stagejax.data.reasoning.problems import Problems
from stagejax.models import gpt
from stagejax.models.text.critic import Critic
from stagejax.objectives import causal_lm
from stagejax.objectives.rewards.policy_gradient import (
    ClippedPolicy,
    ClippedValue,
    gae,
    token_logprobs,
    token_rewards,
    whitened,
)
from stagejax.optimizer import adam
from stagejax.stage import Stage
from stagejax.steps.rollout import Answers, ReinforceStep, with_flops

PROBLEMS = Problems(size=32, steps=(1,))
WORDS = PROBLEMS.tokenizer()
S, P, LIMIT = 30, 26, 4
NET = gpt(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=16, length=S, init_std=0.3)
DATA = PromptedText(source=PROBLEMS, tokenizer=WORDS, batch=4, length=P, repeat=3)
ADAM = adam(1e-2, decay="constant")


def even(samples: Any, batch: Any) -> jax.Array:
    """A made-up rule: whether the number of tokens is even."""
    return jnp.asarray((samples.ends_BN - samples.starts_BN) % 2 == 0, jnp.float32)


STEP = ReinforceStep(even, updates=3, stops=tuple((token,) for token in range(0, WORDS.vocab, 3)), limit=LIMIT)
PPO = Stage(
    "ppo",
    {"policy": NET, "reference": NET, "value": Critic(NET), "answers": Answers(4, S)},
    {"policy": ClippedPolicy(), "reference": None, "value": ClippedValue(), "answers": None},
    {"policy": ADAM, "reference": None, "value": ADAM, "answers": None},
    DATA,
    steps=7,
    step=STEP,
    save_every=1,
    keep=None,
)
FIRST = Stage("first", NET, causal_lm, ADAM, replace(DATA, repeat=1), steps=1)


def pipeline(run: Any) -> tuple[Any, ...]:
    first = run.train(FIRST)
    return first, run.train(with_flops(PPO), {"policy": first, "reference": first})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("whole")
    results = go(path, pipeline)
    return path, results


@pytest.mark.parametrize(  # the first placed batch is of the first stage: between two epochs on answers
    "at", [3, pytest.param(6, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_killed_in_the_middle_of_a_round_it_ends_with_the_same_bits(
    tmp_path: Any, monkeypatch: Any, whole: Any, at: int
) -> None:
    cut_short(tmp_path, monkeypatch, pipeline, at)
    found, wanted = (outcome(path, results[:1]) for path, results in ((tmp_path, go(tmp_path, pipeline)), whole))
    assert_outcome(found, wanted)
    again = go(tmp_path, pipeline)[1]
    assert again.history == whole[1][1].history
    assert again.digest == whole[1][1].digest
    assert_same(again.state(), whole[1][1].state())


@pytest.mark.slow
def test_answers_are_those_of_the_policy_and_are_kept_for_the_round(whole: Any) -> None:
    path, (first, result) = whole
    folder = next(path.rglob(f"{result.fingerprint}/steps"))
    program = go(path, lambda run: (run.train(FIRST), run._programs))[1]
    like = next(p for p in program.values() if isinstance(p.parts, dict) and set(p.parts) == set(PPO.model)).state
    saved = {k: checkpoint.load(folder / str(k), like)[0] for k in (1, 2, 3, 4)}
    one, three, four = (saved[k]["answers"].rest for k in (1, 3, 4))
    assert_same(one, three)
    assert not np.array_equal(one["tokens"], four["tokens"])
    policy = first.module()
    forced = token_logprobs(policy, one["tokens"], one["weights"])
    np.testing.assert_allclose(one["logprobs"], forced, atol=1e-5)  # sampled with the cache, teacher-forced here
    np.testing.assert_allclose(one["reference"], forced, atol=1e-5)  # the policy that the stage began with
    assert_same(result.state()["reference"].params, first.state().params)
    prompts = DATA.take(np.arange(4))
    starts = np.asarray(one["weights"]).argmax(1) + 1
    np.testing.assert_array_equal(starts, prompts["lengths"])
    ended = np.asarray(one["ended"]) > 0
    sizes = np.asarray(one["weights"]).sum(1)
    assert ended.sum() > 0
    scores = np.where(ended, 10.0 * (sizes % 2 == 0), -10.0)
    np.testing.assert_array_equal(one["rewards"], ended * (sizes % 2 == 0))
    rewards = token_rewards(
        jnp.asarray(scores, jnp.float32), one["logprobs"], one["reference"], one["weights"], beta=0.05
    )
    raw = gae(rewards, one["values"], one["weights"])
    np.testing.assert_allclose(one["returns"], raw + one["values"], atol=1e-4)
    np.testing.assert_allclose(one["advantages"], whitened(raw, one["weights"]), atol=1e-4)


@pytest.mark.slow
def test_drawn_tokens_and_their_flops_are_in_the_ledger(whole: Any) -> None:
    _, (_, result) = whole
    drawn = result.history.train["sampled_tokens"]
    assert [bool(n) for n in drawn] == [True, False, False, True, False, False, True]
    assert result.cost.sampled_tokens == sum(drawn)
    flops = result.stage.step_flops(np.arange(7))
    assert set(flops[[0, 3, 6]]) == {flops.max()}
    assert set(flops[[1, 2, 4, 5]]) == {flops.min()}
    assert result.cost.flops == flops.sum()
    moved = result.history.train["moved"]
    assert abs(moved[0]) < 1e-5 < moved[2]  # the first epoch on answers is on the policy's own


@pytest.mark.slow  # one more program to compile
def test_groups_take_the_place_of_values(tmp_path: Any) -> None:
    names = ("policy", "reference", "answers")
    fields = {field: {n: getattr(PPO, field)[n] for n in names} for field in ("model", "objective", "optimizer")} | {
        "name": "grpo",
        "steps": 2,
        "step": replace(STEP, samples=3, updates=2),
        "data": replace(DATA, repeat=2),
    }
    fields["model"]["answers"] = Answers(12, S)
    stage = replace(PPO, **fields)
    result = go(tmp_path, lambda run: run.train(with_flops(stage)))
    rest = result.state()["answers"].rest
    sums = (np.asarray(rest["advantages"]).sum(1) / np.maximum(np.asarray(rest["weights"]).sum(1), 1)).reshape(4, 3)
    np.testing.assert_allclose(sums.sum(1), 0, atol=1e-3)
    assert flat(result.state()["answers"].rest)["tokens"].shape == (12, S)

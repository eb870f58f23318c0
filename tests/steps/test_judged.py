"""A judge and a verifier as GRPO's reward: weights of both, advantages within groups, tools without gradient."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import go

from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows
from stagejax.data.prompts.made_prompts import MadePrompts
from stagejax.data.reasoning.problems import Problems
from stagejax.decode import Samples
from stagejax.decode.calculator import Calculator
from stagejax.handover import Handover
from stagejax.models import gpt
from stagejax.models.text.reward_model import RewardModel, from_language_model
from stagejax.objectives.rewards.policy_gradient import ClippedPolicy, group_advantages
from stagejax.objectives.rewards.rewarding import right_above_wrong, scores_at, shaped
from stagejax.optimizer import adam
from stagejax.stage import Stage
from stagejax.state import digest
from stagejax.steps.judged import JudgedStep, ScoredStep
from stagejax.steps.rollout import Answers, with_flops

WORDS = Problems().tokenizer()
S, P = 12, 6
NET = gpt(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=16, length=S, init_std=0.3)
RNG = np.random.default_rng(0)


def even(samples: Any, batch: Any) -> jax.Array:
    return jnp.asarray((samples.ends_BN - samples.starts_BN) % 2 == 0, jnp.float32)


STEP = JudgedStep(even, updates=2, samples=4, stops=tuple((token,) for token in range(0, WORDS.vocab, 3)), limit=6)


def prompts(trust: tuple[float, ...]) -> MadePrompts:
    rows = (Row("tokens", (P,), "int32"), Row("lengths", (), "int32"), Row("answer", (), "int32"), Row("trust", (2,)))
    arrays = {"tokens": RNG.integers(4, 30, (6, P)).astype(np.int32), "lengths": np.full(6, P, np.int32)}
    arrays |= {"answer": np.zeros(6, np.int32), "trust": np.tile(np.float32(trust), (6, 1))}
    return MadePrompts(rows=rows, of=str(trust), arrays=arrays, batch=2, repeat=2)


def lists() -> MadeRows:
    rows = (Row("tokens", (3, S), "int32"), Row("ends", (3,), "int32"), Row("right", (3,)))
    arrays = {"tokens": RNG.integers(4, 30, (4, 3, S)).astype(np.int32), "ends": np.full((4, 3), S, np.int32)}
    return MadeRows(rows=rows, of="b", arrays=arrays | {"right": np.eye(4, 3, dtype=np.float32)}, batch=2)


def test_the_reward_is_the_judges_and_the_verifiers() -> None:
    drawn = Samples(*(jnp.asarray(x) for x in (RNG.integers(4, 30, (2, 4, S)), np.full((2, 4), P))),
                    jnp.array([[8, 9, 10, 11]] * 2), jnp.ones((2, 4), int), jnp.zeros((2, 4, S)), None)  # fmt: skip
    judge = lambda tokens, key=None: tokens * 0.1  # noqa: E731
    right = jnp.array([[1.0, 0, 0, 1], [0, 0, 0, 0]])
    scores = scores_at(judge, drawn.tokens_BNS.reshape(8, S), drawn.ends_BN.reshape(8)).reshape(2, 4)
    batch = {"trust": jnp.array([[1.0, 1.0], [0.0, 1.0]])}
    found = STEP.scores({"judge": judge}.get, drawn, right, batch)
    np.testing.assert_allclose(found[0], shaped(scores[0], right[0]), rtol=1e-6)
    np.testing.assert_allclose(found[1], right[1] - 1)
    assert float(jnp.abs(group_advantages(found)[0]).min()) > 0  # also where the verifier says the same
    assert group_advantages(found)[1].tolist() == [0, 0, 0, 0]


def test_scores_as_they_are_or_noise_that_knows_no_answer() -> None:
    tokens = jnp.asarray(RNG.integers(4, 30, (2, 4, S)))
    stops = jnp.array([[1, 1, 1, 0]] * 2)
    drawn = Samples(tokens, jnp.full((2, 4), P), jnp.array([[8, 9, 10, 11]] * 2), stops, jnp.zeros((2, 4, S)), None)
    judge = lambda tokens, key=None: tokens * 0.1  # noqa: E731
    step = ScoredStep(even, updates=2, samples=4, unended=-7.0)
    batch = {"trust": jnp.array([[1.0, 0.0], [0.0, 1.0]]), "noise": jnp.arange(8.0).reshape(2, 4)}
    for right in (jnp.zeros((2, 4)), jnp.ones((2, 4))):  # the verifier has no say
        found = step.scores({"judge": judge}.get, drawn, right, batch)
        np.testing.assert_allclose(found[0, :3], 0.1 * tokens[0, jnp.arange(3), jnp.array([7, 8, 9])], rtol=1e-6)
        assert float(found[0, 3]) == -7
        assert found[1].tolist() == [4, 5, 6, 7]


def test_what_the_tool_wrote_is_not_learned() -> None:
    tool = Calculator(WORDS.vocab, 10, 20, (5, 6, 7, 8), 9)
    tokens = jnp.array([[[1, 12, 5, 13, 9, 15, 2, 0]]])
    drawn = Samples(tokens, jnp.array([[1]]), jnp.array([[7]]), jnp.array([[1]]), None, None)
    assert STEP.own(drawn)[0, 0].tolist() == [False] + [True] * 6 + [False]
    assert replace(STEP, tool=tool).own(drawn)[0, 0].tolist() == [False] + [True] * 4 + [False, True, False]


def pipeline(run: Any) -> tuple[Any, ...]:
    reward = Stage("rm", RewardModel(NET), right_above_wrong, adam(1e-2), lists(), 3)
    start = run.train(Stage("policy", NET, lambda_free, adam(1e-3), lists(), 1))
    judge = run.train(replace(reward, handover=Handover(params=from_language_model)), start)
    models = {"policy": NET, "reference": NET, "judge": RewardModel(NET), "answers": Answers(8, S)}
    losses = {name: ClippedPolicy(kl=1e-3) if name == "policy" else None for name in models}
    optimizers = {name: adam(1e-2) if name == "policy" else None for name in models}
    made = []
    for name, trust in (("shaped", (1, 1)), ("verifier", (0, 1))):
        stage = Stage(name, models, losses, optimizers, prompts(trust), 4, STEP)
        made.append(run.train(with_flops(stage), {"policy": start, "reference": start, "judge": judge}))
    return (start, judge, *made)


def lambda_free(model: Any, batch: Any, key: Any) -> Any:
    loss = jnp.mean(model(batch["tokens"][:, 0]) ** 2)
    return loss, {}


@pytest.mark.slow
def test_judge_and_reference_stay_and_the_policy_moves(tmp_path: Any) -> None:
    start, judge, both, verifier = go(tmp_path, pipeline)
    last = both.state()
    assert digest(last["reference"].params) == start.digest != digest(last["policy"].params)
    assert digest(last["judge"].params) == judge.digest
    assert digest(last["policy"].params) != digest(verifier.state()["policy"].params)
    assert both.history.train["sampled_tokens"][1] == 0 < both.history.train["sampled_tokens"][0]
    assert both.cost.flops > 0


def test_prompts_come_as_often_as_there_are_updates() -> None:
    assert SimpleNamespace(repeat=prompts((1, 1)).repeat).repeat == STEP.updates

"""Reinforcement learning on sampled answers, as a step of a stage.

The answers that a policy learns from are part of the stage's state, as a model without parameters (`Answers`): drawn,
judged and given advantages at the first of the `updates` steps that learn from them, and kept for the others. So a step
is an optimizer step here as everywhere, and a stage that is killed between two epochs on the same answers continues
with these. What is drawn is a function of the parameters and the step: the key is folded from it.

>>> # Stage(model={"policy": net, "reference": net, "value": Critic(net), "answers": Answers(64, 48)},
>>> #       objective={"policy": ClippedPolicy(), "value": ClippedValue(), "reference": None, "answers": None},
>>> #       optimizer={"policy": adam(3e-5), "value": adam(3e-5), "reference": None, "answers": None},
>>> #       step=ReinforceStep(verifier, updates=4), ...)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.decode import Prompts, RewardRule, Samples, sample
from stagejax.identity import once_a_program
from stagejax.ledger import count_flops
from stagejax.objectives.rewards.policy_gradient import (
    Estimator,
    gae,
    group_advantages,
    token_logprobs,
    token_rewards,
    whitened,
)
from stagejax.program import build
from stagejax.stage import Batch, Metrics, Part, Stage, gradient_step
from stagejax.state import TrainState

BY_TOKEN = ("weights", "logprobs", "reference", "values", "advantages", "returns")


@dataclass(frozen=True)
class Answers:
    """The configuration of the answers in a stage's state: no network, but part of the state as one is."""

    rows: int  # prompts times samples of each
    length: int  # tokens of prompt and answer together

    def sizes(self) -> dict[str, int]:
        """It names no axes."""
        return {}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """No answers yet."""
        return Drawn(self)


class Drawn(nnx.Module):
    """The variables `tokens` (rows, length), those of `BY_TOKEN` (rows, length - 1), `rewards` and `ended` (rows,)."""

    def __init__(self, config: Answers) -> None:
        self.tokens = nnx.Variable(jnp.zeros((config.rows, config.length), jnp.int32))
        for name in BY_TOKEN:
            setattr(self, name, nnx.Variable(jnp.zeros((config.rows, config.length - 1), jnp.float32)))
        for name in ("rewards", "ended"):
            setattr(self, name, nnx.Variable(jnp.zeros(config.rows, jnp.float32)))


@dataclass(frozen=True)
class ReinforceStep:
    """One optimizer step of the policy, and of the value network where there is one, on answers of the policy.

    The score of an answer is `alpha` times its reward, and `unended` in place of that where no stop string ended it.
    With a model "value", advantages are GAE's of scores and per-token KL penalties, whitened (PPO); without, those of
    GRPO in the group of each prompt's samples. The frozen model "reference" is the policy that the stage began with.

    Args:
      reward: judges answers.
      updates: optimizer steps on the same answers; the data must repeat each batch of prompts as often.
      samples: of each prompt.
      stops: sequences of tokens that end an answer.
      limit: most tokens of an answer; None: as many as fit.
      beta, estimator: of the KL penalty in the rewards; PPO only.

    Reference: Lambert et al. 2024, https://arxiv.org/abs/2411.15124, section 6; Ouyang et al. 2022 (arXiv 2203.02155).
    """

    reward: RewardRule
    updates: int
    samples: int = 1
    stops: tuple[tuple[int, ...], ...] = ((2,),)
    limit: int | None = None
    alpha: float = 10.0
    unended: float = -10.0
    beta: float = 0.05
    estimator: Estimator = "k1"
    gamma: float = 1.0
    lam: float = 0.95

    def __call__(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
    ) -> tuple[dict[str, TrainState], Metrics]:
        """The states after the step; a model "value" is optional."""
        at, held = states["policy"].step, states["answers"]
        due = at % self.updates == 0
        own_key = jax.random.fold_in(jax.random.fold_in(key, at), 1)
        answers = jax.lax.cond(due, lambda: self.answers(parts, states, batch, own_key), lambda: dict(held.rest))
        after, metrics = {}, {}
        for name in ("policy", "value"):
            if name in parts:
                after[name], found = gradient_step(parts[name], states[name], answers, jax.random.fold_in(key, 2))
                metrics |= found if name == "policy" else {f"value_{n}": value for n, value in found.items()}
        after["answers"] = replace(held, step=at + 1, rest=answers)
        after |= {name: replace(states[name], step=at + 1) for name in states if name not in after}  # what is frozen
        weights = answers["weights"]
        rows, drawn = len(weights), weights.sum()
        metrics |= {
            "reward": answers["rewards"].mean(),
            "ended": answers["ended"].mean(),
            "kl": jnp.sum(weights * (answers["logprobs"] - answers["reference"])) / rows,  # nats an answer
            "answer_length": drawn / rows,
            "sampled_tokens": jnp.where(due, drawn, 0.0),
        }
        return {name: after[name] for name in states}, metrics

    def answers(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
    ) -> dict[str, jax.Array]:
        """Answers to a batch of prompts, with all that the losses read of them."""

        def model(name: str) -> nnx.Module:
            return nnx.merge(parts[name].graphdef, states[name].params, states[name].rest)

        length = parts["answers"].config.length
        prompts = Prompts(batch["tokens"], batch["lengths"])
        drawn = self.draw(model("policy"), prompts, key, length)
        rewards_BN, ended_BN = self.reward(drawn, batch), drawn.stop_sizes_BN > 0
        rewards_BN = jnp.where(ended_BN, rewards_BN, 0.0)
        scores_BN = self.scores(model, drawn, rewards_BN, batch)
        tokens = drawn.tokens_BNS.reshape(-1, length)
        weights = self.own(drawn).reshape(-1, length)[:, 1:].astype(jnp.float32)
        logprobs = drawn.logprobs_BNS.reshape(-1, length)[:, 1:].astype(jnp.float32)
        reference = token_logprobs(model("reference"), tokens, weights)
        values = jnp.zeros_like(weights)
        if "value" in parts:
            values = jnp.where(weights > 0, model("value")(tokens[:, :-1]), 0.0)
            how = {"beta": self.beta, "estimator": self.estimator}
            rewards = token_rewards(scores_BN.reshape(-1), logprobs, reference, weights, **how)
            raw = gae(rewards, values, weights, gamma=self.gamma, lam=self.lam)
            advantages, returns = whitened(raw, weights), raw + values
        else:
            advantages = weights * group_advantages(scores_BN).reshape(-1, 1)
            returns = jnp.zeros_like(weights)
        found = dict(zip(BY_TOKEN, (weights, logprobs, reference, values, advantages, returns), strict=True))
        judged = {"rewards": rewards_BN, "ended": ended_BN.astype(jnp.float32)}
        return {"tokens": tokens, **found, **{name: x.reshape(-1) for name, x in judged.items()}}

    def draw(self, model: nnx.Module, prompts: Prompts, key: jax.Array, length: int) -> Samples:
        """Answers of the policy."""
        return sample(model, prompts, key, length=length, n=self.samples, stops=self.stops, limit=self.limit)

    def scores(
        self, model: Callable[[str], nnx.Module], drawn: Samples, rewards_BN: jax.Array, batch: Batch
    ) -> jax.Array:
        """What each answer is worth (B, N); `model` gives the models of the stage by name."""
        return jnp.where(drawn.stop_sizes_BN > 0, self.alpha * rewards_BN, self.unended)

    def own(self, drawn: Samples) -> jax.Array:
        """Which tokens (B, N, S) the policy chose, and learns from."""
        return drawn.drawn_BNS


@dataclass(frozen=True)
class RoundFlops:
    """FLOPs of steps of which every `updates`-th draws answers."""

    updates: int
    draw: float
    update: float

    def __call__(self, steps: np.ndarray) -> np.ndarray:
        return np.where(np.asarray(steps) % self.updates == 0, self.draw + self.update, self.update)


def with_flops(stage: Stage) -> Stage:
    """The same stage, charged for drawing answers as if the longest one had all tokens that it may have."""
    return replace(stage, step_flops=_round_flops(stage))


@once_a_program
def _round_flops(stage: Stage) -> RoundFlops:
    step, program = stage.step, build(stage, None)
    assert isinstance(step, ReinforceStep)
    trips = step.limit or program.parts["answers"].config.length
    specs = (program.state, program.batch, program.key, program.numbers)
    states, batch, key, numbers = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), specs)
    draw = count_flops(lambda s, b, k: step.answers(program.parts, s, b, k), states, batch, key, while_trips=trips)
    whole = count_flops(program.step, states, batch, key, numbers, while_trips=trips)
    return RoundFlops(step.updates, float(draw), float(whole - draw))


__all__ = ["Answers", "ReinforceStep", "RoundFlops", "with_flops"]

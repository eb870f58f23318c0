"""GRPO whose rewards are a frozen reward model's and a verifier's together, with or without a tool that answers ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.decode import Prompts, Samples, sample
from stagejax.objectives.rewards.rewarding import scores_at, shaped
from stagejax.stage import Batch, Stage
from stagejax.steps.rollout import Answers, ReinforceStep


@dataclass(frozen=True)
class JudgedStep(ReinforceStep):
    """A `ReinforceStep` whose answers are worth what a reward model and a verifier say together: `rewarding.shaped`.

    r_m is the score of the frozen model "judge" of the stage behind the answer's last token, r_v the verifier's word.
    How much each counts stands in the batch, as `trust` (B, 2): (1, 1) is the shaped reward, (0, 1) the verifier alone,
    (1, 0) the reward model alone. So stages with all of these share one program. An answer without an end is wrong,
    whatever it says; `unended` of the base class is not read.

    Args:
      alpha: of r_m in sigmoid(alpha r_m).
      tool: a forced-token rule such as `Calculator`, whose `inserted` tokens are masked in the loss; None: none.

    Reference: Yang et al. 2024 (Qwen2.5-Math), https://arxiv.org/abs/2409.12122, section 3.3.

    >>> # Stage(model={"policy": net, "reference": net, "judge": RewardModel(net), "answers": Answers(128, 54)},
    >>> #       step=JudgedStep(verifier, updates=2, samples=8), ...)
    """

    alpha: float = 0.5
    tool: Any = None

    def draw(self, model: nnx.Module, prompts: Prompts, key: jax.Array, length: int) -> Samples:
        """Answers of the policy, the tool's words put in."""
        how = {"n": self.samples, "stops": self.stops, "limit": self.limit, "allowed": self.tool}
        return sample(model, prompts, key, length=length, **how)

    def scores(
        self, model: Callable[[str], nnx.Module], drawn: Samples, rewards_BN: jax.Array, batch: Batch
    ) -> jax.Array:
        """The rewards (B, N)."""
        tokens_BNS = drawn.tokens_BNS
        scores = scores_at(model("judge"), tokens_BNS.reshape(-1, tokens_BNS.shape[-1]), drawn.ends_BN.reshape(-1))
        trust_2B1 = batch["trust"].T[..., None]
        return shaped(scores.reshape(rewards_BN.shape), rewards_BN, self.alpha, trust_2B1[0], trust_2B1[1])

    def own(self, drawn: Samples) -> jax.Array:
        """Which tokens (B, N, S) the policy chose: those drawn, without the tool's."""
        if self.tool is None:
            return drawn.drawn_BNS
        return drawn.drawn_BNS & ~self.tool.inserted(drawn.tokens_BNS, drawn.starts_BN)


@dataclass(frozen=True)
class ScoredStep(JudgedStep):
    """A `JudgedStep` whose rewards are a reward model's scores as they are, or noise: what luck alone would do.

    The batch's `trust` (B, 2) weighs the score and its `noise` (B, N), which stands there since before the answers were
    drawn and so knows nothing of them. An answer without an end gets `unended` for a score. The verifier has no say.

    Reference: Qwen2.5 Technical Report, 2024, https://arxiv.org/abs/2412.15115, section 4.3.

    >>> # Stage(model={"policy": net, "reference": net, "judge": RewardModel(net), "answers": Answers(128, 48)},
    >>> #       step=ScoredStep(verifier, updates=2, samples=8), ...)
    """

    def scores(
        self, model: Callable[[str], nnx.Module], drawn: Samples, rewards_BN: jax.Array, batch: Batch
    ) -> jax.Array:
        """The rewards (B, N)."""
        tokens_BNS = drawn.tokens_BNS
        scores = scores_at(model("judge"), tokens_BNS.reshape(-1, tokens_BNS.shape[-1]), drawn.ends_BN.reshape(-1))
        scores_BN = jnp.where(drawn.stop_sizes_BN > 0, scores.reshape(rewards_BN.shape), self.unended)
        trust_2B1 = batch["trust"].T[..., None]
        return trust_2B1[0] * scores_BN + trust_2B1[1] * batch["noise"]


def judged(
    name: str,
    policy: Any,
    judge: Any,
    answers: Answers,
    loss: Any,
    optimizer: Any,
    data: Any,
    steps: int,
    step: JudgedStep,
    **fields: Any,
) -> Stage:
    """A stage in which the policy alone is trained; it starts from {"policy", "reference", "judge"}.

    Args:
      policy, judge: configurations of the models; the reference is as the policy.
      answers: how many there are in a round.
      fields: others of the stage.

    >>> # run.train(judged("grpo", net, RewardModel(net), Answers(64, 46), ClippedPolicy(kl=1e-3), adam(1e-4), ...),
    >>> #     {"policy": tuned, "reference": tuned, "judge": reward_model})
    """
    models = {"policy": policy, "reference": policy, "judge": judge, "answers": answers}
    losses, optimizers = ({n: own if n == "policy" else None for n in models} for own in (loss, optimizer))
    return Stage(name, models, losses, optimizers, data, steps, step, **fields)


__all__ = ["JudgedStep", "ScoredStep", "judged"]

"""Reinforcement learning by filtering: values decide which episodes and which of their steps are imitated.

Values are probabilities of success, learned by cross entropy; the actor learns by maximum likelihood, as a hard form of
advantage-weighted regression. Letters: B steps, N episodes, H steps of an episode, A tokens of an action.

Reference: Bai et al. 2024 (DigiRL), https://arxiv.org/abs/2406.11896, section 4, and its released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagejax.objectives.loss import cross_entropy, weighted

Batch = Any
Metrics = dict[str, Any]


# --- returns and advantages ---


def monte_carlo(reward: Float[Array, "*B"], left: Int[Array, "*B"], gamma: float) -> Float[Array, "*B"]:
    """gamma^(H - h) r: the return of a step from the reward of its episode, which comes at its last step alone.

    Args:
      left: H - h, steps of the episode behind this one.

    >>> monte_carlo(jnp.ones(3), jnp.array([2, 1, 0]), 0.5).tolist()
    [0.25, 0.5, 1.0]
    """
    return gamma ** left.astype(jnp.float32) * reward


@runtime_checkable
class Weigh(Protocol):
    """What steps of an actor's batch weigh: from V(s), V(s'), r, the episode's reward, and the steps that are left."""

    def __call__(self, value_B: Array, next_B: Array, reward_B: Array, final_B: Array, left_B: Array) -> Array: ...


@dataclass(frozen=True)
class ReleasedScore:
    """1 where clip(V(s') - V(s) - margin + r + gamma^(H - h) r_H, 0, 1) > 0: as in the released code.

    >>> value, after = jnp.array([0.5, 0.5, 0.5]), jnp.array([0.5, 0.6, 0.1])
    >>> none = jnp.zeros(3)
    >>> ReleasedScore()(value, after, none, none, jnp.array([3, 3, 3])).tolist()
    [0.0, 1.0, 0.0]
    """

    gamma: float = 0.5
    margin: float = 0.05

    def __call__(self, value_B: Array, next_B: Array, reward_B: Array, final_B: Array, left_B: Array) -> Array:
        score_B = next_B - value_B - self.margin + reward_B + monte_carlo(final_B, left_B, self.gamma)
        return (score_B.clip(0, 1) > 0).astype(jnp.float32)


def doubly_robust(
    value_B: Array, next_B: Array, reward_B: Array, final_B: Array, left_B: Array, lam: float
) -> Float[Array, " B"]:
    """A = lam^(H - h) r_H + (1 - lam^(H - h) r_H) (V(s') + r - V(s)): the step advantage of the paper, equation 4.3.

    >>> one = jnp.ones(1)
    >>> round(float(doubly_robust(0.2 * one, 0.5 * one, 0 * one, one, jnp.array([1]), 0.5)[0]), 4)
    0.65
    """
    sure_B = monte_carlo(final_B, left_B, lam)
    return sure_B + (1 - sure_B) * (next_B + reward_B - value_B)


@dataclass(frozen=True)
class PaperAdvantage:
    """1 where the doubly robust advantage exceeds 1 / horizon: as in the paper.

    >>> one = jnp.ones(1)
    >>> PaperAdvantage(10)(0.2 * one, 0.25 * one, 0 * one, 0 * one, jnp.array([1])).tolist()
    [0.0]
    """

    horizon: int
    lam: float = 0.5

    def __call__(self, value_B: Array, next_B: Array, reward_B: Array, final_B: Array, left_B: Array) -> Array:
        advantage_B = doubly_robust(value_B, next_B, reward_B, final_B, left_B, self.lam)
        return (advantage_B > 1 / self.horizon).astype(jnp.float32)


@dataclass(frozen=True)
class SoftAdvantage:
    """exp(A / beta), at most `most`: plain advantage-weighted regression, with the same advantage.

    Reference: Peng et al. 2019, https://arxiv.org/abs/1910.00177.

    >>> one = jnp.ones(1)
    >>> SoftAdvantage(beta=0.1)(0.5 * one, 0.5 * one, 0 * one, 0 * one, jnp.array([1])).tolist()
    [1.0]
    """

    beta: float = 0.2
    lam: float = 0.5
    most: float = 20.0

    def __call__(self, value_B: Array, next_B: Array, reward_B: Array, final_B: Array, left_B: Array) -> Array:
        advantage_B = doubly_robust(value_B, next_B, reward_B, final_B, left_B, self.lam)
        return jnp.exp(advantage_B / self.beta).clip(0, self.most)


def top_share(
    scores_N: Float[Array, " N"], there_N: Bool[Array, " N"], share: float
) -> tuple[Bool[Array, " N"], Float[Array, ""]]:
    """The episodes that score at least the (1 - share) quantile of all that are there, and this cutoff.

    Between two scores it is interpolated as by `numpy.quantile`. Episodes that score the same stand or fall together:
    by a reward of 0 or 1 alone, all successes are kept, or, where they are fewer than `share`, everything.

    >>> kept, cutoff = top_share(jnp.array([0.0, 1.0, 0.3, 9.0]), jnp.array([True, True, True, False]), 0.5)
    >>> kept.tolist(), round(float(cutoff), 2)
    ([False, True, True, False], 0.3)
    """
    ordered_N = jnp.sort(jnp.where(there_N, scores_N, jnp.inf))
    at = (jnp.maximum(there_N.sum(), 1) - 1) * (1 - share)
    low, part = jnp.floor(at).astype(jnp.int32), at - jnp.floor(at)
    first, second = ordered_N[low], ordered_N[jnp.ceil(at).astype(jnp.int32)]
    cutoff = first + jnp.where(part > 0, part * (second - first), 0.0)
    return there_N & (scores_N >= cutoff), cutoff


# --- objectives ---


def instruction_value(model: Any, batch: Batch, key: Any) -> tuple[Array, Metrics]:
    """Cross entropy of success on the goal alone: batches are {"text": (B, T), "success": (B,)}."""
    logits_B2 = model.answers(batch["text"])
    return weighted(logits_B2, batch["success"])


def step_value(model: Any, batch: Batch, key: Any) -> tuple[Array, Metrics]:
    """Cross entropy of the episode's success on both states of a step, by both heads of a `DoubleCritic`; summed.

    Batches are {"text", "next_text": (B, T), "seen", "next_seen": (B, F), "success": (B,)}.
    """
    labels_B2 = jnp.broadcast_to(batch["success"][:, None], (len(batch["success"]), 2))
    here_B22, next_B22 = model(batch["text"], batch["seen"]), model(batch["next_text"], batch["next_seen"])
    loss = sum(cross_entropy(logits, labels_B2)[0].mean(0).sum() for logits in (here_B22, next_B22))
    right = (here_B22.argmax(-1) == labels_B2).mean()
    return loss, {"loss": loss, "accuracy": right}


def action_logprobs(
    model: Any, batch: Batch, actions: int, low: float = 0.0, high: float = 1.0
) -> tuple[Float[Array, "B A"], Bool[Array, "B A"]]:
    """log of each token's probability, cut to [low, high], of the last tokens of rows; and which are the likeliest.

    Where a probability is cut it has no gradient: a token that is all but certain is not made more so.
    """
    tokens_BT = batch["tokens"]
    x_BTE = model.hidden(tokens_BT[:, :-1], batch["image"])
    logits_BAV = model.language.logits(x_BTE[:, -actions:]).astype(jnp.float32)
    targets_BA = tokens_BT[:, -actions:]
    logprobs_BA = -cross_entropy(logits_BAV, targets_BA)[0]
    bounds = jnp.log(jnp.array([low, high], jnp.float32))
    return logprobs_BA.clip(bounds[0], bounds[1]), logits_BAV.argmax(-1) == targets_BA


@dataclass(frozen=True)
class ActionLikelihood:
    """- mean_B weight sum_A log p(token): imitation, of demonstrations or of what a filter has left.

    Batches are {"tokens": (B, T), whose last `actions` are the action, "image", "weights": (B,); all 1 where absent}.

    Args:
      actions: tokens of an action.
      low, high: between which probabilities of tokens are cut; the released code has 0.001 and 0.99.
    """

    actions: int = 2
    low: float = 0.0
    high: float = 1.0

    def __call__(self, model: Any, batch: Batch, key: Any) -> tuple[Array, Metrics]:
        logprobs_BA, right_BA = action_logprobs(model, batch, self.actions, self.low, self.high)
        weights_B = batch.get("weights", jnp.ones(len(logprobs_BA)))
        loss = -(weights_B * logprobs_BA.sum(1)).mean()
        return loss, {"loss": loss, "accuracy": right_BA.all(1).mean()}


def tile_kinds(model: Any, batch: Batch, key: Any) -> tuple[Array, Metrics]:
    """Cross entropy of what each patch of an image shows: {"image", "kind": (B, S)}, by the head of a ViT."""
    vision = model.vision
    return weighted(vision.head(vision.dense(batch["image"])), batch["kind"])

"""Policy gradients on sampled answers: rewards with a KL penalty, advantages, PPO's clipped losses, GRPO.

Losses are by token: arrays (B, T) over the targets of rows of T + 1 tokens, and `weights`, 1 at the tokens that were
drawn and 0 at the prompt's and behind the end. What they are made of serves any actions. Letters: B rows, T targets, N
samples of one prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagejax.objectives.loss import Metrics, cross_entropy

Estimator = Literal["k1", "k2", "k3"]


def token_logprobs(
    model: Callable[..., Array], tokens: Any, weights: Any, key: Array | None = None
) -> Float[Array, "B T"]:
    """log p(token_{t+1} | tokens_{<=t}) in nats where the weight is not 0, and 0 elsewhere.

    >>> model = lambda tokens, key: jnp.zeros((*tokens.shape, 8))
    >>> token_logprobs(model, jnp.array([[1, 2, 3]]), jnp.array([[0.0, 1.0]])).round(4)
    Array([[ 0.    , -2.0794]], dtype=float32)
    """
    losses_BT, _ = cross_entropy(model(tokens[:, :-1], key=key), jnp.asarray(tokens[:, 1:]))
    return jnp.where(weights > 0, -losses_BT, 0.0)


def kl_estimate(
    logprobs: Float[Array, "*shape"], reference: Float[Array, "*shape"], estimator: Estimator = "k1"
) -> Float[Array, "*shape"]:
    """Of KL(π || π_ref), from samples of π: k1 = log π - log π_ref, k2 = k1² / 2, k3 = e^-k1 - 1 + k1.

    k1 and k3 have the divergence as their mean; k3 is never negative and varies less.

    Reference: Schulman 2020, http://joschu.net/blog/kl-approx.html.

    >>> [round(float(kl_estimate(jnp.log(0.5), jnp.log(0.25), k)), 4) for k in ("k1", "k2", "k3")]
    [0.6931, 0.2402, 0.1931]
    """
    k1 = logprobs - reference
    return {"k1": k1, "k2": k1**2 / 2, "k3": jnp.expm1(-k1) + k1}[estimator]


def token_rewards(
    scores: Float[Array, " B"],
    logprobs: Float[Array, "B T"],
    reference: Float[Array, "B T"],
    weights: Float[Array, "B T"],
    *,
    beta: float,
    estimator: Estimator = "k1",
) -> Float[Array, "B T"]:
    """r_t = -β k_t at every drawn token, and the answer's score beside it at the last one.

    Reference: Ouyang et al. 2022, https://arxiv.org/abs/2203.02155, section 3.5; Lambert et al. 2024 (arXiv
    2411.15124), section 6.

    >>> token_rewards(jnp.array([10.0]), jnp.zeros((1, 3)), jnp.zeros((1, 3)), jnp.array([[0.0, 1, 1]]), beta=0.1)
    Array([[ 0.,  0., 10.]], dtype=float32)
    """
    is_last = (weights > 0) & (jnp.cumsum(weights[:, ::-1], axis=1)[:, ::-1] == 1)
    penalty = jnp.where(weights > 0, beta * kl_estimate(logprobs, reference, estimator), 0.0)
    return jnp.where(is_last, scores[:, None], 0.0) - penalty


def gae(
    rewards: Float[Array, "B T"],
    values: Float[Array, "B T"],
    weights: Float[Array, "B T"],
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
) -> Float[Array, "B T"]:
    """A_t = Σ_{l >= 0} (γ λ)^l δ_{t+l} with δ_t = r_t + γ V_{t+1} - V_t over drawn tokens; behind the last one V is 0.

    Args:
      values: V_t, what is expected from the tokens before target t on.
      weights: drawn tokens of a row stand side by side.

    Reference: Schulman et al. 2015, https://arxiv.org/abs/1506.02438, equation 16.

    >>> gae(jnp.array([[0.0, 1.0]]), jnp.zeros((1, 2)), jnp.ones((1, 2)), lam=0.5)
    Array([[0.5, 1. ]], dtype=float32)
    """
    own = jnp.where(weights > 0, values, 0.0)
    deltas = jnp.where(weights > 0, rewards + gamma * jnp.pad(own[:, 1:], ((0, 0), (0, 1))) - own, 0.0)

    def back(after: Array, delta: Array) -> tuple[Array, Array]:
        now = delta + gamma * lam * after
        return now, now

    _, found = jax.lax.scan(back, jnp.zeros_like(deltas[:, 0]), deltas.T, reverse=True)
    return jnp.where(weights > 0, found.T, 0.0)


def whitened(values: Float[Array, "*shape"], weights: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """(x - mean) / √(variance + 1e-8) over the weighted numbers; 0 elsewhere.

    >>> whitened(jnp.array([1.0, 3.0, 9.0]), jnp.array([1.0, 1.0, 0.0]))
    Array([-1.,  1.,  0.], dtype=float32)
    """
    count = jnp.maximum(weights.sum(), 1.0)
    mean = jnp.sum(weights * values) / count
    variance = jnp.sum(weights * (values - mean) ** 2) / count
    return jnp.where(weights > 0, (values - mean) * jax.lax.rsqrt(variance + 1e-8), 0.0)


def group_advantages(rewards: Float[Array, "B N"], eps: float = 1e-4) -> Float[Array, "B N"]:
    """GRPO: (r - mean) / (std + eps) among the N samples of each prompt; 0 where all have the same reward.

    Reference: Shao et al. 2024, https://arxiv.org/abs/2402.03300, section 4.1.

    >>> group_advantages(jnp.array([[0.0, 1.0], [1.0, 1.0]])).round(3)
    Array([[-1.,  1.],
           [ 0.,  0.]], dtype=float32)
    """
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    return centred / (rewards.std(axis=1, keepdims=True) + eps)


def clipped_surrogate(
    logprobs: Float[Array, "*shape"], old: Float[Array, "*shape"], advantages: Float[Array, "*shape"], clip: float
) -> tuple[Float[Array, "*shape"], Bool[Array, "*shape"]]:
    """max(-A ρ, -A clip(ρ, 1 - ε, 1 + ε)) with ρ = π / π_old, and where the second is the larger: there ρ is held.

    Reference: Schulman et al. 2017, https://arxiv.org/abs/1707.06347, equation 7.

    >>> loss, held = clipped_surrogate(jnp.log(jnp.array([1.0, 3.0])), jnp.zeros(2), jnp.ones(2), 0.2)
    >>> loss, held
    (Array([-1. , -1.2], dtype=float32), Array([False,  True], dtype=bool))
    """
    ratio = jnp.exp(logprobs - old)
    free = -advantages * ratio
    held = -advantages * jnp.clip(ratio, 1 - clip, 1 + clip)
    return jnp.maximum(free, held), held > free


def clipped_error(
    values: Float[Array, "*shape"], old: Float[Array, "*shape"], returns: Float[Array, "*shape"], clip: float
) -> Float[Array, "*shape"]:
    """max((V - R)², (clip(V, V_old - ε, V_old + ε) - R)²): no gain from moving further than ε.

    Reference: the published code of Schulman et al. 2017.

    >>> clipped_error(jnp.array([1.0]), jnp.array([0.0]), jnp.array([1.0]), 0.5)
    Array([0.25], dtype=float32)
    """
    near = jnp.clip(values, old - clip, old + clip)
    return jnp.maximum((values - returns) ** 2, (near - returns) ** 2)


@dataclass(frozen=True)
class ClippedPolicy:
    """The mean over drawn tokens of max(-A ρ, -A clip(ρ, 1 - ε, 1 + ε)) + β k, ρ = π / π_old: PPO's and GRPO's.

    A batch has `tokens` (B, T + 1) and, all (B, T): `weights`, `logprobs` of the policy that drew them, `advantages`,
    and with a KL term `reference`, the log-probabilities of the frozen policy.

    Metrics are pairs (total, count) over tokens: `loss`, `clipped`, the share where the second term is the larger, and
    `moved`, the k3 estimate of KL(π_old || π) by old samples, which is 0 in the first epoch on them.

    Reference: Schulman et al. 2017, https://arxiv.org/abs/1707.06347, equation 7; with the KL term, Shao et al. 2024,
    https://arxiv.org/abs/2402.03300, equation 3.

    Raises:
      ValueError: clip is not positive.
    """

    clip: float = 0.2
    kl: float = 0.0  # β of the KL term in the loss; PPO has it in its rewards
    estimator: Estimator = "k3"

    def __post_init__(self) -> None:
        if not self.clip > 0:
            raise ValueError(f"clip={self.clip} must be positive")

    def __call__(
        self, model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
    ) -> tuple[Float[Array, ""], Metrics]:
        weights = batch["weights"]
        logprobs = token_logprobs(model, batch["tokens"], weights, key)
        each, held = clipped_surrogate(logprobs, batch["logprobs"], batch["advantages"], self.clip)
        if self.kl:
            each = each + self.kl * kl_estimate(logprobs, batch["reference"], self.estimator)
        moved = kl_estimate(batch["logprobs"], logprobs, "k3")
        shown = {"loss": each, "clipped": held, "moved": moved}
        count = weights.sum()
        metrics: Metrics = {name: (jnp.sum(weights * value), count) for name, value in shown.items()}
        return metrics["loss"][0] / jnp.maximum(count, 1.0), metrics


@dataclass(frozen=True)
class ClippedValue:
    """c / 2 times the mean over drawn tokens of max((V - R)², (clip(V, V_old - ε, V_old + ε) - R)²).

    A batch has `tokens` (B, T + 1), and `weights`, `values` (of the old network) and `returns`, all (B, T). The model
    gives a value (B, T) behind each token.

    Reference: Schulman et al. 2017, https://arxiv.org/abs/1707.06347; the clipped form is that of its published code.
    """

    clip: float = 0.2
    coefficient: float = 0.1

    def __call__(
        self, model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
    ) -> tuple[Float[Array, ""], Metrics]:
        weights, old, returns = batch["weights"], batch["values"], batch["returns"]
        values = model(batch["tokens"][:, :-1], key=key)
        each = self.coefficient / 2 * clipped_error(values, old, returns, self.clip)
        total, count = jnp.sum(jnp.where(weights > 0, each, 0.0)), weights.sum()
        return total / jnp.maximum(count, 1.0), {"loss": (total, count)}


def bradley_terry(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
) -> tuple[Float[Array, ""], Metrics]:
    """The mean of -log σ(r(chosen) - r(rejected)), the loss of a reward model: r is the value behind the last token.

    A batch is that of `objectives.rewards.preference.Preference`; the model gives a value (B, T) behind each token.
    Metrics are pairs over pairs of answers: `loss`, `accuracy`, `margin`.

    Reference: Ouyang et al. 2022, https://arxiv.org/abs/2203.02155, equation 1.

    >>> model = lambda tokens, key: tokens.astype(float)
    >>> both = {"chosen": jnp.array([[1, 5]]), "rejected": jnp.array([[1, 3]])}
    >>> loss, _ = bradley_terry(model, both | {f"{s}_weights": jnp.ones((1, 1)) for s in both}, None)
    >>> round(float(loss), 4)
    0.1269
    """
    tokens = jnp.concatenate([batch["chosen"], batch["rejected"]])
    weights = jnp.concatenate([batch["chosen_weights"], batch["rejected_weights"]])
    at = jnp.max(jnp.where(weights > 0, jnp.arange(1, weights.shape[1] + 1), 0), axis=1)
    scores = jnp.take_along_axis(model(tokens, key=key), at[:, None], axis=1)[:, 0]
    chosen, rejected = jnp.split(scores, 2)
    ahead = chosen - rejected
    each, pairs = jax.nn.softplus(-ahead), jnp.asarray(len(ahead), ahead.dtype)
    shown = {"loss": each, "accuracy": ahead > 0, "margin": ahead}
    return jnp.mean(each), {name: (jnp.sum(value), pairs) for name, value in shown.items()}

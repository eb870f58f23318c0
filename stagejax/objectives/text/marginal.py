"""Several right answers to one question: maximum likelihood of all, and of any of them.

Letters: B questions, K answers to each at most, T targets of a row. s_j = log p(y_j | x) is the score of an answer, the
sum over its tokens; `there` is 1 where a question has a j-th answer and 0 where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics
from stagejax.objectives.rewards.policy_gradient import token_logprobs

Scores = Float[Array, "B K"]
#: (scores, there) -> the loss of each question.
Several = Callable[[Scores, Scores], Float[Array, " B"]]


def all_of(scores: Scores, there: Scores) -> Float[Array, " B"]:
    """-Σ_j s_j: maximum likelihood with more answers (MLE-Aug); with one answer it is plain maximum likelihood.

    >>> all_of(jnp.array([[-1.0, -3.0]]), jnp.array([[1.0, 1.0]]))
    Array([4.], dtype=float32)
    """
    return -jnp.sum(jnp.where(there > 0, scores, 0.0), axis=1)


def mean_of(scores: Scores, there: Scores) -> Float[Array, " B"]:
    """The same, divided by the number of answers; 0 for a question without any.

    >>> mean_of(jnp.array([[-1.0, -3.0]]), jnp.array([[1.0, 1.0]]))
    Array([2.], dtype=float32)
    """
    return all_of(scores, there) / jnp.maximum(there.sum(axis=1), 1.0)


@dataclass(frozen=True)
class AnyOf:
    """-(1 / β) log Σ_j exp(β s_j): β = 1 is the marginal likelihood of all answers (MML), lower ones are smoother.

    Its gradient is that of -Σ_j w_j s_j with w = softmax(β s): what is likely already is learned most. For β -> 0
    weights are equal. A question without any answer has loss 0.

    Reference: Ni et al. 2022, https://arxiv.org/abs/2205.14318, section 3.3 (β-MML).

    Raises:
      ValueError: β is not above 0.

    >>> import jax
    >>> scores, there = jnp.log(jnp.array([[0.5, 0.25]])), jnp.ones((1, 2))
    >>> round(float(AnyOf(1.0)(scores, there)[0] + jnp.log(0.75)), 4)
    0.0
    >>> jax.grad(lambda s: AnyOf(1.0)(s, there)[0])(scores).round(4)
    Array([[-0.6667, -0.3333]], dtype=float32)
    """

    beta: float = 0.25

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta={self.beta} must be above 0; `mean_of` has the gradient of its limit at 0")

    def __call__(self, scores: Scores, there: Scores) -> Float[Array, " B"]:
        some_B = there.any(axis=1)
        safe_BK = jnp.where(there > 0, self.beta * scores, -jnp.inf)
        safe_BK = jnp.where(some_B[:, None], safe_BK, 0.0)
        return jnp.where(some_B, -jax.nn.logsumexp(safe_BK, axis=1) / self.beta, 0.0)


@dataclass(frozen=True)
class Mixed:
    """λ_any times the loss of any of the answers and λ_all times that of all, as in the paper's published code.

    >>> one = jnp.array([[-2.0]]), jnp.ones((1, 1))
    >>> Mixed(any_of=AnyOf(1.0), weights=(0.5, 0.5))(*one)
    Array([2.], dtype=float32)
    """

    any_of: AnyOf = AnyOf()
    weights: tuple[float, float] = (0.5, 0.5)

    def __call__(self, scores: Scores, there: Scores) -> Float[Array, " B"]:
        first, second = self.weights
        return first * self.any_of(scores, there) + second * all_of(scores, there)


def of_equal_length(scores: Scores, lengths: Scores, there: Scores) -> Scores:
    """Scores as if all answers to a question were as long as its longest, so that short ones are not preferred.

    >>> of_equal_length(jnp.array([[-1.0, -6.0]]), jnp.array([[2.0, 6.0]]), jnp.ones((1, 2)))
    Array([[-3., -6.]], dtype=float32)
    """
    longest_B1 = jnp.max(jnp.where(there > 0, lengths, 0.0), axis=1, keepdims=True)
    return scores * longest_B1 / jnp.maximum(lengths, 1.0)


@dataclass(frozen=True)
class SeveralAnswers:
    """The mean over questions of a loss of their answers' scores.

    A batch has `tokens` (B, K, T + 1), `weights` (B, K, T), 1 at the targets of an answer, and `there` (B, K).

    Metrics are pairs: `loss` over questions; `nats`, -log p a token, over all answers' tokens; `answers` a question.

    Args:
      loss: of the scores, such as `all_of` or `AnyOf(0.25)`.
      equal_length: scores are those `of_equal_length`.

    >>> model = lambda tokens, key: jnp.zeros((*tokens.shape, 8))
    >>> batch = {"tokens": jnp.ones((1, 2, 3), int), "weights": jnp.ones((1, 2, 2)), "there": jnp.ones((1, 2))}
    >>> round(float(SeveralAnswers(all_of)(model, batch, None)[0] / jnp.log(8)), 4)
    4.0
    """

    loss: Several = all_of
    equal_length: bool = False

    def __call__(
        self, model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
    ) -> tuple[Float[Array, ""], Metrics]:
        weights, there = batch["weights"], batch["there"]
        B, K, T = weights.shape
        rows, own = batch["tokens"].reshape(B * K, T + 1), weights.reshape(B * K, T)
        scores = token_logprobs(model, rows, own, key).sum(axis=1).reshape(B, K)
        lengths = weights.sum(axis=2)
        shown = -jnp.sum(there * scores), jnp.sum(there * lengths)
        if self.equal_length:
            scores = of_equal_length(scores, lengths, there)
        total, count = self.loss(scores, there).sum(), jnp.asarray(B, scores.dtype)
        return total / count, {"loss": (total, count), "nats": shown, "answers": (there.sum(), count)}

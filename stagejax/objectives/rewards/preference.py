"""Preference: of two answers to one prompt, make the chosen one likelier than the rejected one.

One loss, -log σ(z) with z = s(chosen) - s(rejected) - margin, covers a family by how an answer y is scored:

    DPO         s = β Σ (log π - log π_ref)              Preference(0.1)
    DPO-norm    s = β / |y| Σ (log π - log π_ref)        Preference(5.0, mean=True)
    SimPO       s = β / |y| Σ log π, margin γ            Preference(2.0, mean=True, reference=False, margin=1.0)
    step-level  as DPO, with weights at the tokens of the step in question only
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, cross_entropy

SIDES = ("chosen", "rejected")


def answer_logprobs(
    model: Callable[..., Array], tokens: Any, weights: Any, key: Array | None = None
) -> Float[Array, " B"]:
    """Σ_t w_t log p(token_{t+1} | tokens_{<=t}) of each row, in nats: what the loss takes, and what a reference caches.

    Args:
      model: `model(tokens, key=key)` gives logits (B, T, vocab).
      tokens: (B, T + 1), prompt and answer.
      weights: (B, T) of the targets: 1 at the answer's tokens, 0 at the prompt's and behind the end.

    >>> model = lambda tokens, key: jnp.zeros((*tokens.shape, 8))
    >>> answer_logprobs(model, jnp.array([[1, 2, 3, 4]]), jnp.array([[0.0, 1.0, 1.0]])).round(4)
    Array([-4.1589], dtype=float32)
    """
    losses_BT, _ = cross_entropy(model(tokens[:, :-1], key=key), jnp.asarray(tokens[:, 1:]))
    return -jnp.sum(jnp.where(weights > 0, weights * losses_BT, 0.0), axis=-1)


@dataclass(frozen=True)
class Preference:
    """The mean of -log σ(s(chosen) - s(rejected) - margin) over pairs; an objective.

    A batch has, for each side, `chosen` and `rejected`: tokens (B, T + 1), and `chosen_weights`, ... (B, T) as in
    `answer_logprobs`. With a reference also `chosen_reference`, ... (B,), its summed log-probabilities, computed once
    for all epochs. A batch's own `margin` (B,), such as a difference of graded qualities, is added to that of all.

    Metrics are pairs (total, count): `loss`, `accuracy` (the chosen one scores higher), `margin` (by how much) and
    `chosen_logprob` (nats a token), which falls where both answers become unlikely.

    Reference: DPO, Rafailov et al. 2023 (arXiv 2305.18290), eq. 7; DPO-norm, Lambert et al. 2024 (arXiv 2411.15124),
    section 5; SimPO, Meng et al. 2024 (arXiv 2405.14734); the likelihood term, Pang et al. 2024 (arXiv 2404.19733).

    Raises:
      ValueError: beta is not positive; or the batch lacks the reference's log-probabilities.

    >>> model = lambda tokens, key: jnp.zeros((*tokens.shape, 8))
    >>> answers = {"chosen": jnp.array([[1, 2]]), "rejected": jnp.array([[1, 3]])}
    >>> weights = {"chosen_weights": jnp.ones((1, 1)), "rejected_weights": jnp.ones((1, 1))}
    >>> loss, metrics = Preference(beta=2.0, reference=False)(model, answers | weights, None)
    >>> round(float(loss), 4)
    0.6931
    """

    beta: float = 0.1
    mean: bool = False  # log-probabilities of an answer per token, not summed
    reference: bool = True  # relative to those of a reference
    margin: float = 0.0  # by how much the chosen answer shall score higher
    likelihood: float = 0.0  # weight of -log π(chosen) / |chosen|, nats a token

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta={self.beta} must be positive")

    def __call__(
        self, model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss of a batch of pairs; both sides go through the model together."""
        tokens, weights = (jnp.concatenate([batch[side + of] for side in SIDES]) for of in ("", "_weights"))
        lengths = jnp.maximum(jnp.sum(weights, axis=-1), 1e-9)
        logprobs = answer_logprobs(model, tokens, weights, key)
        gained = logprobs - jax.lax.stop_gradient(self._reference(batch)) if self.reference else logprobs
        chosen, rejected = jnp.split(self.beta * (gained / lengths if self.mean else gained), 2)
        ahead = chosen - rejected
        each = jax.nn.softplus(self.margin + batch.get("margin", 0.0) - ahead)
        likelihood = (logprobs / lengths)[: len(ahead)]
        each = each - self.likelihood * likelihood if self.likelihood else each
        pairs = jnp.asarray(len(ahead), each.dtype)
        shown = {"loss": each, "accuracy": ahead > 0, "margin": ahead, "chosen_logprob": likelihood}
        return jnp.mean(each), {name: (jnp.sum(value), pairs) for name, value in shown.items()}

    def _reference(self, batch: Mapping[str, Any]) -> Array:
        lacking = [f"{side}_reference" for side in SIDES if f"{side}_reference" not in batch]
        if lacking:
            raise ValueError(
                f"{self} compares with a reference, but the batch lacks {lacking}: compute them once by "
                "`answer_logprobs` of the model before this stage, or set reference=False"
            )
        return jnp.concatenate([batch[f"{side}_reference"] for side in SIDES])

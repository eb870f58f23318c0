"""A text under several contexts: what retrieval-augmented generation is trained for, mixed token by token.

Letters: B questions, K contexts of each, S tokens that an encoder reads, T tokens that a decoder says, V ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.language import exact_rows
from stagejax.objectives.loss import Metrics, weighted


def mixed_logprobs(logits_BKTV: Float[Array, "B K T V"], scores_BK: Float[Array, "B K"]) -> Float[Array, "B T V"]:
    """`log Σ_k p(z_k | x) p(v | x, z_k, y_<t)` with `p(z_k | x) = exp(s_k) / Σ_j exp(s_j)` over the K contexts.

    It is a distribution at every token, so a text may take one word from one context and the next from another.

    Args:
      logits_BKTV: of a generator that has read each context by itself.
      scores_BK: of a retriever; -inf where there is no context.

    Reference: Lewis et al. 2020 (RAG-token), https://arxiv.org/abs/2005.11401, section 2.1.

    >>> logits = jnp.log(jnp.array([[[[0.9, 0.1]], [[0.1, 0.9]]]]))
    >>> [round(p, 3) for p in jnp.exp(mixed_logprobs(logits, jnp.log(jnp.array([[3.0, 1.0]]))))[0, 0].tolist()]
    [0.7, 0.3]
    """
    wide = jnp.promote_types(logits_BKTV.dtype, jnp.float32)
    logp_BKTV = jax.nn.log_softmax(logits_BKTV.astype(wide))
    return jax.nn.logsumexp(logp_BKTV + jax.nn.log_softmax(scores_BK.astype(wide))[:, :, None, None], axis=1)


def marginal_seq2seq(
    model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
) -> tuple[Float[Array, ""], Metrics]:
    """`-log p(y | x) = -Σ_t log Σ_k p(z_k | x) p(y_t | x, z_k, y_<t)`, as the mean over tokens, in nats.

    The K contexts of a question are rows of their own to the model, B · K in all. Scores are given, as of a retriever
    that is frozen, so the gradient reaches the generator alone: a context has as much of it as its share of
    `p(y_t | x)`. With K = 1 this is `seq2seq`.

    Args:
      model: `model(inputs, tokens, mask=mask, key=key)` gives logits (B · K, T, V).
      batch: `inputs` and `mask` (B, K, S), `scores` (B, K); `tokens`, `targets` and `weights` (B, T); also `answers`
        (B, T), 1 at the targets that answer, where others repeat the question.
      key: draws dropout; None in evaluation.

    Returns:
      The loss; the pairs (sum, number) `loss` and `accuracy` over tokens, `exact` over rows, as in `seq2seq`; and
      `answer_loss` and `answer_exact`, of the answers alone.

    Reference: Mueller et al. 2023, https://arxiv.org/abs/2307.00119; Lewis et al. 2020.

    >>> model = lambda inputs, tokens, mask, key: jnp.zeros((*tokens.shape, 8))
    >>> row, ones = jnp.ones((1, 3), int), jnp.ones((1, 3))
    >>> batch = {"inputs": jnp.ones((1, 2, 5), int), "mask": jnp.ones((1, 2, 5), bool), "scores": jnp.zeros((1, 2))}
    >>> batch |= {"tokens": row, "targets": row, "weights": ones, "answers": ones}
    >>> round(float(marginal_seq2seq(model, batch, None)[0] / jnp.log(8)), 4)
    1.0
    """
    B, K, S = batch["inputs"].shape
    inputs, mask = batch["inputs"].reshape(B * K, S), batch["mask"].reshape(B * K, S)
    logits = model(inputs, jnp.repeat(batch["tokens"], K, axis=0), mask=mask, key=key)
    logp_BTV = mixed_logprobs(logits.reshape(B, K, *logits.shape[1:]), batch["scores"])
    loss, metrics = weighted(logp_BTV, batch["targets"], batch["weights"])
    _, answers = weighted(logp_BTV, batch["targets"], batch["answers"])
    metrics |= {"exact": exact_rows(logp_BTV, batch), "answer_loss": answers["loss"]}
    return loss, metrics | {"answer_exact": exact_rows(logp_BTV, {**batch, "weights": batch["answers"]})}

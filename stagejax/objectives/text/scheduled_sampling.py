"""Scheduled sampling inside of a step: own tokens in the contexts of next-token prediction, in two parallel passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from stagejax.objectives.language import causal_lm
from stagejax.objectives.loss import Metrics


def scheduled_sampling(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Key[Array, ""] | None,
    *,
    eps: float,
    lowest: int,
    temperature: float = 1.0,
) -> tuple[Float[Array, ""], Metrics]:
    """`causal_lm` on contexts in which tokens are the model's own with probability `eps`; targets stay gold.

        pass 1   y'_t ~ p(. | x, y_<t) for all t at once, behind gold prefixes     no gradient
        pass 2   c_t = y'_t if m_t else y_t, m_t ~ Bernoulli(eps);   -sum_t log p(y_t | x, c_<t)

    Only tokens that are themselves targets of weight are replaced, so prompts stay. In evaluation (key None) this is
    `causal_lm`.

    Args:
      model, batch, key: as in `causal_lm`; the batch has `targets` and `weights`.
      eps: probability of an own token.
      lowest: the first token that may be drawn; those before it are special.
      temperature: of the draws.

    Returns:
      The loss and metrics of `causal_lm`, and `replaced`, (tokens that are now others, tokens that might be).

    Reference: Duckworth et al. 2019 (parallel scheduled sampling, one pass), https://arxiv.org/abs/1906.04331,
    section 3; Mihaylova and Martins 2019, https://arxiv.org/abs/1906.07651.

    >>> model = lambda tokens, key: 50 * jax.nn.one_hot(tokens + 1, 12)
    >>> row = jnp.array([[5, 7, 9]])
    >>> batch = {"tokens": row, "targets": jnp.array([[7, 9, 10]]), "weights": jnp.ones((1, 3))}
    >>> _, metrics = scheduled_sampling(model, batch, jax.random.key(0), eps=1.0, lowest=4)
    >>> [float(x) for x in metrics["replaced"]]  # 7 becomes 6, and 9 becomes 8
    [2.0, 2.0]
    """
    if key is None:
        return causal_lm(model, batch, None)
    draw_key, mask_key, model_key = jax.random.split(key, 3)
    logits_BTV = jax.lax.stop_gradient(model(batch["tokens"], key=None))
    own_BT = drawn(logits_BTV, draw_key, temperature, lowest)
    mask_BT = jax.random.bernoulli(mask_key, eps, own_BT.shape) & replaceable(batch)
    tokens_BT = jnp.where(mask_BT, own_BT, batch["tokens"])
    loss, metrics = causal_lm(model, {**batch, "tokens": tokens_BT}, model_key)
    changed = (tokens_BT != batch["tokens"]).sum().astype(jnp.float32)
    return loss, metrics | {"replaced": (changed, replaceable(batch).sum().astype(jnp.float32))}


def drawn(logits_BTV: Float[Array, "B T V"], key: Key[Array, ""], temperature: float, lowest: int) -> Int[Array, "B T"]:
    """A token for each place, from the logits of the place before it; 0 for the first."""
    words_BTV = jnp.where(jnp.arange(logits_BTV.shape[-1]) >= lowest, logits_BTV / temperature, -jnp.inf)
    own_BT = jax.random.categorical(key, words_BTV)
    return jnp.pad(own_BT[:, :-1], ((0, 0), (1, 0)))


def replaceable(batch: Mapping[str, Any]) -> Bool[Array, "B T"]:
    """Places of tokens that are the targets of the place before them, with weight."""
    return jnp.pad(batch["weights"][:, :-1] > 0, ((0, 0), (1, 0)))


__all__ = ["scheduled_sampling"]

"""BERT's two losses: masked tokens at given places, and whether the second sentence is a random one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted


def masked_and_next(model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the masked tokens plus that of next sentences, in nats.

    Args:
      model: `model.both(tokens, types, places_BM=places, key=key)` gives logits (B, M, vocab) and (B, 2).
      batch: `tokens` and `types` (B, T); `places`, `targets`, `weights` and `letters` (B, M); `random_next` (B,).
      key: draws dropout; None in evaluation.

    Returns:
      The sum; the pairs (sum, number) `masked` and `masked_accuracy` over masked tokens, `next` and `next_accuracy`
      over rows, and `per_letter`: nats of the masked tokens by their characters, which vocabularies can be compared by.

    Reference: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, section 3.1.
    """
    masked_BMV, pair_BC = model.both(batch["tokens"], batch["types"], places_BM=batch["places"], key=key)
    masked, of_tokens = weighted(masked_BMV, batch["targets"], batch["weights"])
    following, of_pairs = weighted(pair_BC, batch["random_next"])
    letters = jnp.where(batch["weights"] > 0, batch["letters"], 0).sum()
    return masked + following, {
        "masked": of_tokens["loss"],
        "masked_accuracy": of_tokens["accuracy"],
        "per_letter": (of_tokens["loss"][0], letters),
        "next": of_pairs["loss"],
        "next_accuracy": of_pairs["accuracy"],
    }

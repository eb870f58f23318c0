"""The units of frames that a speech encoder does not see: the objective of HuBERT and of WavLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.sound.tokenizing import spans


def masked_units(
    model: Any, batch: Mapping[str, Any], key: Array | None, *, share: float = 0.1, span: int = 5, seen: float = 0.0
) -> tuple[Float[Array, ""], Metrics]:
    """-mean log p(unit | the frames that are not hidden) over hidden frames, in nats. No label is looked at.

    Spans of `span` frames begin at each frame with probability `share`. Where the batch's frames have noise that was
    not there when units were found, this is WavLM's denoising.

    Args:
      model: `model(frames, real, hidden, key)` gives logits (B, T, K).
      batch: "frames" (B, N, M), "real" (B, T), and "units" (B, T) of a clustering of frames.
      key: draws what is hidden; None in evaluation, where it is the same each time.
      seen: weight of the same loss over frames that are not hidden.

    Returns:
      The loss, and the pairs `loss` and `accuracy`, of hidden frames.

    References: Hsu et al. 2021 (HuBERT), https://arxiv.org/abs/2106.07447, equations 1 and 2; Chen et al. 2021 (WavLM),
    https://arxiv.org/abs/2110.13900, section III-B.

    >>> import jax.numpy as jnp
    >>> batch = {"frames": jnp.zeros((2, 4, 8)), "real": jnp.ones((2, 4), bool), "units": jnp.zeros((2, 4), int)}
    >>> loss, _ = masked_units(lambda x, real, hidden, key: jnp.zeros((2, 4, 3)), batch, jax.random.key(0), share=1.0)
    >>> bool(jnp.allclose(loss, jnp.log(3)))
    True
    """
    real_BT = batch["real"]
    hidden_BT = spans(jax.random.key(0) if key is None else key, real_BT.shape, share, span) & real_BT
    logits_BTK = model(batch["frames"], real_BT, hidden_BT, None if key is None else jax.random.fold_in(key, 1))
    loss, metrics = weighted(logits_BTK, batch["units"], hidden_BT.astype(logits_BTK.dtype))
    if seen:
        loss = loss + seen * weighted(logits_BTK, batch["units"], (real_BT & ~hidden_BT).astype(logits_BTK.dtype))[0]
    return loss, metrics

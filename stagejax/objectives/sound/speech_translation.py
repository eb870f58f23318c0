"""Objectives of speech translation: words by CTC, translations by their tokens, and by a teacher's likeliest ones.

A batch has "inputs" (B, T, M) and "mask" (B, t) of segments, and what each objective learns from.

Letters: B batch, T frames, M mel bands, t time steps (half of the frames), N tokens, V vocabulary, K kept tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Metrics
from stagejax.objectives.sound.recognition import ctc, without_bands
from stagejax.objectives.sound.signs import said

Batch = Mapping[str, Any]


def top_k(logits: Float[Array, "*batch V"], k: int) -> tuple[Int[Array, "*batch K"], Float[Array, "*batch K"]]:
    """The k likeliest classes and their logits, the likeliest first: all that is kept of a teacher.

    Reference: Tan et al. 2019, https://arxiv.org/abs/1902.10461, section 3.3.

    >>> [x.tolist() for x in top_k(jnp.array([0.0, 2.0, 1.0]), 2)]
    [[1, 2], [2.0, 1.0]]
    """
    values, classes = jax.lax.top_k(logits, k)
    return classes, values


def truncated_cross_entropy(
    logits: Float[Array, "*batch V"],
    classes: Int[Array, "*batch K"],
    kept: Float[Array, "*batch K"],
    temperature: float = 1.0,
) -> Float[Array, "*batch"]:
    """-Σ_{v in top K} softmax(z^T[top K] / τ)_v log p(v), in nats; z^T are the teacher's logits.

    The teacher's probabilities add up to 1 over what is kept; those of the student are of all classes.

    Reference: Kim and Rush 2016, https://arxiv.org/abs/1606.07947, equation 5, with the truncation of Tan et al. 2019.

    >>> loss = truncated_cross_entropy(jnp.zeros(4), jnp.array([2, 1]), jnp.array([1.0, 0.0]))
    >>> bool(jnp.allclose(loss, jnp.log(4)))
    True
    """
    p = jax.nn.softmax(kept.astype(jnp.float32) / temperature)
    logp = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -jnp.sum(p * jnp.take_along_axis(logp, classes, axis=-1), axis=-1)


def recognition(model: Any, batch: Batch, key: Any, *, hidden: int = 0) -> tuple[Float[Array, ""], Metrics]:
    """CTC of the words of a segment (see `ctc`), from whole pairs of frames."""
    frames = {"frames": batch["inputs"], "real": jnp.repeat(batch["mask"], 2, axis=1), "words": batch["words"]}
    return ctc(model, frames, key, hidden=hidden)


def translation(
    model: Any, batch: Batch, key: Any, *, smoothing: float = 0.0, hidden: int = 0
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the tokens of the translation, with label smoothing, in nats.

    Args:
      batch: also "tokens", "targets" and "weights" (B, N).
      hidden: so many bands at most are hidden in each of two runs (see `without_bands`), where there is a key.
    """
    return said(_logits(model, batch, key, hidden), batch, smoothing)


def taught(
    model: Any,
    batch: Batch,
    key: Any,
    *,
    strength: float = 1.0,
    temperature: float = 1.0,
    hidden: int = 0,
) -> tuple[Float[Array, ""], Metrics]:
    """(1 - λ) NLL + λ KD, the mean of tokens: KD is the cross entropy with the teacher's truncated distribution.

    Args:
      batch: as for `translation`, and the teacher's "top" and "top_logits" (B, N, K). Where a batch holds no teacher (a
        held-out one) the loss is that of the tokens.
      strength: λ; with 1 no token of the translation is a label.
      temperature: τ of the teacher.

    Reference: the criterion of https://github.com/mgaido91/FBK-fairseq-ST, for https://arxiv.org/abs/2106.12607.
    """
    logits_BNV = _logits(model, batch, key, hidden)
    loss, metrics = said(logits_BNV, batch, 0.0)
    if "top" not in batch:
        return loss, metrics
    weights_BN = batch["weights"].astype(jnp.float32)
    kd_BN = truncated_cross_entropy(logits_BNV, batch["top"], batch["top_logits"], temperature)
    count = weights_BN.sum()
    kd = (kd_BN * weights_BN).sum() / count
    loss = kd if strength == 1 else (1 - strength) * loss + strength * kd
    return loss, metrics | {"loss": (loss * count, count)}


def _logits(model: Any, batch: Batch, key: Any, hidden: int) -> Float[Array, "B N V"]:
    frames = batch["inputs"]
    if key is not None and hidden:
        for own in jax.random.split(jax.random.fold_in(key, 1)):
            frames = without_bands(frames, own, hidden)
    return model(frames, batch["tokens"], mask=batch["mask"], key=key)

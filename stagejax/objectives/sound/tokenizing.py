"""Losses of tokenizers: pictures and frames of speech by codes, and the encoder that a codec is distilled from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagejax.objectives.loss import Metrics

Batch = Mapping[str, Any]


def picture_codes(
    model: Callable[..., Any], batch: Batch, key: Array | None, *, variance: float = 0.002, beta: float = 0.25
) -> tuple[Float[Array, ""], Metrics]:
    """|x - decoded|² / variance + codebook + beta · commitment, each a mean.

    The model gives (decoded, `Quantized`) of `image`.

    Reference: van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, equation 3.
    """
    decoded, found = model(batch["image"], key)
    error = jnp.square(decoded - batch["image"]).mean()
    loss = error / variance + found.loss(beta)
    return loss, {"loss": loss, "error": error}


def hidden_frames(
    model: Callable[..., Any], batch: Batch, key: Array | None, *, share: float = 0.15, span: int = 3
) -> tuple[Float[Array, ""], Metrics]:
    """The mean absolute error of frames that the model does not see. No label is looked at.

    Spans of `span` frames begin at each frame with probability `share`. The model gives (predictions, targets) of
    `frames`, `real` and which are hidden.

    Reference: Liu et al. 2021, TERA, https://arxiv.org/abs/2007.06028, section III-B (alteration in time).
    """
    real = batch["real"]
    hidden = spans(jax.random.key(0) if key is None else key, real.shape, share, span)
    predicted, wanted = model(batch["frames"], real, hidden)
    weight = (hidden & real).astype(predicted.dtype)
    total, count = (jnp.abs(predicted - wanted).mean(-1) * weight).sum(), weight.sum()
    return total / jnp.maximum(count, 1), {"loss": (total, count)}


def spans(key: Array, shape: tuple[int, int], share: float, span: int) -> Bool[Array, "B T"]:
    """Where spans of `span` frames lie that begin at each frame with probability `share`.

    >>> spans(jax.random.key(0), (1, 4), 1.0, 2).tolist()
    [[True, True, True, True]]
    """
    begins = jax.random.uniform(key, shape) < share
    padded = jnp.pad(begins, ((0, 0), (span - 1, 0)))
    return jnp.stack([padded[:, i : i + shape[1]] for i in range(span)]).any(0)


def speech_codes(
    model: Callable[..., Any], batch: Batch, key: Array | None, *, distilled: float = 1.0, beta: float = 0.25
) -> tuple[Float[Array, ""], Metrics]:
    """|x - decoded| + codebook + beta · commitment + distilled · `feature_distance` over real frames.

    The model gives (decoded, `Quantized`, features told by the first book) of `frames` and `real`; `features` are the
    teacher's.

    Reference: Zhang et al. 2023, SpeechTokenizer, https://arxiv.org/abs/2308.16692, section 3.3.
    """
    real = batch["real"]
    decoded, found, student = model(batch["frames"], real)
    error = (jnp.abs(decoded - batch["frames"]).mean(-1) * real).sum() / real.sum()
    apart = feature_distance(student, batch["features"], real)
    loss = error + found.loss(beta) + distilled * apart
    return loss, {"loss": loss, "error": error, "distillation": apart}


def feature_distance(
    student: Float[Array, "B T F"], teacher: Float[Array, "B T F"], real: Bool[Array, "B T"]
) -> Float[Array, ""]:
    """-mean log sigmoid(cos(student[:, f], teacher[:, f])): each feature as a vector over the clip's real frames.

    Reference: SpeechTokenizer, equation 1 (distillation along the axis of features).

    >>> x = jnp.ones((1, 3, 2))
    >>> round(float(feature_distance(x, x, jnp.ones((1, 3), bool))), 4)  # log(1 + 1 / e)
    0.3133
    """
    weight = real[..., None].astype(student.dtype)
    product = (student * teacher * weight).sum(1)
    sizes = [jnp.sqrt((x**2 * weight).sum(1) + 1e-8) for x in (student, teacher)]
    return -jax.nn.log_sigmoid(product / (sizes[0] * sizes[1])).mean()

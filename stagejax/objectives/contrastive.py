"""Contrastive objectives: pairs that belong together against all others of the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted


def info_nce(
    logits_NN: Float[Array, "N N"], others_NM: Float[Array, "N M"] | None = None
) -> tuple[Float[Array, ""], Metrics]:
    """InfoNCE in both directions: `1/2 [CE over columns of each row + CE over rows of each column]`, in nats.

    Args:
      logits_NN: similarities over temperature; pair i is row i and column i, everything else is a negative, but for
        what is -inf, which counts as neither.
      others_NM: similarities of the rows to further negatives, that are no column's.

    Returns:
      The loss, and the pairs (sum, number of pairs) `loss`, `accuracy` and, by direction, `rows` and `columns`: how
      often the partner has the largest similarity of its row, of its column.

    References: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748, equation 4; in both directions: Radford et
    al. 2021 (CLIP), https://arxiv.org/abs/2103.00020, figure 3.

    >>> loss, metrics = info_nce(jnp.zeros((4, 4)))
    >>> bool(jnp.allclose(loss, jnp.log(4)))
    True
    """
    partners = jnp.arange(logits_NN.shape[0])
    all_NM = logits_NN if others_NM is None else jnp.concatenate([logits_NN, others_NM], axis=1)
    (_, rows), (_, columns) = weighted(all_NM, partners), weighted(logits_NN.T, partners)
    both = {name: ((rows[name][0] + columns[name][0]) / 2, rows[name][1]) for name in ("loss", "accuracy")}
    loss, count = both["loss"]
    return loss / count, both | {"rows": rows["accuracy"], "columns": columns["accuracy"]}


def soft_target_kl(logits_NN: Float[Array, "N N"], sharpness: float = 10.0) -> tuple[Float[Array, ""], Metrics]:
    """`1/2 [mean over rows of KL(q || p) + mean over columns]`, in nats: targets are nearly one-hot.

    p is the softmax of a row (of a column), q = softmax(sharpness · I): the partner has most of it, and all else has
    e^-sharpness of what the partner has. For one-hot q this is InfoNCE.

    Returns:
      The loss, and the pairs (sum, number of pairs) `loss`, `rows` and `columns` as in `info_nce`.

    Reference: Zhou et al. 2023 (GFSLT-VLP), https://arxiv.org/abs/2307.14768, and the loss of its code.

    >>> loss, _ = soft_target_kl(10.0 * jnp.eye(4))
    >>> bool(jnp.abs(loss) < 1e-6)
    True
    """
    N = logits_NN.shape[0]
    _, metrics = info_nce(logits_NN)
    wide_NN = logits_NN.astype(jnp.promote_types(logits_NN.dtype, jnp.float32))
    log_q_NN = jax.nn.log_softmax(sharpness * jnp.eye(N, dtype=wide_NN.dtype), axis=1)

    def divergence(wide_NN: Array) -> Array:
        return (jnp.exp(log_q_NN) * (log_q_NN - jax.nn.log_softmax(wide_NN, axis=1))).sum()

    total = (divergence(wide_NN) + divergence(wide_NN.T)) / 2
    return total / N, {"loss": (total, jnp.float32(N)), "rows": metrics["rows"], "columns": metrics["columns"]}


def image_text(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    image: str = "image",
    tokens: str = "tokens",
) -> tuple[Float[Array, ""], Metrics]:
    """`info_nce` of the images and texts of a batch: the objective of CLIP.

    The negatives are the rest of the global batch, on however many devices it lies; a stage that accumulates gradients
    over parts of a batch has the negatives of each part only.

    Args:
      model: `model(images, tokens, key=key)` gives similarities over temperature (N, N).
      batch: images and token ids under the names `image` and `tokens`.
      key: draws dropout; None in evaluation.

    >>> batch = {"image": jnp.eye(3), "tokens": 9 * jnp.eye(3)}
    >>> float(image_text(lambda u, v, key: u @ v.T, batch, None)[1]["rows"][0])
    3.0
    """
    return info_nce(model(batch[image], batch[tokens], key=key))


def distinct_image_text(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    image: str = "image",
    tokens: str = "tokens",
) -> tuple[Float[Array, ""], Metrics]:
    """`image_text` where another pair with the same text is no negative: for captions of which there are few.

    >>> batch = {"image": jnp.eye(3), "tokens": jnp.array([[1, 0], [1, 0], [0, 1]])}
    >>> similar = lambda u, v, key: 9 * u @ jnp.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    >>> distinct_image_text(similar, batch, None)[0].round(3)
    Array(0., dtype=float32)
    """
    texts_NT = jnp.asarray(batch[tokens])
    same_NN = (texts_NT[:, None] == texts_NT[None]).all(-1) & ~jnp.eye(len(texts_NT), dtype=bool)
    return info_nce(jnp.where(same_NN, -jnp.inf, model(batch[image], batch[tokens], key=key)))

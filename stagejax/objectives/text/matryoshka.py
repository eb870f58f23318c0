"""Objectives on the cups of one encoder: sub-models that read its first n blocks and first d coordinates.

A model gives `embeddings(tokens, cups, pool)`; for pre-training also `read`, `lift`, `predict` and `decode` (see
`models.text.matryoshka`). Fix the cups by `functools.partial`. A batch of pairs holds token ids `first` and `second`.

Reference of all but 2DMSE: Zhuang et al. 2024 (Starbucks), https://arxiv.org/abs/2410.13230, and its released code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.distillation import kl_divergence
from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.retrieval.retrieval import reciprocal_rank_at
from stagejax.objectives.text.similarity import cosent, multiple_negatives, spearman, unit

Batch = Mapping[str, Any]
Cup = tuple[int, int]
Vectors = Float[Array, "N D"]
#: The loss of one cup: (first (N, d), second (N, d), batch) -> (loss, metrics).
Rank = Callable[[Array, Array, Batch], tuple[Array, Metrics]]


def smae(model: Any, batch: Batch, key: Array | None, *, cups: Sequence[Cup]) -> tuple[Float[Array, ""], Metrics]:
    """Masked autoencoding at every cup: the mean over cups of `(MLM + MAE) / 2`, in nats.

    MLM predicts the masked tokens from the first d coordinates behind block n. MAE hands only the first token's d
    coordinates, lifted, to a weak decoder whose own text has more masks, so they must say what the sentence says.

    Args:
      batch: `tokens` and `targets` (B, T), `places` (B, M) of the masks and their `place_weights`; `decoder_tokens`,
        `decoder_places` and `decoder_weights`.

    Returns:
      The loss; the metrics `mlm` and `accuracy` of the last cup, `mae` of all.
    """
    places = batch["places"]

    def reader(x_BTE: Array) -> Array:  # the first token, and the masked ones
        return jnp.concatenate([x_BTE[:, :1], _at(x_BTE, places)], 1)

    read_LBME = model.read(batch["tokens"], reader, max(depth for depth, _ in cups))
    found = [read_LBME[depth - 1, ..., :size] for depth, size in cups]
    wanted = _at(batch["targets"], places)
    mlm = [weighted(model.predict(model.lift(x[:, 1:])), wanted, batch["place_weights"]) for x in found]

    first, many = jnp.concatenate([model.lift(x[:, 0]) for x in found]), (len(cups), 1)
    decoded = model.decode(jnp.tile(batch["decoder_tokens"], many), first)
    decoded = model.lift(_at(decoded, jnp.tile(batch["decoder_places"], many)))
    answers = _at(batch["targets"], batch["decoder_places"])
    mae, mae_metrics = weighted(
        model.predict(decoded), jnp.tile(answers, many), jnp.tile(batch["decoder_weights"], many)
    )
    loss, last = (sum(own for own, _ in mlm) / len(cups) + mae) / 2, mlm[-1][1]
    return loss, {"loss": loss, "mlm": last["loss"], "accuracy": last["accuracy"], "mae": mae_metrics["loss"]}


def _at(x: Array, places_BM: Array) -> Array:
    """What lies at the places of each row."""
    return jnp.take_along_axis(x, places_BM if x.ndim == 2 else places_BM[..., None], axis=1)


def by_partner(first: Vectors, second: Vectors, batch: Batch) -> tuple[Float[Array, ""], Metrics]:
    """Sentences that mean the same rank above the others of the batch: `multiple_negatives`."""
    return multiple_negatives(first, second)


def by_grade(first: Vectors, second: Vectors, batch: Batch) -> tuple[Float[Array, ""], Metrics]:
    """Pairs of a higher `grade` have a higher cosine: `cosent`, for few but graded pairs."""
    return cosent(_cosines(first, second), batch["grade"]), {}


def similarity(
    model: Any, batch: Batch, key: Array | None, *, cups: Sequence[Cup], rank: Rank = by_partner, weight: float = 1.0
) -> tuple[Float[Array, ""], Metrics]:
    """Starbucks' representation learning on pairs: `Σ_k rank(e_k) + Σ_{k<K} 0.3 w KL(softmax(E_k) || softmax(e_k))`.

    e_k are the mean-pooled vectors of cup k and E_k the first d_k coordinates of those of the last. As in the released
    code, the divergence is between coordinates, 0.3 is a factor and no temperature, and the target is trained as well.
    One cup makes it the ranking loss of a separate small model.

    Args:
      batch: pairs that mean the same; or, `by_grade`, any pairs and their `grade` (N,).
      rank: the loss of one cup.
      weight: w.

    Returns:
      The sum, and `by_partner` the metric `accuracy`: how often the last cup ranks the partner first.
    """
    found = _embedded(model, batch, cups, "mean")
    ranked = [rank(*pair, batch) for pair in found]
    loss = sum(own for own, _ in ranked) + 0.3 * weight * sum(_agreement(pair, found[-1]) for pair in found[:-1])
    return loss, ranked[-1][1] | {"loss": loss}


def two_dimensional(
    model: Any, batch: Batch, key: Array | None, *, cups: Sequence[Cup], rank: Rank = by_partner, weight: float = 1.0
) -> tuple[Float[Array, ""], Metrics]:
    """2DMSE: the last layer and a drawn one n < L, each at all sizes: `Σ_d rank(e_Ld) + Σ_d rank(e_nd) / (1 + ln n)`.

    The drawn layer is pulled to the last by `0.3 w KL(softmax(e_L) || softmax(e_n))`. Sizes and L are those of the
    cups; batch and metrics as in `similarity`.

    Reference: Li et al. 2024, https://arxiv.org/abs/2402.14776; the weights are our reading of it.
    """
    inner, last, n = _drawn(model, batch, key, cups, "mean")
    shares = jnp.asarray([1 / (1 + math.log(layer)) for layer in range(1, max(n for n, _ in cups) + 1)])
    sizes = sorted({size for _, size in cups})
    ranked = [rank(*_cut(last, size), batch) for size in sizes]
    loss = sum(own for own, _ in ranked) + shares[n - 1] * sum(rank(*_cut(inner, size), batch)[0] for size in sizes)
    loss = loss + 0.3 * weight * _agreement(inner, last)
    return loss, ranked[-1][1] | {"loss": loss}


def retrieval(
    model: Any, batch: Batch, key: Array | None, *, cups: Sequence[Cup], temperature: float = 1.0, weight: float = 1.0
) -> tuple[Float[Array, ""], Metrics]:
    """The same on queries and passages: `Σ_k CE(s_k / τ) + Σ_{k<K} w KL(softmax(s_K / τ) || softmax(s_k / τ))`.

    s_k are inner products of the first token's vectors; the passages of the other queries are the negatives. The target
    of the divergence, the last cup's scores, is not trained by it.

    Args:
      batch: queries as `first` and their passages as `second`.
      temperature, weight: τ and w.
    """
    return _retrieval(_embedded(model, batch, cups, "first"), temperature, weight)


def drawn_retrieval(
    model: Any, batch: Batch, key: Array | None, *, cups: Sequence[Cup], temperature: float = 1.0, weight: float = 1.0
) -> tuple[Float[Array, ""], Metrics]:
    """`retrieval` in the manner of 2DMSE: beside the whole encoder all sizes of one drawn layer, not a fixed list."""
    inner, last, _ = _drawn(model, batch, key, cups, "first")
    sizes = sorted({size for _, size in cups})
    return _retrieval([*(_cut(inner, size) for size in sizes), last], temperature, weight)


def graded(model: Any, batch: Batch, key: Array | None, *, cups: Sequence[Cup]) -> tuple[Float[Array, ""], Metrics]:
    """Spearman's correlation of cosine and grade over one batch, as `cup_1`, `cup_2`, ...; the loss is 1 - their mean.

    Args:
      batch: pairs and the `grade` (N,) of their similarity.
    """
    found = _embedded(model, batch, cups, "mean")
    return _scored([(spearman(_cosines(*pair), batch["grade"]), jnp.ones(())) for pair in found])


def ranked(
    model: Any, batch: Batch, key: Array | None, *, cups: Sequence[Cup], k: int = 10
) -> tuple[Float[Array, ""], Metrics]:
    """MRR at k of each query's passage among all of the batch, as `cup_1`, `cup_2`, ...; the loss is 1 - their mean.

    Args:
      batch: queries as `first`, passages as `second`; a query whose `grade` is 0 has no answer and does not count, its
        passage is one more to confuse the others with.
    """
    counted, own = (batch["grade"] > 0).astype(jnp.float32), jnp.arange(len(batch["grade"]))
    found = _embedded(model, batch, cups, "first")
    return _scored([reciprocal_rank_at(k, queries @ passages.T, own, counted) for queries, passages in found])


def _embedded(model: Any, batch: Batch, cups: Sequence[Cup], pool: str) -> list[tuple[Array, Array]]:
    """(first, second) of every cup, from one pass where both are of the same length."""
    first, second = batch["first"], batch["second"]
    if first.shape == second.shape:
        both = model.embeddings(jnp.concatenate([first, second]), cups, pool)
        return [tuple(jnp.split(x, 2)) for x in both]
    sides = (model.embeddings(side, cups, pool) for side in (first, second))
    return list(zip(*sides, strict=True))


def _drawn(
    model: Any, batch: Batch, key: Array | None, cups: Sequence[Cup], pool: str
) -> tuple[tuple[Array, Array], tuple[Array, Array], Array]:
    """Full vectors behind a layer n drawn from 1 ... L - 1, and behind the last one L; n."""
    layers, size = max(depth for depth, _ in cups), max(size for _, size in cups)
    *inner, last = _embedded(model, batch, [(depth, size) for depth in range(1, layers + 1)], pool)
    row = jax.random.randint(jax.random.key(0) if key is None else key, (), 0, max(layers - 1, 1))
    first, second = (jnp.stack(side)[row] for side in zip(*(inner or [last]), strict=True))
    return (first, second), last, row + 1


def _retrieval(found: list[tuple[Array, Array]], temperature: float, weight: float) -> tuple[Float[Array, ""], Metrics]:
    scores = [queries @ passages.T / temperature for queries, passages in found]
    ranked = [weighted(s, jnp.arange(len(s))) for s in scores]
    target = jax.nn.softmax(jax.lax.stop_gradient(scores[-1]).astype(jnp.float32))
    loss = sum(own for own, _ in ranked) + weight * sum(kl_divergence(s, target).mean() for s in scores[:-1])
    return loss, {"loss": loss, "accuracy": ranked[-1][1]["accuracy"]}


def _scored(found: list[tuple[Array, Array]]) -> tuple[Float[Array, ""], Metrics]:
    mean = sum(total / count for total, count in found) / len(found)
    return 1 - mean, {f"cup_{k + 1}": own for k, own in enumerate(found)}


def _cut(pair: tuple[Array, Array], size: int) -> tuple[Array, Array]:
    return pair[0][:, :size], pair[1][:, :size]


def _cosines(first: Vectors, second: Vectors) -> Float[Array, " N"]:
    return jnp.sum(unit(first) * unit(second), -1)


def _agreement(pair: tuple[Array, Array], last: tuple[Array, Array]) -> Float[Array, ""]:
    """KL(softmax(first coordinates of the last) || softmax(x)), over coordinates; the mean over all sentences."""
    x_BD, whole_BE = jnp.concatenate(pair), jnp.concatenate(last)
    return kl_divergence(x_BD, jax.nn.softmax(whole_BE[:, : x_BD.shape[-1]].astype(jnp.float32))).mean()

"""Objectives of finding people by sentences: aligned pre-training, its rivals, and identities with ranking.

A batch holds `image`, `tokens` and, for masked words, `masked` and `weights` (see `data.language.masked_too`); for
fine-tuning and tests also `label`, the identity. The model is a `PersonSearchModel`. Letters: N pairs, Q prototypes, F
features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagejax.objectives.contrastive import info_nce
from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.pictures.identification import mean_average_precision
from stagejax.objectives.text.similarity import unit

Batch = Mapping[str, Any]
Loss = tuple[Float[Array, ""], Metrics]


@dataclass(frozen=True)
class Aligned:
    """L_con: `info_nce` of the cosines of global features, divided by `tau`; the paper has none, which is tau = 1.

    Reference: Shao et al. 2023 (UniPT), https://arxiv.org/abs/2309.01420, section 3.3.
    """

    tau: float = 1.0

    def __call__(self, model: Any, batch: Batch, key: Array | None) -> Loss:
        return info_nce(model(batch["image"], batch["tokens"]) / self.tau)


@dataclass(frozen=True)
class TwoViews:
    """`info_nce` of two distorted views of each image, under `image` and `other`, at a temperature: without texts.

    Reference: Chen et al. 2020 (SimCLR), https://arxiv.org/abs/2002.05709; negatives are other images' other views.
    """

    tau: float = 0.1

    def __call__(self, model: Any, batch: Batch, key: Array | None) -> Loss:
        both = jnp.concatenate([batch["image"], batch["other"]])
        one_NJ, other_NJ = jnp.split(model.image_vectors(both), 2)
        return info_nce(one_NJ @ other_NJ.T / self.tau)


def kinds(model: Any, batch: Batch, key: Array | None) -> Loss:
    """Cross entropy of the kind of a picture, `label`, by its global feature."""
    return weighted(model.kind(model.whole(*model.image_tokens(batch["image"]))), batch["label"])


def masked_words(model: Any, batch: Batch, key: Array | None) -> Loss:
    """L_mlm: cross entropy of masked words, of the text tower alone."""
    return weighted(model.masked_words(batch["masked"]), batch["tokens"], batch["weights"])


@dataclass(frozen=True)
class Both:
    """The sum of two losses, `first + beta second`; metrics of the first one, and those of the second as `second_...`.

    >>> half = lambda model, batch, key: (jnp.array(0.5), {"loss": (jnp.array(1.0), jnp.array(2.0))})
    >>> loss, metrics = Both(half, half, beta=3.0)(None, {}, None)
    >>> float(loss), sorted(metrics)
    (2.0, ['loss', 'second_loss'])
    """

    first: Callable[..., Loss]
    second: Callable[..., Loss]
    beta: float = 1.0

    def __call__(self, model: Any, batch: Batch, key: Array | None) -> Loss:
        loss, metrics = self.first(model, batch, key)
        more, others = self.second(model, batch, key)
        return loss + self.beta * more, metrics | {f"second_{name}": value for name, value in others.items()}


def semi_hard(
    scores_NN: Float[Array, "N N"], same_NN: Bool[Array, "N N"], margin: float, key: Array | None = None
) -> Float[Array, ""]:
    """The mean of `margin - s_ii + s_ij` over rows i, where j is one of the semi-hard negatives of i.

    Those are the items of another identity with 0 < margin - s_ii + s_ij < margin: less similar than the partner, but
    not by the margin. One of them is drawn; without a key it is the most similar. Rows that have none do not count.

    References: Schroff et al. 2015, https://arxiv.org/abs/1503.03832, section 3.2; as released with Ding et al. 2021
    (SSAN), https://arxiv.org/abs/2107.12666.

    >>> scores = jnp.array([[0.5, 0.4, 0.6], [0.0, 0.5, 0.0], [0.0, 0.45, 0.5]])  # 0.6 is too hard, 0 is easy
    >>> float(semi_hard(scores, jnp.eye(3, dtype=bool), 0.2).round(3))  # (0.1 + 0.15) / 2
    0.125
    """
    hinge_NN = margin - jnp.diagonal(scores_NN)[:, None] + scores_NN
    fit_NN = ~same_NN & (hinge_NN > 0) & (hinge_NN < margin)
    luck_NN = scores_NN if key is None else jax.random.uniform(key, scores_NN.shape)
    chosen_N = jnp.where(fit_NN, luck_NN, -jnp.inf).argmax(1)
    loss_N = jnp.take_along_axis(hinge_NN, chosen_N[:, None], 1)[:, 0]
    counts_N = fit_NN.any(1)
    return jnp.where(counts_N, loss_N, 0.0).sum() / jnp.maximum(counts_N.sum(), 1)


def ranked(
    images_NJ: Float[Array, "N J"], texts_NJ: Float[Array, "N J"], labels_N: Int[Array, " N"], margin: float, key: Any
) -> Float[Array, ""]:
    """L_rk: `semi_hard` of the cosines, image to texts and text to images."""
    scores_NN, same_NN = unit(images_NJ) @ unit(texts_NJ).T, labels_N[:, None] == labels_N
    keys = (None, None) if key is None else jax.random.split(key)
    return semi_hard(scores_NN, same_NN, margin, keys[0]) + semi_hard(scores_NN.T, same_NN, margin, keys[1])


@dataclass(frozen=True)
class Identified:
    """L_id + L_rk of global features + gamma (L_id + L_rk) of what the prototypes find.

    L_id: cross entropy of a classifier of identities that images and texts share, the mean of both; of prototypes, the
    mean over their classifiers as well. Metrics: `loss` is that of the identities, `accuracy`, `parts`, `ranking`.

    Reference: Shao et al. 2023 (UniPT), https://arxiv.org/abs/2309.01420, section 3.4.
    """

    margin: float = 0.2
    gamma: float = 1.0

    def __call__(self, model: Any, batch: Batch, key: Array | None) -> Loss:
        labels_N = batch["label"]
        sides = model.image_tokens(batch["image"]), model.text_tokens(batch["tokens"])
        one_NJ, other_NJ = (model.whole(*side) for side in sides)
        keys = (None, None) if key is None else jax.random.split(key)
        both = jnp.concatenate([labels_N, labels_N])
        identity, metrics = weighted(model.identity(jnp.concatenate([one_NJ, other_NJ])), both)
        ranking = ranked(one_NJ, other_NJ, labels_N, self.margin, keys[0])
        if not self.gamma:
            return identity + ranking, metrics | {"ranking": ranking}
        found = [model.prototypes(*side) for side in sides]
        logits_NQC = model.part_logits(jnp.concatenate(found))
        parts, _ = weighted(logits_NQC, jnp.broadcast_to(both[:, None], logits_NQC.shape[:2]))
        one, other = (x_NQF.reshape(len(labels_N), -1) for x_NQF in found)
        parts_ranking = ranked(one, other, labels_N, self.margin, keys[1])
        loss = identity + ranking + self.gamma * (parts + parts_ranking)
        return loss, metrics | {"parts": parts, "ranking": ranking + parts_ranking}


def embedded(model: Any, side: Any) -> Float[Array, "N D"]:
    """Unit vectors of global features and of what prototypes find, side by side: products are the sum of cosines.

    Args:
      side: the tokens of images or texts, and which are there.
    """
    x_NQF = model.prototypes(*side)
    return jnp.concatenate([unit(model.whole(*side)), unit(x_NQF.reshape(len(x_NQF), -1))], 1)


def search_metrics(scores_QG: Float[Array, "Q G"], right_QG: Bool[Array, "Q G"]) -> dict[str, Float[Array, ""]]:
    """Rank-1, rank-5 (one that is right among the best five) and mAP of rankings; ranks count equal scores as better.

    >>> scores, right = jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[False, True, False]])
    >>> {name: float(value) for name, value in search_metrics(scores, right).items()}
    {'rank-1': 0.0, 'rank-5': 1.0, 'mAP': 0.5}
    """
    best_Q1 = jnp.where(right_QG, scores_QG, -jnp.inf).max(1, keepdims=True)
    before_Q = (~right_QG & (scores_QG >= best_Q1)).sum(1)
    found = {f"rank-{k}": (before_Q < k).mean(dtype=jnp.float32) for k in (1, 5)}
    return found | {"mAP": mean_average_precision(scores_QG, right_QG)[0]}


@dataclass(frozen=True)
class TextToImage:
    """Search among the images of a batch by each of its texts; the loss is 1 - mAP.

    Args:
      globally: whether by global features alone, as before the prototypes are trained.
    """

    globally: bool = False

    def __call__(self, model: Any, batch: Batch, key: Array | None) -> Loss:
        if self.globally:
            images, texts = model.image_vectors(batch["image"]), model.text_vectors(batch["tokens"])
        else:
            images = embedded(model, model.image_tokens(batch["image"]))
            texts = embedded(model, model.text_tokens(batch["tokens"]))
        labels_N, count = batch["label"], jnp.asarray(len(batch["label"]), jnp.float32)
        found = search_metrics(texts @ images.T, labels_N[:, None] == labels_N)
        return 1 - found["mAP"], {name: (value * count, count) for name, value in found.items()}

"""Several passes of a decoder over one reading, whose dropout differs: their logits vote, and the vote is what learns.

An encoder-decoder reads once; its decoder says what it is told N times, each time with a dropout mask of its own.
Letters: N passes, B rows, T tokens, V vocabulary.

Reference: Tan et al. 2023 (MC-CoT), https://arxiv.org/abs/2311.14109.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.divergence import forward_kl
from stagejax.objectives.language import Batch, exact_rows
from stagejax.objectives.loss import Metrics, cross_entropy, weighted

#: Logits of all passes (N, B, T, V) -> logits that are learned (B, T, V).
Vote = Callable[[Any], Any]


def mean_vote(logits_NBTV: Float[Array, "N B T V"]) -> Float[Array, "B T V"]:
    """μ = (1 / N) Σ_k z_k: every pass alike.

    >>> mean_vote(jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1)).item()
    2.0
    """
    return logits_NBTV.mean(0)


def released_vote(logits_NBTV: Float[Array, "N B T V"]) -> Float[Array, "B T V"]:
    """Σ_k w z_k / Σ_b w with w = 1 / (1 + s) and s the standard deviation over passes, as the released code has it.

    Its weights are of shape (B, T, V), so its denominator is a sum over the rows of the batch and not over passes: row
    b has `N μ_b w_b / Σ_b' w_b'`. Entries on which passes disagree are shrunk, and everything is scaled by about N / B.
    That depends on the batch, and on which rows are in it: on several devices one would have to say which.

    Raises:
      ValueError: one pass alone, whose standard deviation is 0 / 0.

    >>> released_vote(jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1)).item()  # one row: N times the mean
    4.0
    """
    if len(logits_NBTV) < 2:
        raise ValueError("one pass has no standard deviation: give two passes or more")
    weights_BTV = 1 / (1 + logits_NBTV.std(0, ddof=1))
    return (weights_BTV * logits_NBTV).sum(0) / weights_BTV.sum(0)


def passes_vote(logits_NBTV: Float[Array, "N B T V"]) -> Float[Array, "B T V"]:
    """Σ_k w_k z_k / Σ_k w_k with w_k = 1 / (1 + |z_k - μ|): a pass far from the others counts less, entry by entry.

    >>> round(passes_vote(jnp.array([0.0, 0.0, 3.0]).reshape(3, 1, 1, 1)).item(), 4)  # the mean is 1
    0.75
    """
    weights_NBTV = 1 / (1 + jnp.abs(logits_NBTV - logits_NBTV.mean(0)))
    return (weights_NBTV * logits_NBTV).sum(0) / weights_NBTV.sum(0)


@dataclass(frozen=True)
class Voted:
    """Self-consistency training: CE(α μ + (1 - α) vote(z), y), the mean over tokens, in nats.

    Called, it is an objective of an encoder-decoder and batches as for `seq2seq`; a batch's `image` goes to the
    encoder. Without a key nothing is dropped, all passes would be the same, and one is made: then the loss is that of
    `seq2seq`.

    Metrics are those of `seq2seq`; in training also `alone`, the mean cross entropy of the passes, below which the loss
    of a mean of logits always is (log-sum-exp is convex), and `spread`, the standard deviation over passes of the
    logits of targets.

    Args:
      passes: N.
      alpha: share of the plain mean.
      vote: of the rest.

    Raises:
      ValueError: fewer than one pass, or alpha outside of [0, 1].

    >>> from flax import nnx
    >>> from stagejax.models.t5 import T5
    >>> model, rows = T5(vocab=12, dropout=0.1).build(nnx.Rngs(0)), jnp.array([[1, 5, 6]])
    >>> batch = {"inputs": rows, "mask": rows > 0, "tokens": rows, "targets": rows, "weights": jnp.ones((1, 3))}
    >>> loss, metrics = Voted(5, 1.0, mean_vote)(model, batch, jax.random.key(0))
    >>> bool(loss < metrics["alone"][0] / 3), sorted(metrics)
    (True, ['accuracy', 'alone', 'exact', 'loss', 'spread'])
    """

    passes: int = 5
    alpha: float = 0.5
    vote: Vote = passes_vote

    def __post_init__(self) -> None:
        if self.passes < 1 or not 0 <= self.alpha <= 1:
            raise ValueError(f"passes={self.passes}, alpha={self.alpha}: give a pass or more, and alpha from 0 to 1")

    def __call__(self, model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        logits_NBTV = passes_of(model, batch, key, self.passes)
        if len(logits_NBTV) == 1:
            return _learned(logits_NBTV[0], batch)
        voted_BTV = self.alpha * logits_NBTV.mean(0) + (1 - self.alpha) * self.vote(logits_NBTV)
        loss, metrics = _learned(voted_BTV, batch)
        return loss, metrics | apart(logits_NBTV, batch)


@dataclass(frozen=True)
class Separate:
    """(1 / N) Σ_k CE(z_k, y): each pass learns by itself, and losses are averaged where `Voted` averages logits.

    Metrics are those of `Voted`; `accuracy` and `exact` are of the mean of the logits.

    Reference: Inoue 2019 (multi-sample dropout), https://arxiv.org/abs/1905.09788.
    """

    passes: int = 5

    def __call__(self, model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        return _separate(passes_of(model, batch, key, self.passes), batch)


@dataclass(frozen=True)
class Agreeing:
    """R-Drop: ½ Σ_k CE(z_k, y) + weight · ½ (KL(p_1 || p_2) + KL(p_2 || p_1)), of two passes, means over tokens.

    The paper adds the two cross entropies and half of its α times the two divergences; all is halved here, so that the
    loss is of the size of the others', and `weight` is its α / 2. Its passes differ in the encoder as well.

    Reference: Liang et al. 2021, https://arxiv.org/abs/2106.14448, equation 4.
    """

    weight: float = 0.5

    def __call__(self, model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        logits_NBTV = passes_of(model, batch, key, 2)
        loss, metrics = _separate(logits_NBTV, batch)
        if len(logits_NBTV) == 1:
            return loss, metrics
        one_BTV, two_BTV = logits_NBTV
        between_BT = (forward_kl(one_BTV, two_BTV) + forward_kl(two_BTV, one_BTV)) / 2
        count = metrics["alone"][1]
        metrics["apart"] = (batch["weights"] * between_BT).sum(), count
        return loss + self.weight * metrics["apart"][0] / jnp.maximum(count, 1), metrics


def passes_of(model: Any, batch: Batch, key: Array | None, passes: int) -> Float[Array, "N B T V"]:
    """Logits of so many passes of the decoder, of one reading; without a key one pass, in which nothing is dropped."""
    sight = {"image": batch["image"]} if "image" in batch else {}
    keys = (None, None) if key is None else jax.random.split(key)
    memory_BSE = model.encode(batch["inputs"], mask=batch["mask"], key=keys[0], **sight)

    def said(key: Array | None) -> Array:
        return model.logits(model.decode(batch["tokens"], memory_BSE, mask=batch["mask"], key=key))

    return said(None)[None] if key is None else jax.vmap(said)(jax.random.split(keys[1], passes))


def apart(logits_NBTV: Float[Array, "N B T V"], batch: Batch) -> Mapping[str, Any]:
    """`alone` and `spread`: pairs (sum over the tokens that count, their number)."""
    targets, weights_BT = batch["targets"], batch["weights"]
    losses_NBT, _ = jax.vmap(lambda z: cross_entropy(z, targets))(logits_NBTV)
    said_NBT = jnp.take_along_axis(logits_NBTV, targets[None, ..., None], axis=-1)[..., 0]
    both = {"alone": losses_NBT.mean(0), "spread": said_NBT.std(0, ddof=1)}
    return {name: ((weights_BT * own_BT).sum(), weights_BT.sum()) for name, own_BT in both.items()}


def _learned(logits_BTV: Array, batch: Batch) -> tuple[Array, Metrics]:
    loss, metrics = weighted(logits_BTV, batch["targets"], batch["weights"])
    return loss, metrics | {"exact": exact_rows(logits_BTV, batch)}


def _separate(logits_NBTV: Array, batch: Batch) -> tuple[Array, Metrics]:
    """The mean over passes of their losses."""
    if len(logits_NBTV) == 1:
        return _learned(logits_NBTV[0], batch)
    metrics = _learned(logits_NBTV.mean(0), batch)[1] | apart(logits_NBTV, batch)
    total, count = metrics["loss"] = metrics["alone"]
    return total / jnp.maximum(count, 1), metrics

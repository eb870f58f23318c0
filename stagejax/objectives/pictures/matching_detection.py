"""Losses and detections of a detector of two branches: proposals, what they should be, and what is left of them.

Boxes are (top, left, bottom, right) in shares of the image. Every pair of an image and a query has boxes of its own,
each of a kind: `SAME` as the query, `OTHER`, or `NO_BOX`, a place in the list that holds none.

Letters: B images, S queries of each, N boxes of a pair, A anchors, R regions, h and w bins, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from stagejax.objectives.loss import Metrics
from stagejax.objectives.pictures.box_deltas import deltas, moved
from stagejax.objectives.pictures.detection import overlap, suppressed

SAME, OTHER, NO_BOX = 1, 0, -1
#: The head's deltas are in these parts, so that their size is about 1.
_PARTS = (0.1, 0.1, 0.2, 0.2)


@dataclass(frozen=True)
class Regions:
    """How many regions there are on the way from anchors to detections, and when two are one.

    Args:
      before, after: proposals of the highest objectness before suppression, and of those that it leaves.
      overlap: of two proposals, from which on the lower one is suppressed.
      anchors: that the loss of the proposer samples, half of them positive at most.
      sampled: regions that the loss of the head samples, a quarter of them positive at most.

    Reference: Ren et al. 2015, https://arxiv.org/abs/1506.01497, in the sizes of torchvision: 2000, 2000, .7, 256, 512.
    """

    before: int = 48
    after: int = 20
    overlap: float = 0.7
    anchors: int = 64
    sampled: int = 32


def matching_detection(
    model: Any, batch: Mapping[str, Any], key: Array | None, *, regions: Regions
) -> tuple[Float[Array, ""], Metrics]:
    """The four losses of Faster R-CNN for every pair of an image and a query, summed; means over pairs.

    The proposer should find whatever has a box, `SAME` or `OTHER`; the head should tell the ones from the others and
    from all that has no box.

    Args:
      model: as `MatchingNetwork`.
      batch: "image" (B, Y, X, P), "query" (B, S, y, x, P), "query_box" (B, S, 4), "boxes" (B, S, N, 4), "kinds" (B, S,
        N).
      key: draws the anchors and regions that count; None draws always the same.
      regions: how many.

    Reference: Souibgui et al. 2021, https://arxiv.org/abs/2107.10064, whose code has these losses.
    """
    maps, queries = model.maps(batch["image"]), model.queries(batch["query"], batch["query_box"])
    said, by = model.propose(maps, queries)
    anchors = model.anchors(batch["image"].shape[1:3])
    boxes, kinds = batch["boxes"], batch["kinds"]
    B, S = kinds.shape[:2]
    keys = jax.random.split(jax.random.key(0) if key is None else key, (B, S, 2))

    over_pairs = lambda f, *axes: jax.vmap(jax.vmap(f, axes), axes)  # noqa: E731
    proposed = over_pairs(lambda *own: proposer_losses(*own, regions.anchors), 0, 0, None, 0, 0, 0)
    objectness, where = proposed(said, by, anchors, boxes, kinds, keys[..., 0])
    found, real = over_pairs(lambda *own: proposals(*own, regions), 0, 0, None)(said, by, anchors)
    seen = jnp.concatenate([found, boxes], 2)
    match, moves = model.match(maps, queries, seen)
    real = jnp.concatenate([real, kinds != NO_BOX], 2)
    judged = over_pairs(lambda *own: head_losses(*own, regions.sampled), *(0,) * 7)
    same, exact = judged(match, moves, seen, real, boxes, kinds, keys[..., 1])

    sums = {"objectness": objectness.sum(), "proposal": where.sum(), "match": same.sum(), "box": exact.sum()}
    total, pairs = sum(sums.values()), jnp.float32(B * S)
    return total / pairs, {"loss": (total, pairs), **{f"{name}_loss": (x, pairs) for name, x in sums.items()}}


def met(boxes_R4: Float[Array, "R 4"], wanted_N4: Float[Array, "N 4"], there_N: Bool[Array, " N"]) -> Any:
    """Overlap of every region with every box that is there, else -1: (R, N)."""
    return jnp.where(there_N, overlap(boxes_R4[:, None], wanted_N4[None]), -1.0)


def sampled(key: Array, positive: Bool[Array, " n"], negative: Bool[Array, " n"], count: int, share: float) -> Any:
    """Weights 1 of `count` random ones, of which at most a share is positive, and 0 of all others.

    >>> weights = sampled(jax.random.key(0), jnp.arange(8) < 4, jnp.arange(8) >= 4, 4, 0.25)
    >>> float(weights[:4].sum()), float(weights[4:].sum())
    (1.0, 3.0)
    """
    draws = jax.random.uniform(key, positive.shape)

    def drawn(some: Bool[Array, " n"], most: int, many: Any) -> Bool[Array, " n"]:
        """Those of the `many` largest draws, `most` at most. A threshold compiles faster than ranks."""
        largest, _ = jax.lax.top_k(jnp.where(some, draws, -1.0), min(most, len(some)))
        return some & (draws >= largest[jnp.minimum(many, len(largest)) - 1])

    first = drawn(positive, int(share * count), int(share * count))
    second = drawn(negative, count, count - first.sum())
    return (first | second).astype(draws.dtype)


def proposer_losses(
    said_A: Float[Array, " A"],
    by_A4: Float[Array, "A 4"],
    anchors_A4: Float[Array, "A 4"],
    boxes_N4: Float[Array, "N 4"],
    kinds_N: Int[Array, " N"],
    key: Array,
    count: int,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Of one pair: cross entropy of objectness and L1 of deltas, both by the number of sampled anchors.

    An anchor is positive if it overlaps a box by .7 or more, or as much as any overlaps that box; below .3 negative.
    """
    there = kinds_N != NO_BOX
    overlaps = met(anchors_A4, boxes_N4, there)
    best, nearest = overlaps.max(1), overlaps.argmax(1)
    closest = ((overlaps == overlaps.max(0)) & (overlaps > 0)).any(1)
    positive = (best >= 0.7) | closest
    weights = sampled(key, positive, (best < 0.3) & ~positive, count, 0.5)
    total = jnp.maximum(weights.sum(), 1)
    wrong = optax.sigmoid_binary_cross_entropy(said_A, positive.astype(said_A.dtype))
    away = jnp.abs(by_A4 - deltas(boxes_N4[nearest], anchors_A4)).sum(-1)
    return (weights * wrong).sum() / total, jnp.where(positive, weights * away, 0).sum() / total


def proposals(
    said_A: Float[Array, " A"], by_A4: Float[Array, "A 4"], anchors_A4: Float[Array, "A 4"], regions: Regions
) -> tuple[Float[Array, "R 4"], Bool[Array, " R"]]:
    """The regions of one pair that the head looks at, and which of them there are. No gradient goes through them."""
    said, at = jax.lax.top_k(jax.lax.stop_gradient(said_A), min(regions.before, len(said_A)))
    boxes = moved(anchors_A4[at], jax.lax.stop_gradient(by_A4)[at])
    stay = suppressed(boxes, said, jnp.zeros(said.shape, jnp.int32), regions.overlap)
    left, at = jax.lax.top_k(jnp.where(stay, said, -jnp.inf), min(regions.after, len(said)))
    return boxes[at], jnp.isfinite(left)


def head_losses(
    match_R: Float[Array, " R"],
    by_R4: Float[Array, "R 4"],
    seen_R4: Float[Array, "R 4"],
    real_R: Bool[Array, " R"],
    boxes_N4: Float[Array, "N 4"],
    kinds_N: Int[Array, " N"],
    key: Array,
    count: int,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Of one pair: cross entropy of the match and Huber's loss of deltas, both by the number of sampled regions.

    A region is positive if the box that it overlaps most, by .5 or more, is `SAME`; any other one is negative.
    """
    overlaps = met(seen_R4, boxes_N4, kinds_N != NO_BOX)
    nearest = overlaps.argmax(1)
    positive = real_R & (overlaps.max(1) >= 0.5) & (kinds_N[nearest] == SAME)
    weights = sampled(key, positive, real_R & ~positive, count, 0.25)
    total = jnp.maximum(weights.sum(), 1)
    wrong = optax.sigmoid_binary_cross_entropy(match_R, positive.astype(match_R.dtype))
    away = optax.huber_loss(by_R4, deltas(boxes_N4[nearest], seen_R4) / jnp.array(_PARTS)).sum(-1)
    return (weights * wrong).sum() / total, jnp.where(positive, weights * away, 0).sum() / total


def queried(model: Any, images: Float[Array, "n y x P"], boxes: Float[Array, "n 4"]) -> Float[Array, "n h w C"]:
    """The features of queries, for `spotted`."""
    return model.queries(images, boxes)


def spotted(
    model: Any,
    images_BYXP: Float[Array, "B Y X P"],
    queries_ShwC: Float[Array, "S h w C"],
    regions: Regions,
    limit: float = 0.5,
) -> Float[Array, "B S R 5"]:
    """Where every query is in every image: boxes and scores; 0 is the score of what is none, or is suppressed.

    Args:
      limit: overlap of two detections from which on the lower one is suppressed.
    """
    maps = model.maps(images_BYXP)
    queries = jnp.broadcast_to(queries_ShwC, (len(maps), *queries_ShwC.shape))
    said, by = model.propose(maps, queries)
    anchors = model.anchors(images_BYXP.shape[1:3])
    found, real = jax.vmap(jax.vmap(lambda *own: proposals(*own, anchors, regions)))(said, by)
    match, moves = model.match(maps, queries, found)
    boxes = moved(found, moves * jnp.array(_PARTS))
    scores = jnp.where(real, jax.nn.sigmoid(match), 0)
    alike = jnp.zeros(scores.shape[-1], jnp.int32)
    stay = jax.vmap(jax.vmap(lambda *own: suppressed(*own, alike, limit)))(boxes, scores)
    return jnp.concatenate([boxes, jnp.where(stay, scores, 0)[..., None]], -1)

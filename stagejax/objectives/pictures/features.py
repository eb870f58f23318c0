"""Losses on feature vectors: how far they are from a target, and how they come apart into their causes.

Letters: N patches, B images, T patches of an image, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics


def feature_distance(said: Float[Array, "*n D"], target: Float[Array, "*n D"]) -> Float[Array, ""]:
    """mean (said - target)² + 1 - mean cosine of said and target.

    Reference: Yang et al. 2024 (DVT), https://arxiv.org/abs/2401.02957, equations 8 and 11.

    >>> float(feature_distance(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])))
    2.0
    """
    return jnp.square(said - target).mean() + 1 - cosine(said, target).mean()


def cosine(a: Float[Array, "*n D"], b: Float[Array, "*n D"]) -> Float[Array, "*n"]:
    """The cosine of the angle between vectors; 0 where one of them is zero.

    >>> round(float(cosine(jnp.array([2.0, 0.0]), jnp.array([1.0, 1.0]))), 3)
    0.707
    """
    squares = jnp.square(a).sum(-1) * jnp.square(b).sum(-1)
    return (a * b).sum(-1) * jax.lax.rsqrt(jnp.maximum(squares, 1e-16))


def shared_parts(model: Any, batch: Mapping[str, Array]) -> Float[Array, ""]:
    """The distance of F(point) + G(place) from the features: what views of one image agree on, first half of DVT.

    Args:
      model: a `Separated`, or anything with `semantics`, `at` and `residual`.
      batch: features (N, D), points (N, 2) in the image and places (N,) in the view of some patches.
    """
    return feature_distance(model.semantics(batch["points"]) + model.at(batch["places"]), batch["features"])


def with_residual(
    model: Any, batch: Mapping[str, Array], *, fit: float = 0.1, sparse: float = 0.02
) -> Float[Array, ""]:
    """distance(F + G + sg[h(y)], y) + fit · mean (h(y) - sg[y - F - G])² + sparse · mean |h(y)|: second half of DVT.

    Gradients of the first term do not reach h, those of the second reach nothing else: h takes what F and G leave.

    Args:
      model, batch: those of `shared_parts`.

    Reference: Yang et al. 2024 (DVT), https://arxiv.org/abs/2401.02957, equations 8 to 10.
    """
    stop, y = jax.lax.stop_gradient, batch["features"]
    shared = model.semantics(batch["points"]) + model.at(batch["places"])
    rest = model.residual(y)
    told = jnp.square(rest - stop(y - shared)).mean()
    return feature_distance(shared + stop(rest), y) + fit * told + sparse * jnp.abs(rest).mean()


def feature_matching(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    inputs: str = "raw",
    targets: str = "clean",
) -> tuple[Float[Array, ""], Metrics]:
    """The distance of the model's features from those of a target that is part of the batch.

    Returns:
      The loss; `loss`, and `cosine`, the mean one.

    >>> batch = {"raw": jnp.ones((1, 4, 2)), "clean": jnp.ones((1, 4, 2))}
    >>> loss, metrics = feature_matching(lambda x, key: 2 * x, batch, None)
    >>> float(loss), float(metrics["cosine"])
    (1.0, 1.0)
    """
    said = model(batch[inputs], key=key)
    loss = feature_distance(said, batch[targets])
    return loss, {"loss": loss, "cosine": cosine(said, batch[targets]).mean()}

"""Repulsion in parameter space: a model leaves the neighbourhood of others, which stand for what it should forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.objectives.elastic import parameters
from stagejax.objectives.loss import Metrics

Tree = Any


def mean_distance(params: Tree, anchors: Sequence[Tree]) -> Float[Array, ""]:
    """d(θ) = mean over anchors and over tensors of the mean of (θ - anchor)²: small tensors count as large ones do.

    >>> float(mean_distance({"a": jnp.zeros(2), "b": jnp.zeros(100)}, [{"a": jnp.ones(2), "b": jnp.zeros(100)}]))
    0.5
    """
    own = [
        jnp.square(p - a).mean()
        for anchor in anchors
        for p, a in zip(jax.tree.leaves(params), jax.tree.leaves(anchor), strict=True)
    ]
    return jnp.stack(own).mean()


def inverse(d: Float[Array, ""], gamma: float) -> Float[Array, ""]:
    """IL2: γ / d; d below 1e-12 counts as that."""
    return gamma / jnp.maximum(d, 1e-12)


def negative(d: Float[Array, ""], gamma: float) -> Float[Array, ""]:
    """NL2: -γ d. It has no lower bound."""
    return -gamma * d


@dataclass(frozen=True)
class Exponential:
    """EL2: w exp(-γ d), which fades with the distance."""

    weight: float = 100.0

    def __call__(self, d: Float[Array, ""], gamma: float) -> Float[Array, ""]:
        """The loss of a distance."""
        return self.weight * jnp.exp(-gamma * d)


@dataclass(frozen=True)
class Repulsion:
    """A term of a model's objective that pushes it away from n anchors: `form(n² / 2 · d(θ), γ)`.

    The anchors are frozen models of its shape beside it in the stage. The factor is that of the published code, whose
    γ = 1 is for five of them; distances are as they are.

    Args:
      anchors: names of models.
      form: `inverse`, `negative`, or an `Exponential`.
      gamma: γ.

    Reference: Tiwari et al. 2025, https://arxiv.org/abs/2309.14054, the repulsion losses IL2, NL2 and EL2.
    """

    anchors: tuple[str, ...]
    form: Any = Exponential()
    gamma: float = 1.0

    def __call__(
        self, model: nnx.Module, batch: Mapping[str, Any], key: Array | None, *, others: Mapping[str, Any]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss; the metrics `repulsion` and `distance`, d(θ)."""
        d = mean_distance(parameters(model), [parameters(others[name]) for name in self.anchors])
        loss = self.form(len(self.anchors) ** 2 / 2 * d, self.gamma)
        return loss, {"repulsion": loss, "distance": d}


def forgotten(before: int, after: int) -> float:
    """PUL = 100 (before - after) / before, the percentage of unlearning: of samples with the feature, in equal numbers.

    >>> forgotten(200, 10)
    95.0
    """
    if before < 1:
        raise ValueError("no sample had the feature before: there is nothing to unlearn")
    return 100 * (before - after) / before

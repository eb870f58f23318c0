"""Losses of gradient boosting: what a new term of an additive model is fitted to, and how far to go along it.

A model F (B examples, K outputs) is extended to F + rho h. Each loss says its best constant, its pseudo-residuals
-dL/dF, and the rho of one Newton step along h on all examples. A network that ends in z = scale F has the usual output
layer: z itself, or the logits of a logistic or a softmax.

Reference: Emami and Martinez-Munoz 2019 (GBNN), https://arxiv.org/abs/1909.12098, section 3; Friedman 2001.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted


@dataclass(frozen=True)
class Squared:
    """L = ½ (y - F)², of one output.

    >>> Squared().residuals(jnp.array([[1.0]]), jnp.array([3.0]))
    Array([[2.]], dtype=float32)
    """

    scale: ClassVar[float] = 1.0

    def constant(self, y_B: Array, outputs: int) -> Float[Array, " K"]:
        """The mean."""
        return jnp.broadcast_to(y_B.mean(), (outputs,))

    def residuals(self, F_BK: Array, y_B: Array) -> Float[Array, "B K"]:
        """y - F."""
        return y_B[:, None] - F_BK

    def rho(self, F_BK: Array, y_B: Array, h_BK: Array) -> Float[Array, ""]:
        """1: a least-squares fit has the best length already."""
        return jnp.ones(())

    def score(self, z_BK: np.ndarray, y_B: np.ndarray) -> float:
        """R²: the share of the variance of y that is explained."""
        return float(1 - np.mean((z_BK[:, 0] - y_B) ** 2) / np.var(y_B))

    def objective(self, model: Callable[..., Array], batch: Mapping[str, Any], key: Any) -> tuple[Array, Metrics]:
        """½ the mean squared error; `squared_error` is the mean itself."""
        error_B = (model(batch["x"], key=key)[:, 0] - batch["y"]) ** 2
        count = jnp.float32(error_B.size)
        return error_B.mean() / 2, {"loss": (error_B.sum() / 2, count), "squared_error": (error_B.sum(), count)}


@dataclass(frozen=True)
class Logistic:
    """L = log(1 + exp(-2 s F)) with s = ±1 for the labels 1 and 0, of one output; z = 2 F is the usual logit.

    >>> Logistic().residuals(jnp.zeros((2, 1)), jnp.array([0, 1])).ravel()
    Array([-1.,  1.], dtype=float32)
    """

    scale: ClassVar[float] = 2.0

    def constant(self, y_B: Array, outputs: int) -> Float[Array, " K"]:
        """½ log((1 + mean s) / (1 - mean s))."""
        mean = jnp.clip((2.0 * y_B - 1).mean(), -1 + 1e-6, 1 - 1e-6)
        return jnp.broadcast_to(0.5 * jnp.log((1 + mean) / (1 - mean)), (outputs,))

    def residuals(self, F_BK: Array, y_B: Array) -> Float[Array, "B K"]:
        """2 s / (1 + exp(2 s F))."""
        sign = 2.0 * y_B[:, None] - 1
        return 2 * sign * jax.nn.sigmoid(-2 * sign * F_BK)

    def rho(self, F_BK: Array, y_B: Array, h_BK: Array) -> Float[Array, ""]:
        """Σ r h / Σ r (2 s - r) h²."""
        r, sign = self.residuals(F_BK, y_B), 2.0 * y_B[:, None] - 1
        return _ratio((r * h_BK).sum(), (r * (2 * sign - r) * h_BK**2).sum())

    def score(self, z_BK: np.ndarray, y_B: np.ndarray) -> float:
        """The accuracy."""
        return float(np.mean((z_BK[:, 0] > 0) == y_B))

    def objective(self, model: Callable[..., Array], batch: Mapping[str, Any], key: Any) -> tuple[Array, Metrics]:
        """The cross entropy of the logit z, and the accuracy."""
        z_B = model(batch["x"], key=key)[:, 0]
        return weighted(jnp.stack([jnp.zeros_like(z_B), z_B], -1), batch["y"])


@dataclass(frozen=True)
class Softmax:
    """L = -log softmax(F)[y], of one output for each class.

    >>> Softmax().residuals(jnp.zeros((1, 4)), jnp.array([2]))
    Array([[-0.25, -0.25,  0.75, -0.25]], dtype=float32)
    """

    scale: ClassVar[float] = 1.0

    def constant(self, y_B: Array, outputs: int) -> Float[Array, " K"]:
        """0."""
        return jnp.zeros(outputs)

    def residuals(self, F_BK: Array, y_B: Array) -> Float[Array, "B K"]:
        """One-hot labels minus probabilities."""
        return jax.nn.one_hot(y_B, F_BK.shape[-1]) - jax.nn.softmax(F_BK)

    def rho(self, F_BK: Array, y_B: Array, h_BK: Array) -> Float[Array, ""]:
        """Σ h (y - p) / Σ h² p (1 - p), over examples and classes."""
        p = jax.nn.softmax(F_BK)
        return _ratio((h_BK * self.residuals(F_BK, y_B)).sum(), (h_BK**2 * p * (1 - p)).sum())

    def score(self, z_BK: np.ndarray, y_B: np.ndarray) -> float:
        """The accuracy."""
        return float(np.mean(z_BK.argmax(-1) == y_B))

    def objective(self, model: Callable[..., Array], batch: Mapping[str, Any], key: Any) -> tuple[Array, Metrics]:
        """The cross entropy of the logits, and the accuracy."""
        return weighted(model(batch["x"], key=key), batch["y"])


BoostedLoss = Squared | Logistic | Softmax


def _ratio(above: Array, below: Array) -> Array:
    """Where all examples are fitted both are 0, and no step is left to take."""
    return jnp.where(below > 1e-12, above / jnp.maximum(below, 1e-12), 0.0)

"""Elastic weight consolidation: parameters may move where a trained model does not mind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics

Tree = Any


def parameters(model: nnx.Module) -> Tree:
    """The parameters of a model, as nested plain dictionaries."""
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def fisher_diagonal(function: Callable[[Tree, Any], Float[Array, ""]], params: Tree, inputs: Tree) -> Tree:
    """F = mean over inputs of (∂ function(params, input) / ∂ params)², number by number.

    Args:
      function: of the parameters and one input, a number such as a log-likelihood or a discriminator's logit.
      inputs: the first axis of each leaf counts them; they are gone through one after the other.

    Reference: Kirkpatrick et al. 2017, https://arxiv.org/abs/1612.00796, equation 3.

    >>> fisher_diagonal(lambda w, x: w @ x, jnp.ones(2), jnp.array([[1.0, 0.0], [3.0, 2.0]]))
    Array([5., 2.], dtype=float32)
    """
    squares = jax.lax.map(lambda x: jax.tree.map(jnp.square, jax.grad(function)(params, x)), inputs)
    return jax.tree.map(lambda x: x.mean(0), squares)


def fisher_distance(params: Tree, origin: Tree, fisher: Tree) -> Float[Array, ""]:
    """Σᵢ Fᵢ (θᵢ - θ₀ᵢ)² over all leaves."""
    terms = jax.tree.map(lambda p, o, f: jnp.sum(f * jnp.square(p - o)), params, origin, fisher)
    return jnp.asarray(sum(jax.tree.leaves(terms)))


def consolidated(fisher: Tree, origin: Tree, more: Tree, params: Tree) -> tuple[Tree, Tree]:
    """One penalty for two: F and θ₀ with Σ F (θ - θ₀)² = Σ F₁ (θ - θ₁)² + Σ F₂ (θ - θ₂)² + what does not depend on θ.

    F = F₁ + F₂ and θ₀ = (F₁ θ₁ + F₂ θ₂) / F; where both are 0, θ₀ = θ₂. So a penalty for each of many tasks takes the
    memory of one.

    Args:
      fisher, origin: F₁ and θ₁.
      more, params: F₂ and θ₂.

    Reference: Huszár 2018, https://arxiv.org/abs/1712.03847: the penalties of Kirkpatrick et al. 2017 as one quadratic.

    >>> consolidated(jnp.array([3.0, 0.0]), jnp.array([1.0, 9.0]), jnp.array([1.0, 0.0]), jnp.array([5.0, 7.0]))
    (Array([4., 0.], dtype=float32), Array([2., 7.], dtype=float32))
    """
    summed = jax.tree.map(jnp.add, fisher, more)

    def middle(old: Array, new: Array, own: Array, of: Array) -> Array:
        return jnp.where(of > 0, old + own / jnp.where(of > 0, of, 1) * (new - old), new)

    return summed, jax.tree.map(middle, origin, params, more, summed)


@dataclass(frozen=True)
class Elastic:
    """λ / 2 · Σᵢ Fᵢ (θᵢ - θ₀ᵢ)², a term of a model's objective.

    θ₀ and F are frozen models of its shape beside it in the stage; parameters whose F is 0 move freely.

    Args:
      strength: λ.
      origin, fisher: their names.

    Reference: Kirkpatrick et al. 2017, https://arxiv.org/abs/1612.00796, equation 3; for generators: Li et al. 2020,
    https://arxiv.org/abs/2012.02780, equation 2.
    """

    strength: float
    origin: str = "origin"
    fisher: str = "fisher"

    def __call__(
        self, model: nnx.Module, batch: Mapping[str, Any], key: Array | None, *, others: Mapping[str, Any]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The penalty; the metric `elastic` is the penalty too."""
        origin, fisher = (parameters(others[name]) for name in (self.origin, self.fisher))
        loss = self.strength / 2 * fisher_distance(parameters(model), origin, fisher)
        return loss, {"elastic": loss}

"""Weighted sums of models of one shape: averages of checkpoints, task vectors, extrapolation away from a model.

soup = run.grow("soup", first, to=first.model, operator=Combine.mean(3), others={"model1": second, "model2": third})
"""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.growth.operator import Operator, Sizes
from stagejax.growth.term import Term


@dataclass(frozen=True)
class Combine(Operator):
    """θ' = w₀ θ + w₁ θ₁ + w₂ θ₂ + ...: a point of the space that models of one shape and origin span.

    θ is the tree that grows; the others are `others["model1"]`, `others["model2"]`, ... Moments are those of θ.

    Args:
      weights: w₀, w₁, ...; they need not add up to 1.

    References: Izmailov et al. 2018 (SWA), https://arxiv.org/abs/1803.05407, equation 1; Wortsman et al. 2022 (model
    soups), https://arxiv.org/abs/2203.05482, table 1; Ilharco et al. 2023 (task arithmetic),
    https://arxiv.org/abs/2212.04089, section 2.

    >>> Combine.mean(4)
    Combine(weights=(0.25, 0.25, 0.25, 0.25))
    """

    weights: tuple[float, ...]

    @classmethod
    def mean(cls, models: int) -> Combine:
        """The mean of so many models, the one that grows among them."""
        return cls((1 / models,) * models)

    @classmethod
    def tasks(cls, *scales: float) -> Combine:
        """θ + Σᵢ λᵢ (θᵢ - θ): task vectors from θ to models trained from it, added by their scales.

        >>> Combine.tasks(0.5, 0.25)
        Combine(weights=(0.25, 0.5, 0.25))
        """
        return cls((1.0 - sum(scales), *scales))

    @classmethod
    def away(cls, gamma: float) -> Combine:
        """θ + γ (θ - θ₁): extrapolation away from a model, which forgets what that one learned.

        >>> Combine.away(0.5)
        Combine(weights=(1.5, -0.5))
        """
        return cls.tasks(-gamma)

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One for each model, by its weight."""
        return [Term(f"model{k}" if k else "small", coefficient=weight) for k, weight in enumerate(self.weights)]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Those of the model that grows, as they are."""
        return [Term("small")]

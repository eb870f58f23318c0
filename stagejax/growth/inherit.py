"""Parameter inheriting with momentum: what an operator grows, mixed with a fresh model of the grown sizes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from stagejax.growth.fpi import FPI
from stagejax.growth.operator import Operator, Sizes
from stagejax.growth.term import Term


@dataclass(frozen=True)
class InheritWithMomentum(Operator):
    """θ' = m · Inherit(θ) + (1 - m) · θ_fresh, for every number of every parameter.

    m = 1 is `inherit` alone, m = 0 a model from scratch. Sizes may stay as they are: then this is shrink and perturb
    (arXiv 1910.08475). No function is preserved where m < 1; the receipt says what it cost. Moments move by `inherit`
    alone, whose gradients they are. GrowCLIP (arXiv 2308.11331), PIM.

    Args:
      momentum: m, from 0 to 1.
      inherit: how old parameters come into the new sizes.

    Raises:
      ValueError: a momentum outside of [0, 1].
    """

    momentum: float = 0.9
    inherit: Operator = field(default_factory=FPI)

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum={self.momentum} is no share: set it between 0 and 1")

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The inherited terms by m, and a fresh model by 1 - m."""
        inherited = [replace(t, coefficient=t.coefficient * self.momentum) for t in self.inherit.terms(old, new)]
        return [*inherited, Term("init", coefficient=1 - self.momentum)]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Those of `inherit`."""
        return self.inherit.moment_terms(old, new)

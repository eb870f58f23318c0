"""Drop-Upcycling: sparse upcycling in which every expert forgets another random part of the dense network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.growth.draw import seed_of
from stagejax.growth.operator import GrowthError, Sizes
from stagejax.growth.term import Term
from stagejax.growth.upcycle import EXPERTS, Upcycle


@dataclass(frozen=True)
class DropUpcycle(Upcycle):
    """`Upcycle`, then in each expert a random `share` of its hidden units is drawn anew, with the old statistics.

    What is redrawn in a kernel has the mean and the standard deviation that it had there before, layer by layer. So
    experts differ from the start; the function is kept only by `share=0`. Here all layers redraw the same units.
    Nakamura et al. 2025 (arXiv 2502.19261), section 3.
    """

    share: float = 0.5  # of the hidden units
    seed: int = 0

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Those of `Upcycle`, and one for the redrawn units of each expert.

        Raises:
          GrowthError: a share outside of [0, 1]; and what `Upcycle` refuses.
        """
        if not 0 <= self.share <= 1:
            raise GrowthError(f"{self}: share={self.share} is none; set it between 0 and 1")
        plain, experts = super().terms(old, new), new[EXPERTS]
        regions = [{EXPERTS: np.arange(experts) == e, "mlp": self.redrawn(e, new["mlp"])} for e in range(experts)]
        return plain + [Term("init", region=region, matched=True) for region in regions if region["mlp"].any()]

    def redrawn(self, expert: int, mlp: int) -> np.ndarray:
        """Which hidden units of an expert are drawn anew."""
        rng = np.random.RandomState(np.asarray(seed_of(self.seed, EXPERTS, expert), np.uint32))
        return np.isin(np.arange(mlp), rng.permutation(mlp)[: round(self.share * mlp)])

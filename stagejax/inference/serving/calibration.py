"""Rows that show which entries of a tuned model's adapters one-shot pruning sets to zero, and rivals of that rule.

Reference: Huang et al. 2024, Antidote, https://arxiv.org/abs/2408.09600.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from stagejax.inference.frozen import Frozen
from stagejax.inference.serving import pruning
from stagejax.inference.serving.pruning import Factors


@dataclass(frozen=True)
class Calibration:
    """Harmful rows, the user's own, and aligned ones: masks of a model's adapters by each.

    A share is of every row of a factor, rounded up, but of a whole factor in `by_gradient`, which so takes fewer
    entries of short rows; `by_harm_alone` takes what is left of such a mask.

    Args:
      harmful: the re-alignment set; all of it is read, but for what does not fill a batch.
      own: what the user tuned the model with.
      aligned: what the provider aligned it with.
      seed: of drawn masks.

    >>> from stagejax.data import Bytes, CausalText, Stdlib
    >>> rows = CausalText(source=Stdlib(limit=20_000), tokenizer=Bytes(), batch=4, length=16)
    >>> Calibration(rows, rows, rows, seed=0).batches
    296
    """

    harmful: Any
    own: Any
    aligned: Any
    seed: int

    @property
    def batches(self) -> int:
        """As many of any rows as the harmful ones fill."""
        return self.harmful.size() // self.harmful.batch

    def by_harm(self, net: Frozen, share: float) -> Factors:
        """The paper's rule: what harmful rows use most."""
        return pruning.by_use(net, self._tokens(self.harmful), share)

    def by_own_use(self, net: Frozen, share: float) -> Factors:
        """What the user's own rows use most."""
        return pruning.by_use(net, self._tokens(self.own), share)

    def by_harm_alone(self, net: Frozen, share: float) -> Factors:
        """What harmful rows use most, less what aligned rows do."""
        safe = pruning.by_use(net, self._tokens(self.aligned), share)
        return jax.tree.map(lambda bad, good: bad & ~good, self.by_harm(net, share), safe)

    def by_gradient(self, net: Frozen, share: float) -> Factors:
        """What the loss of harmful rows depends on most, to first order."""
        numbers = np.arange(self.batches * self.harmful.batch)
        return pruning.by_gradient(net, self.harmful.take(numbers), share)

    def by_size(self, net: Frozen, share: float) -> Factors:
        """The largest entries, whatever reads them."""
        return pruning.by_size(net, share)

    def at_random(self, net: Frozen, share: float) -> Factors:
        """Drawn entries."""
        return pruning.at_random(net, share, self.seed)

    def _tokens(self, data: Any) -> Int[np.ndarray, "N B T"]:
        return pruning.rows_of(data, self.batches)

"""Learning rates by arm: with the first seed the best of a grid, with all others that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stagejax.stage import Stage


@dataclass
class Rates:
    """What was found so far, by arm.

    The stage of an arm is trained at every rate of its grid when it comes first, and at the best of them from then on.
    An arm `like` another one is trained at the rate of that one, without a grid of its own.

    Args:
      score: (arm, result) -> what is to be high, of data that no claim speaks of; in a plan any number.

    >>> from types import SimpleNamespace as Of
    >>> run = Of(train=lambda stage, start: Of(name=stage.name, rate=stage.optimizer.peak))
    >>> rates = Rates(score=lambda arm, result: -abs(result.rate - 3e-4), like={"b": "a"})
    >>> from stagejax import Stage
    >>> from stagejax.data import Bytes, CausalText, Stdlib
    >>> from stagejax.models import gpt
    >>> from stagejax.objectives import causal_lm
    >>> from stagejax.optimizer import adam
    >>> text = CausalText(source=Stdlib(limit=10_000), tokenizer=Bytes(), batch=8, length=16)
    >>> stage = Stage("tune", gpt(), causal_lm, adam(1.0), text, 4)
    >>> result, others = rates.train(run, "a", stage, (1e-4, 3e-4), None)
    >>> result.name, [other.name for other in others]
    ('tune/0.0003', ['tune/0.0001'])
    >>> rates.train(run, "b", stage, (1e-4, 3e-4), None)[0].name, rates.chosen
    ('tune/0.0003', {'a': 0.0003})
    """

    score: Callable[[str, Any], float]
    like: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, float] = field(default_factory=dict)
    tried: dict[str, dict[float, float]] = field(default_factory=dict)  # scores of every rate, where there was a choice
    others: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # results at the other rates

    def train(self, run: Any, arm: str, stage: Stage, grid: Sequence[float], start: Any) -> tuple[Any, tuple[Any, ...]]:
        """The arm's result at its rate, and those at the other rates, to be charged to the arm.

        Args:
          stage: with any `peak`; of several models the one named "policy" is tuned.
          start: of the stage.
        """
        of, results = self.like.get(arm, arm), {}
        for rate in [self.chosen[of]] if of in self.chosen else grid:
            results[rate] = run.train(_at(stage, rate), start)
        if of not in self.chosen:
            scores = {rate: float(self.score(arm, result)) for rate, result in results.items()}
            self.chosen[of] = max(scores, key=scores.__getitem__)
            if len(grid) > 1:
                self.tried[of] = scores
            self.others[of] = tuple(result for rate, result in results.items() if rate != self.chosen[of])
        return results[self.chosen[of]], self.others.get(of, ())


def _at(stage: Stage, rate: float) -> Stage:
    given = stage.optimizer
    several = isinstance(given, dict)
    own = replace(given["policy"] if several else given, peak=rate)
    return replace(stage, name=f"{stage.name}/{rate:g}", optimizer=given | {"policy": own} if several else own)

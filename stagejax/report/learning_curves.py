"""What models answer that learned from more and more examples: means over seeds, the law they follow, their figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.report.figures import Figure
from stagejax.report.over_settings import OverSettings
from stagejax.report.paired import lines
from stagejax.report.rising import Rising, fit_rising, table_of_laws
from stagejax.report.tables import Table


@dataclass(frozen=True)
class LearningCurves(OverSettings):
    """Shares of the answers of models by (arm, seed, number of examples), which are the settings; NaN in a plan.

    Args:
      fitted: the fewest examples that a law is fitted to.
      least: the smallest share that it is fitted to, as a share of nothing has no logarithm.

    >>> sizes, seeds = (10, 30, 100, 300, 1000), (0, 1)
    >>> found = {("sums", seed, size): {"right": 0.02 * size**0.5} for size in sizes for seed in seeds}
    >>> own = LearningCurves(found, sizes, fitted=30)
    >>> {size: round(value, 3) for size, value in own.over_seeds("sums", "right").items()}
    {10: 0.063, 30: 0.11, 100: 0.2, 300: 0.346, 1000: 0.632}
    >>> own.never_falls("sums", "right"), round(own.part("sums", "right", 100), 3)
    (True, 0.316)
    >>> round(own.law("sums", "right").exponent, 3)
    0.5
    """

    settings: tuple[int, ...]
    fitted: int = 1
    least: float = 0.01

    def over_seeds(self, arm: str, what: str) -> dict[int, float]:
        """The mean over seeds, by the number of examples."""
        return dict(zip(self.settings, self.of(arm, what).mean(0).tolist(), strict=True))

    def never_falls(self, arm: str, what: str) -> bool:
        """Whether no mean is below that of fewer examples; in a plan it is none."""
        return bool(np.all(np.diff(list(self.over_seeds(arm, what).values())) >= -1e-9))

    def part(self, arm: str, what: str, size: int) -> float:
        """A mean as a share of that with the most examples; not a number where that is nothing."""
        means = self.over_seeds(arm, what)
        last = means[max(means)]
        return means[size] / last if last else float("nan")

    def law(self, arm: str, what: str) -> Rising | None:
        """The laws of the means, from `fitted` examples on; None where one of them is below `least`, and in a plan."""
        means = {size: mean for size, mean in self.over_seeds(arm, what).items() if size >= self.fitted}
        if not all(mean >= self.least - 1e-9 for mean in means.values()):
            return None
        return fit_rising(list(means), list(means.values()))

    def explained(self, arm: str, what: str, by: str) -> float:
        """r² of the means of two shares over all sizes; NaN where one of them is constant."""
        a, b = (list(self.over_seeds(arm, own).values()) for own in (what, by))
        return float(np.corrcoef(a, b)[0, 1] ** 2) if np.std(a) and np.std(b) else float("nan")

    def laws(
        self, title: str, arms: Sequence[str], what: str, explained: Mapping[str, tuple[str, str]], note: str = ""
    ) -> Table:
        """The laws of those arms that have one; in further columns, r² of the two shares that `explained` names."""
        laws = {arm: law for arm in arms if (law := self.law(arm, what))}
        more = {column: {arm: self.explained(arm, *two) for arm in laws} for column, two in explained.items()}
        return table_of_laws(title, laws, more, note)

    def figure(self, title: str, arms: Mapping[str, str], what: str, ylabel: str) -> tuple[Figure, ...]:
        """The means of arms, by what the legend calls them, over the logarithm of examples; nothing in a plan."""
        drawn = {label: np.array(list(self.over_seeds(arm, what).values())) for label, arm in arms.items()}
        if any(np.isnan(own).any() for own in drawn.values()):
            return ()
        at: Sequence[float] = np.log10(self.settings).tolist()
        return (lines(title, drawn, xlabel="log10 of examples", ylabel=ylabel, at=at),)

"""Arms measured at several settings, such as learning rates and lengths of a tuning, and from several seeds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from stagejax.report.tables import Table, table_of_means


@dataclass(frozen=True)
class OverSettings:
    """What was measured, by (arm, seed, setting); an arm has all settings for each of its seeds.

    Args:
      found: measures by their names. Settings may be there that are not among `settings`.
      settings: over which means are taken.

    >>> harm = {("tuned", 0, 1e-3): 0.5, ("tuned", 0, 1e-2): 1.0, ("tuned", 1, 1e-3): 0.5, ("tuned", 1, 1e-2): 0.5}
    >>> own = OverSettings({key: {"harm": value} for key, value in harm.items()}, (1e-3, 1e-2))
    >>> own.of("tuned", "harm").tolist(), own.means("tuned", "harm")
    ([[0.5, 1.0], [0.5, 0.5]], [0.75, 0.5])
    >>> own.table("Over the rates", {"tuned": "tuned"}, {"harmful score": "harm"}).rows
    (('tuned', '62.5 ± 17.7'),)
    >>> own.by_setting("By rate", ("tuned",), "harm", str).rows
    (('tuned', '50.0 ± 0.0', '75.0 ± 35.4'),)
    """

    found: Mapping[tuple[str, int, Hashable], Mapping[str, Any]]
    settings: tuple[Hashable, ...]

    def of(self, arm: str, what: str, settings: tuple[Hashable, ...] = ()) -> Float[np.ndarray, "seeds settings"]:
        """A measure of an arm at some settings; none: all over which means are taken."""
        settings = settings or self.settings
        seeds = sorted({seed for name, seed, setting in self.found if name == arm and setting == settings[0]})
        return np.array([[float(self.found[arm, seed, setting][what]) for setting in settings] for seed in seeds])

    def means(self, arm: str, what: str, settings: tuple[Hashable, ...] = ()) -> list[float]:
        """Over settings, of each seed."""
        return self.of(arm, what, settings).mean(1).tolist()

    def table(
        self, title: str, rows: Mapping[str, str], columns: Mapping[str, str], settings: tuple[Hashable, ...] = ()
    ) -> Table:
        """Means over settings, ± standard deviations over seeds: arms by what rows call them, measures by columns."""
        return table_of_means(
            title, list(rows), list(columns), lambda row, column: self.means(rows[row], columns[column], settings)
        )

    def by_setting(
        self, title: str, arms: tuple[str, ...], what: str, label: Callable[[Any], str], **how: Any
    ) -> Table:
        """One measure of arms, with a column for each setting; shown as `table_of_means` is told."""
        at = {label(setting): (setting,) for setting in self.settings}
        return table_of_means(title, arms, list(at), lambda arm, column: self.means(arm, what, at[column]), **how)

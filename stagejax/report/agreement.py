"""How well raters agree beyond chance, and whether a model agrees with them as well as they do with each other.

Letters: N items, R raters, C classes, D resamples.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stagejax.report.seeds import mean
from stagejax.report.tables import Table


def cohen_kappa(table: Float[np.ndarray, "*more C C"], *, quadratic: bool = False) -> Float[np.ndarray, "*more"]:
    """`(p_o - p_e) / (1 - p_e)` of two raters, from how often one says i and the other j; NaN where p_e is 1.

    Agreement is weighed by `w_ij`: 1 where i = j and 0 elsewhere, or `1 - (i - j)² / (C - 1)²` for ordered classes.

    References: Cohen 1960, https://doi.org/10.1177/001316446002000104; weights: Cohen 1968,
    https://doi.org/10.1037/h0026256.

    >>> round(float(cohen_kappa(np.array([[20.0, 5.0], [10.0, 15.0]]))), 3)
    0.4
    """
    classes = table.shape[-1]
    apart = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
    weights = 1 - (apart / max(1, classes - 1)) ** 2 if quadratic else (apart == 0).astype(np.float64)
    share = table / np.maximum(table.sum((-2, -1), keepdims=True), 1e-300)
    chance = share.sum(-1)[..., :, None] * share.sum(-2)[..., None, :]
    observed, expected = ((weights * part).sum((-2, -1)) for part in (share, chance))
    return np.asarray((observed - expected) / np.where(expected < 1, 1 - expected, np.nan))


def fleiss_kappa(ratings_NR: Int[np.ndarray, "N R"], classes: int) -> float:
    """Agreement of all raters beyond chance: the mean share of agreeing pairs on an item against that by chance.

    Reference: Fleiss 1971, https://doi.org/10.1037/h0031619.

    >>> round(fleiss_kappa(np.array([[0, 0, 0], [1, 1, 1], [0, 1, 1], [1, 0, 0]]), 2), 3)
    0.333
    """
    said_NC = (ratings_NR[..., None] == np.arange(classes)).sum(1)
    raters = ratings_NR.shape[1]
    observed = ((said_NC**2).sum(1) - raters).mean() / (raters * (raters - 1))
    expected = ((said_NC.sum(0) / said_NC.sum()) ** 2).sum()
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")


class Interval(NamedTuple):
    """A figure, and the middle 95 % of its resamples."""

    value: float
    low: float
    high: float


class Agreement(NamedTuple):
    """Mean pairwise kappas, quadratically weighted, over the same items."""

    raters: Interval  # among human raters
    model: Interval  # of the model with each of them
    difference: Interval  # model - raters, in the same resamples
    fleiss: float  # kappa of the human raters, all together


def agreement(
    ratings_NR: Int[np.ndarray, "N R"], model_N: Int[np.ndarray, " N"], classes: int, draws: int = 1000, seed: int = 0
) -> Agreement:
    """Whether a model agrees with raters as they do with each other, with bootstrap intervals over items.

    Reference: percentile intervals, Efron and Tibshirani, An introduction to the bootstrap, 1993.

    Raises:
      ValueError: fewer than two raters.

    >>> ratings = np.array([[0, 0], [1, 1], [2, 2], [2, 1]])
    >>> found = agreement(ratings, np.array([0, 1, 2, 2]), 3, draws=50)
    >>> round(found.raters.value, 3), round(found.model.value, 3), found.difference.low <= 0.06
    (0.8, 0.9, True)
    """
    raters = ratings_NR.shape[1]
    if raters < 2:
        raise ValueError(f"{raters} raters: agreement takes two or more")
    said_NS = np.concatenate([ratings_NR, model_N[:, None]], axis=1)  # the model last
    pairs = list(itertools.combinations(range(raters + 1), 2))
    cells_PN = np.stack([said_NS[:, i] * classes + said_NS[:, j] for i, j in pairs])
    hits_NK = (cells_PN.T[..., None] == np.arange(classes**2)).reshape(len(said_NS), -1).astype(np.float64)
    rng, size = np.random.default_rng(seed), len(said_NS)
    weights = np.concatenate([np.ones((1, size)), rng.multinomial(size, np.full(size, 1 / size), draws)])
    tables = (weights @ hits_NK).reshape(draws + 1, len(pairs), classes, classes)
    kappas_DP = cohen_kappa(tables, quadratic=True)
    with_model = np.array([j == raters for _, j in pairs])
    among, model = kappas_DP[:, ~with_model].mean(1), kappas_DP[:, with_model].mean(1)
    return Agreement(*map(_interval, (among, model, model - among)), fleiss_kappa(ratings_NR, classes))


def examined(
    ratings_NR: Int[np.ndarray, "N R"],
    label_N: Int[np.ndarray, " N"],
    model_N: Int[np.ndarray, " N"],
    classes: int,
    draws: int = 1000,
) -> dict[str, Any]:
    """A model as one rater among others, and against labels that are theirs, as what JSON can hold.

    Returns:
      The fields of `Agreement`; "labels", the mean kappa of the labels with each rater, which a model that is trained
      on them can hardly exceed; "precision", "recall" and "f1" of each class.

    >>> found = examined(np.array([[0, 0], [1, 1], [1, 0]]), np.array([0, 1, 1]), np.array([0, 1, 0]), 2, draws=9)
    >>> found["precision"], found["recall"], round(found["labels"], 3)
    ([0.5, 1.0], [1.0, 0.5], 0.7)
    """
    from sklearn.metrics import precision_recall_fscore_support

    how: dict[str, Any] = {"labels": np.arange(classes), "zero_division": 0.0}
    by_class = precision_recall_fscore_support(label_N, model_N, **how)
    stages = {name: own.tolist() for name, own in zip(("precision", "recall", "f1"), by_class, strict=False)}
    labels = agreement(ratings_NR, label_N, classes, draws=1).model.value
    return agreement(ratings_NR, model_N, classes, draws)._asdict() | {"labels": labels} | stages


def agreement_table(names: Sequence[str], found: Mapping[tuple[str, ...], Sequence[Mapping[str, Any] | None]]) -> Table:
    """What `examined` said of every case, from several seeds; None of one in a plan.

    Args:
      names: columns that tell the cases apart, as their keys do.
    """
    rows = []
    for key, seeds in found.items():
        known = [own for own in seeds if own]
        first = [_shown(known[0][name]) if known else None for name in ("raters", "model")]
        difference = mean([own["difference"][0] for own in known])
        rows.append((*key, *first, difference, *(mean([own[name] for own in known]) for name in ("labels", "fleiss"))))
    note = (
        "Kappas with quadratic weights, means over pairs: of two examiners, and of the model and an examiner, for the "
        "first seed with 95 % of resampled items; their difference, mean over seeds; of the labels and an examiner, "
        "which a model can hardly exceed. Fleiss' kappa of the examiners has no weights."
    )
    columns = (*names, "examiners", "model", "difference", "labels", "Fleiss")
    return Table("Agreement", columns, tuple(rows), (*("",) * (len(names) + 2), *(".3f",) * 3), note)


def table_by_class(
    title: str, names: Sequence[str], found: Mapping[tuple[str, ...], Sequence[Mapping[str, Any] | None]]
) -> Table:
    """Precision, recall and F1 of each class, means over seeds; no rows in a plan. See `agreement_table`."""
    rows: list[tuple[Any, ...]] = []
    for key, seeds in found.items():
        known = [own for own in seeds if own]
        measures = ("precision", "recall", "f1") if known else ()
        rows += [(*key, name, *np.mean([own[name] for own in known], 0).tolist()) for name in measures]
    classes = len(rows[0]) - len(names) - 1 if rows else 0
    columns = (*names, "measure", *(f"stage {i}" for i in range(1, classes + 1)))
    return Table(title, columns, tuple(rows), (*("",) * (len(names) + 1), *(".3f",) * classes), "Means over seeds.")


def _shown(interval: Sequence[float]) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*interval)


def _interval(values_D: Float[np.ndarray, " D"]) -> Interval:
    """The first value is of all items as they are."""
    low, high = np.nanpercentile(values_D[1:], (2.5, 97.5))
    return Interval(*map(float, (values_D[0], low, high)))

"""Methods that choose records: what each looks at, and class by class."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.inference.selection import selection
from stagejax.inference.selection.selection import Method, Proxy, coreset
from stagejax.result import Result


def said(value: dict[str, np.ndarray]) -> Result:
    return Result("said", "make", "", 0, value=value)


RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, 60)
PASSES = [
    said({"features": RANDOM.normal(size=(60, 5)), "logits": RANDOM.normal(size=(60, 3)), "label": LABELS})
    for _ in range(3)
]
METHODS = {
    "EL2N": selection.EL2N,
    "EL2N, easy": selection.EL2N_EASY,
    "GraNd": selection.GRAND,
    "forgetting": selection.FORGETTING,
    "margin": selection.MARGIN,
    "margin, drawn": selection.drawn_by_margin(3),
    "k-center": selection.K_CENTER,
    "herding": selection.HERDING,
    "moderate": selection.MODERATE,
}


@pytest.mark.parametrize("name", METHODS)
def test_records_are_chosen_once_and_class_by_class(name: str) -> None:
    passes = Proxy(passes=tuple(PASSES)).seen_by(METHODS[name])
    rows = coreset(METHODS[name], 17, *passes)["rows"]
    assert len(set(rows.tolist())) == 17
    assert (np.abs(np.bincount(LABELS[rows], minlength=3) - 17 * np.bincount(LABELS) / 60) < 1).all()
    np.testing.assert_array_equal(rows, coreset(METHODS[name], 17, *passes)["rows"])
    assert sorted(coreset(METHODS[name], 60, *passes)["rows"].tolist()) == list(range(60))


@pytest.mark.parametrize("name", ["EL2N", "GraNd", "margin", "forgetting"])
def test_the_chosen_of_a_class_have_its_largest_scores(name: str) -> None:
    method = METHODS[name]
    rows, scores = coreset(method, 17, *PASSES)["rows"], method.of([one.value for one in PASSES])
    for c in range(3):
        mine = np.flatnonzero(np.equal(LABELS, c))
        chosen = np.intersect1d(mine, rows)
        assert scores[chosen].min() >= scores[np.setdiff1d(mine, chosen)].max()


def test_methods_of_early_training_look_at_every_pass_and_others_at_the_last() -> None:
    changed = [PASSES[0], said(PASSES[1].value | {"logits": -PASSES[1].value["logits"]}), PASSES[2]]
    for name, method in METHODS.items():
        values = [method.of([one.value for one in passes]) for passes in (PASSES, changed)]
        assert np.array_equal(*values) == method.last, name


def test_only_greedy_methods_multiply() -> None:
    assert Method(selection.k_center, selection.features).flops(10, 100, 5, 8) == 2 * 10 * 100 / 5 * 8
    assert selection.MARGIN.flops(10, 100, 5, 8) == 0

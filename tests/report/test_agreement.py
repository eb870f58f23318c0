"""Agreement beyond chance: against scikit-learn and published examples, and what intervals hold."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from stagejax.objectives.classification import classification_with_f1
from stagejax.objectives.loss import Macro
from stagejax.report.agreement import agreement, cohen_kappa, examined, fleiss_kappa

RNG = np.random.default_rng(0)
TRUE = RNG.integers(0, 4, 300)
RATINGS = np.clip(TRUE[:, None] + RNG.integers(-1, 2, (300, 3)) * (RNG.random((300, 3)) < 0.4), 0, 3)


@pytest.mark.parametrize("quadratic", [True, False])
def test_kappa_is_that_of_scikit_learn(quadratic: bool) -> None:
    for a, b in itertools.combinations(RATINGS.T, 2):
        table = np.zeros((4, 4))
        np.add.at(table, (a, b), 1)
        expected = cohen_kappa_score(a, b, weights="quadratic" if quadratic else None)
        assert cohen_kappa(table, quadratic=quadratic) == pytest.approx(expected)
        assert cohen_kappa(table.T, quadratic=quadratic) == pytest.approx(expected)


def test_kappa_is_none_where_all_say_the_same() -> None:
    assert np.isnan(cohen_kappa(np.array([[5.0, 0.0], [0.0, 0.0]])))
    assert np.isnan(fleiss_kappa(np.zeros((4, 3), int), 2))


def test_fleiss_kappa_of_the_example_with_fourteen_raters() -> None:
    """Ten subjects in five categories, kappa 0.210: en.wikipedia.org/wiki/Fleiss's_kappa, after Fleiss 1971."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert round(fleiss_kappa(np.stack([np.repeat(np.arange(5), own) for own in counts]), 5), 3) == 0.210


def test_agreement_takes_pairs_of_raters_and_of_the_model_with_each() -> None:
    found = agreement(RATINGS, TRUE, 4, draws=200)
    kappa = lambda a, b: cohen_kappa_score(a, b, weights="quadratic")  # noqa: E731
    pairs = [kappa(a, b) for a, b in itertools.combinations(RATINGS.T, 2)]
    assert found.raters.value == pytest.approx(np.mean(pairs))
    assert found.model.value == pytest.approx(np.mean([kappa(TRUE, own) for own in RATINGS.T]))
    assert found.difference.value == pytest.approx(found.model.value - found.raters.value)
    for interval in found[:3]:
        assert interval.low < interval.value < interval.high
    assert found.difference.low > 0  # what they all look at agrees better with them than they do
    chance = agreement(RATINGS, RNG.permutation(TRUE), 4, draws=200)
    assert chance.model.low < 0 < chance.model.high
    with pytest.raises(ValueError, match="two or more"):
        agreement(RATINGS[:, :1], TRUE, 4)


def test_intervals_shrink_with_more_items() -> None:
    few, many = (agreement(RATINGS[:n], TRUE[:n], 4, draws=300).model for n in (50, 300))
    assert many.high - many.low < few.high - few.low


def test_examined_holds_what_scikit_learn_says_of_each_class() -> None:
    said = np.where(RNG.random(300) < 0.7, TRUE, RNG.integers(0, 4, 300))
    found = examined(RATINGS, TRUE, said, 4, draws=20)
    np.testing.assert_allclose(found["f1"], f1_score(TRUE, said, average=None))
    assert found["labels"] == agreement(RATINGS, TRUE, 4, draws=1).model.value


def test_macro_f1_over_batches_is_that_of_all_examples() -> None:
    logits, label = jnp.asarray(RNG.normal(size=(60, 4)), jnp.float32), jnp.asarray(RNG.integers(0, 4, 60), jnp.int32)
    parts = [
        classification_with_f1(lambda image, key: image, {"image": logits[at], "label": label[at]}, None)[1]["macro_f1"]
        for at in np.array_split(np.arange(60), 3)
    ]
    whole = Macro(*(sum(np.asarray(own) for own in each) for each in zip(*parts, strict=True)))
    assert float(whole.value()) == pytest.approx(f1_score(label, logits.argmax(-1), average="macro"), rel=1e-5)

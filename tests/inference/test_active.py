"""Rounds of bought labels on frozen features: what a label may influence, and that seeds do not meet."""

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.selection.active import balanced_start, breaking_ties
from stagejax.inference.selection import active
from stagejax.inference.selection.active import OnFeatures, Protocol, Strategy, area, nothing
from stagejax.inference.selection.pseudo_labels import HAST, UST, VERIPS
from stagejax.objectives.retrieval.neighbours import among, nearest_others
from stagejax.steps.probes import Probe

N, C, D = 90, 3, 6
RNG = np.random.default_rng(1)
LABEL = RNG.integers(0, C, N)
X = (2 * np.eye(D)[LABEL] + RNG.normal(size=(N, D))).astype(np.float32)
TEST_LABEL = RNG.integers(0, C, 50)
FEATURES = {
    "pool": X, "graph": nearest_others(X, 60), "label": LABEL,
    "test": (2 * np.eye(D)[TEST_LABEL] + RNG.normal(size=(50, D))).astype(np.float32), "test_label": TEST_LABEL,
}  # fmt: skip
RUN = OnFeatures(Protocol(N, 9, 2, 4), Probe(D, 8, C, 40, 8, 2e-2), (0.2, 0.2), (0, 1), FEATURES)
OURS = Strategy(HAST(k=6))


@pytest.fixture(scope="module")
def found() -> dict[str, np.ndarray]:
    return RUN(breaking_ties, OURS)


def test_labels_are_bought_within_the_budget(found: dict[str, np.ndarray]) -> None:
    assert found["rows"].shape == (2, 17)
    assert found["accuracy"].shape == found["accepted"].shape == (2, 3)
    for rows in found["rows"]:
        assert len(set(rows.tolist())) == 17
        assert np.bincount(LABEL[rows[:9]]).tolist() == [3, 3, 3]
    assert found["before"].mean() > 0.6
    assert found["right"].mean() > found["raw"].mean()


def test_labels_that_are_not_bought_change_nothing(
    found: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = np.isin(np.arange(N), found["rows"])
    other = FEATURES | {"label": np.where(bought, LABEL, (LABEL + 1) % C)}
    monkeypatch.setattr(active, "balanced_start", lambda labels, count, rng: balanced_start(LABEL, count, rng))
    got = replace(RUN, features=other)(breaking_ties, OURS)  # from the same start
    np.testing.assert_array_equal(got["rows"], found["rows"])
    np.testing.assert_array_equal(got["accuracy"], found["accuracy"])
    assert (got["raw"] != found["raw"]).any()  # these are what is judged by


def test_a_seed_alone_is_as_in_company(found: dict[str, np.ndarray]) -> None:
    alone = replace(RUN, seeds=(1,))(breaking_ties, OURS)
    np.testing.assert_array_equal(alone["rows"][0], found["rows"][1])
    np.testing.assert_allclose(alone["accuracy"][0], found["accuracy"][1], atol=0.021)


def test_where_nothing_is_accepted_training_goes_on_with_labels() -> None:
    once = replace(RUN, protocol=Protocol(N, 9, 0, 4))
    found, again, none = (once(breaking_ties, Strategy(own)) for own in (HAST(confidence=1.0), nothing, None))
    assert found["accepted"].tolist() == again["accepted"].tolist() == [[0], [0]]
    np.testing.assert_array_equal(found["accuracy"], again["accuracy"])
    np.testing.assert_array_equal(none["accuracy"], none["before"])
    np.testing.assert_array_equal(again["before"], none["before"])


def test_what_selectors_need_beside_is_there() -> None:
    once = replace(RUN, protocol=Protocol(N, 9, 0, 4))
    assert once(breaking_ties, Strategy(UST(each=4), passes=3))["accepted"].tolist() == [[12], [12]]
    assert (once(breaking_ties, Strategy(VERIPS(0.3), again=True))["accepted"] > 0).all()


def test_neighbours_of_a_part_are_those_that_a_search_in_it_finds() -> None:
    kept = RNG.random(N) < 0.7
    np.testing.assert_array_equal(among(FEATURES["graph"], kept, 5), nearest_others(X[kept], 5))
    with pytest.raises(ValueError, match="look further"):
        among(FEATURES["graph"][:, :3], kept, 3)


def test_areas_are_of_trapezia() -> None:
    assert area(np.array([[0.5, 0.7, 0.9]]), [30, 40, 60]).tolist() == pytest.approx([(0.6 * 10 + 0.8 * 20) / 30])

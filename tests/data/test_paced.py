"""Rounds of a pace: their sizes, what they hold in proportion to weights, and that sample n depends on n alone."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Digits, Images, Portion
from stagejax.data.selection.paced import Paced, pace
from stagejax.data.selection.pacing import cyclic, paced_rounds, rising

SMALL = Images(source=Portion(Digits(), stop=60), batch=8, seed=11)
WEIGHTS = np.geomspace(1.0, 1e3, 60)


def weighed(rounds: tuple[int, ...], seed: int = 0, weights: np.ndarray = WEIGHTS) -> Paced:
    made = SimpleNamespace(fingerprint="a1", value={"easy": weights})
    return pace(SMALL, rounds, made, "easy", seed)


# --- pacing ---


def test_cycles_are_those_of_the_algorithm() -> None:
    assert list(itertools.islice(cyclic(0.25, 1.0, 0.5), 9)) == [0.25, 0.5, 1, 0.5, 0.25, 0.5, 1, 0.5, 0.25]
    found = list(
        itertools.islice(cyclic(0.3, 0.9, 0.5), 7)
    )  # cut at both ends, where no power of the factor meets them
    np.testing.assert_allclose(found, [0.3, 0.6, 0.9, 0.45, 0.3, 0.6, 0.9])
    assert list(itertools.islice(cyclic(0.5, 0.5, 0.5), 3)) == [0.5] * 3


@settings(max_examples=50, deadline=None)
@given(start=st.floats(0.01, 1), end=st.floats(0.01, 1), factor=st.floats(0.1, 0.9))
def test_shares_stay_between_their_ends(start: float, end: float, factor: float) -> None:
    start, end = sorted((start, end))
    for shares in (cyclic(start, end, factor), rising(start, end, factor)):
        found = np.array(list(itertools.islice(shares, 60)))
        assert found[0] == start
        assert ((found >= start) & (found <= end)).all()
    assert (np.diff(list(itertools.islice(rising(start, end, factor), 60))) >= 0).all()


@settings(max_examples=50, deadline=None)
@given(records=st.integers(10, 400), batch=st.integers(1, 40), batches=st.integers(1, 300), start=st.floats(0.02, 1))
def test_rounds_are_whole_batches_and_the_budget_ends_in_the_last(records, batch, batches, start) -> None:
    rounds = paced_rounds(cyclic(start, 1.0, 0.5), records, batch, batches * batch)
    assert sum(rounds[:-1]) < batches * batch <= sum(rounds)
    assert all(rows % batch == 0 and 0 < rows <= max(batch, records) for rows in rounds)


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 0.5), (0.5, 0.2, 0.5), (0.5, 1.1, 0.5), (0.5, 1.0, 1.0)])
def test_a_pace_says_what_is_wrong_with_it(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="needed are"):
        next(cyclic(*wrong))
    with pytest.raises(ValueError, match="whole batches"):
        paced_rounds(iter([1.0]), 100, 8, 20)
    with pytest.raises(ValueError, match="give more of them"):
        paced_rounds([0.5], 100, 10, 100)


# --- what rounds hold ---


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(-5, 5), start=st.integers(0, 10**6), data=st.data())
def test_sample_n_depends_on_n_alone(seed: int, start: int, data: st.DataObject) -> None:
    paced, numbers = weighed((15, 30, 60), seed), start + np.arange(40)
    picked = data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=10))
    np.testing.assert_array_equal(paced.records(numbers)[picked], paced.records(numbers[picked]))


def test_no_round_repeats_a_record_and_a_whole_one_has_all() -> None:
    rounds = (15, 30, 60, 30)
    for lap in range(2):
        found = weighed(rounds).records(np.arange(135) + 135 * lap)
        parts = np.split(found, np.cumsum(rounds)[:-1])
        assert [len(set(part.tolist())) for part in parts] == list(rounds)
    assert set(weighed(rounds).records(np.arange(15)).tolist()) != set(parts[0].tolist())


def test_draws_are_those_of_one_weighted_draw_after_the_other() -> None:
    weights = np.array([4.0, 2.0, 1.0, 1.0])
    few = Images(source=Portion(Digits(), stop=4), batch=1)
    data = Paced(data=few, rounds=(2,), of="a1", name="easy", weights=weights)
    pairs = np.sort(data.records(np.arange(800)).reshape(-1, 2))
    p = weights / weights.sum()
    for a, b in itertools.combinations(range(4), 2):
        expected = p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b])
        assert (pairs == (a, b)).all(1).mean() == pytest.approx(expected, abs=0.1)


def test_the_order_within_a_round_does_not_follow_the_weights() -> None:
    places = np.empty((60, 60))
    for turn in range(60):
        places[turn, weighed((60,)).records(np.arange(60) + 60 * turn)] = np.arange(60)
    assert abs(np.corrcoef(np.log(WEIGHTS), places.mean(0))[0, 1]) < 0.35
    assert np.abs(places.mean(0) - 29.5).max() < 9


def test_without_weights_every_record_is_as_likely() -> None:
    found = Paced(data=SMALL, rounds=(15,), seed=3).records(np.arange(15 * 100))
    assert np.bincount(found, minlength=60) / 100 == pytest.approx(np.full(60, 0.25), abs=0.2)


def test_batches_are_those_of_the_records_and_held_out_data_is_not_drawn() -> None:
    data = weighed((16, 32))
    np.testing.assert_array_equal(
        data.take(np.arange(8))["image"], SMALL.take_records(data.records(np.arange(8)))["image"]
    )
    assert data.held_out(2) == SMALL.held_out(2)
    assert data.digest() != SMALL.digest()
    assert weighed((16, 32)) != pace(SMALL, (16, 32), SimpleNamespace(fingerprint="a1", value=None), "hard")


def test_what_does_not_fit_is_refused() -> None:
    planned = pace(SMALL, (16,), SimpleNamespace(fingerprint="a1", value=None), "easy")
    with pytest.raises(ValueError, match="computed when the pipeline runs"):
        planned.records(np.arange(2))
    with pytest.raises(ValueError, match="do not fit 60 records"):
        weighed((61,)).records(np.arange(2))
    with pytest.raises(ValueError, match="do not fit 60 records"):
        weighed((10,), weights=WEIGHTS[:-1]).records(np.arange(2))
    with pytest.raises(ValueError, match="one or more"):
        weighed(())

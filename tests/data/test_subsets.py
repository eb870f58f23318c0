"""Subsets of the records in rounds: what a round holds, how rounds differ, and that sample n depends on n alone."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Digits, Images, Portion
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.selection.subsets import Chosen, Stratified, WithoutReplacement, WithReplacement, choose, seats
from stagejax.data.sources import Source

SMALL = Images(source=Portion(Digits(), stop=120), batch=8, seed=11)
LABELS = np.array([SMALL.source[i]["label"] for i in range(120)])
KINDS = {
    "without": lambda rows, seed=0: WithoutReplacement(data=SMALL, rows=rows, seed=seed),
    "with": lambda rows, seed=0: WithReplacement(data=SMALL, rows=rows, seed=seed),
    "stratified": lambda rows, seed=0: Stratified(data=SMALL, rows=rows, seed=seed, of="labels", labels=LABELS),
    "chosen": lambda rows, seed=0: Chosen(data=SMALL, rows=rows, seed=seed, of="rows", chosen=np.arange(120)[-rows:]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 120), seed=st.integers(-5, 5), start=st.integers(0, 10**9), data=st.data())
def test_sample_n_depends_on_n_alone(kind, rows, seed, start, data) -> None:
    subsets = KINDS[kind](rows, seed)
    numbers = start + np.arange(40)
    picked = data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=10))
    np.testing.assert_array_equal(subsets.records(numbers)[picked], subsets.records(numbers[picked]))
    assert ((subsets.records(numbers) >= 0) & (subsets.records(numbers) < 120)).all()


@pytest.mark.parametrize("kind", ["with", "stratified", "chosen"])
@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 120), t=st.integers(0, 10**6))
def test_a_round_repeats_no_record(kind, rows, t) -> None:
    found = KINDS[kind](rows).records(t * rows + np.arange(rows))
    assert len(set(found.tolist())) == rows


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 120), epochs=st.integers(1, 4), seed=st.integers(0, 9))
def test_without_replacement_every_record_comes_before_any_comes_again(rows, epochs, seed) -> None:
    found = KINDS["without"](rows, seed).records(np.arange(120 * epochs)).reshape(epochs, 120)
    assert all(sorted(epoch) == list(range(120)) for epoch in found.tolist())


def test_without_replacement_is_ordinary_training() -> None:
    subsets = WithoutReplacement(data=SMALL, rows=50, seed=SMALL.seed)
    numbers = np.arange(300)
    for name, leaf in SMALL.take(numbers).items():
        np.testing.assert_array_equal(subsets.take(numbers)[name], leaf)


def test_rounds_with_replacement_share_records_as_often_as_chance_says() -> None:
    rounds = KINDS["with"](40).records(np.arange(40 * 400)).reshape(400, 40)
    shared = [len(set(a) & set(b)) for a, b in itertools.pairwise(rounds)]
    assert np.mean(shared) == pytest.approx(40 * 40 / 120, rel=0.05)
    assert np.bincount(rounds.ravel(), minlength=120) / 400 == pytest.approx(np.full(120, 1 / 3), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [4, 10, 37, 60])
def test_a_stratified_round_holds_each_class_in_its_share(rows: int) -> None:
    found = LABELS[KINDS["stratified"](rows).records(np.arange(rows * 100))].reshape(100, rows)
    counts, shares = np.array([np.bincount(own, minlength=10) for own in found]), rows * np.bincount(LABELS) / 120
    assert (np.abs(counts - shares) < 1).all()
    np.testing.assert_allclose(counts.mean(0), shares, atol=0.15)
    assert len({tuple(own) for own in found.tolist()}) > 80


def test_a_stratified_round_comes_with_its_classes_mixed() -> None:
    found = LABELS[KINDS["stratified"](60).records(np.arange(60))]
    assert (np.diff(found) != 0).sum() > 30


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=12), share=st.floats(0, 1))
def test_seats_are_shares_on_average(sizes, share) -> None:
    sizes, rows = np.array(sizes), int(share * sum(sizes))
    every = np.array([seats(sizes, rows, offset) for offset in range(sizes.sum())])
    assert (every.sum(1) == rows).all()
    assert (every <= sizes).all()
    np.testing.assert_allclose(every.mean(0), rows * sizes / sizes.sum(), atol=1e-9)


def test_chosen_records_come_once_a_round_in_other_orders() -> None:
    made = SimpleNamespace(fingerprint="f", value={"rows": np.array([3, 99, 7, 20])})
    subsets = choose(SMALL, made, 4, seed=5)
    rounds = subsets.records(np.arange(40)).reshape(10, 4)
    assert {frozenset(own) for own in rounds.tolist()} == {frozenset((3, 99, 7, 20))}
    assert len({tuple(own) for own in rounds.tolist()}) > 3
    np.testing.assert_array_equal(subsets.take(np.arange(4))["label"], LABELS[rounds[0]])
    assert subsets.digest() != choose(SMALL, SimpleNamespace(fingerprint="g", value=None), 4).digest()
    assert subsets.held_out(2) == SMALL.held_out(2)


class Squares(Source):
    split = "train"

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict:
        return {"image": np.full((40, 40, 3), index, np.uint8), "label": index}

    def digest(self) -> str:
        return ""


def test_a_record_is_seen_in_another_view_each_time() -> None:
    class Gradients(Squares):
        def __getitem__(self, index: int) -> dict:
            return {"image": np.arange(4800, dtype=np.uint32).reshape(40, 40, 3).astype(np.uint8), "label": index}

    photos = Photos(source=Gradients(), batch=4, shape=(8, 8, 3), crop=Crop(), seed=2)
    subsets = Chosen(data=photos, rows=1, of="", chosen=np.array([3]))
    views = subsets.take(np.arange(6))["image"]
    assert len({view.tobytes() for view in views}) == 6
    np.testing.assert_array_equal(subsets.take(np.array([4]))["image"][0], views[4])


def test_errors_say_what_to_change() -> None:
    with pytest.raises(ValueError, match="lower `rows`"):
        KINDS["with"](121).records(np.arange(3))
    with pytest.raises(ValueError, match="at least one"):
        WithReplacement(data=SMALL, rows=0)
    with pytest.raises(ValueError, match="holds nothing as 'rows'"):
        choose(SMALL, SimpleNamespace(fingerprint="f", value=None), 4).take(np.arange(2))
    with pytest.raises(ValueError, match="set it to that"):
        Chosen(data=SMALL, rows=3, of="f", chosen=np.arange(2)).records(np.arange(2))

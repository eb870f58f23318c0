"""Passes: every sample comes as often as it should, data are nested, and the account is what a count says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.data.selection.passes import Passes, passes

TEXT = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=8, length=16, seed=3)


@settings(max_examples=30, deadline=None)
@given(steps=st.integers(1, 40), times=st.sampled_from([1, 2, 4, 8]), seed=st.integers(-3, 3), done=st.integers(1, 99))
def test_each_sample_comes_as_often_and_the_account_is_a_count(steps: int, times: int, seed: int, done: int) -> None:
    data = passes(TEXT, steps, times, seed)
    places = data.places(np.arange(steps * 8))
    assert np.bincount(places).tolist() == [times] * (steps * 8 // times)
    done = min(done, steps)
    seen, reading = places[: done * 8], data.reading(done)
    assert (reading.samples, reading.unique) == (len(seen), len(set(seen.tolist())))
    assert (reading.tokens, reading.unique_tokens) == (16 * reading.samples, 16 * reading.unique)
    assert reading.epochs == pytest.approx(done * times / steps)
    assert data.counted(done) == (reading.samples, reading.unique, np.bincount(seen).max())


def test_a_single_pass_reads_no_token_twice_and_is_the_text_itself() -> None:
    once = passes(TEXT, 100)
    made, plain = once.take(np.arange(800)), TEXT.take(np.arange(800))
    assert all(np.array_equal(made[name], plain[name]) for name in plain)
    assert len(set(once.places(np.arange(800)).tolist())) == 800


def test_data_are_nested_and_alike_until_they_begin_again() -> None:
    once, often = passes(TEXT, 40), passes(TEXT, 40, times=4)
    first, again = often.places(np.arange(80)), often.places(np.arange(80, 160))
    np.testing.assert_array_equal(first, once.places(np.arange(80)))
    assert set(again.tolist()) == set(first.tolist())
    assert again.tolist() != first.tolist()


def test_batches_go_on_at_any_place_on_any_number_of_processes() -> None:
    data = passes(TEXT, 40, times=4, seed=1)
    with data.batches({"step": 17}) as batches:
        batch = next(batches)
    parts = []
    for i in range(2):
        with data.batches({"step": 17}, (i, 2)) as batches:
            parts.append(next(batches))
    for name, leaf in batch.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), leaf)


def test_too_little_text_is_refused() -> None:
    size = TEXT.size()
    with pytest.raises(ValueError, match="would read some samples twice"):
        Passes(data=TEXT, rows=size + 1).batches()  # before the first step, not at the last one
    with pytest.raises(ValueError, match="would read some samples twice"):
        Passes(data=TEXT, rows=size + 1).take(np.array([0, size]))
    with Passes(data=TEXT, rows=size).batches({"step": size // 8 - 1}) as batches:
        next(batches)
    with pytest.raises(ValueError, match="let `times` divide 80"):
        passes(TEXT, 10, times=3)
    with pytest.raises(ValueError, match="at least one sample"):
        Passes(data=TEXT, rows=0)


def test_it_is_declared_without_data() -> None:
    nowhere = replace(TEXT, source=Stdlib(limit=1))
    assert passes(nowhere, 10).reading(10).tokens == 10 * 8 * 16

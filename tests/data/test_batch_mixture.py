"""Batches of one part each: in the shares of a mixture, and no sample of a part is left out or comes twice."""

from __future__ import annotations

import numpy as np

from stagejax.data.joined import Row
from stagejax.data.mixture import BatchMixture
from stagejax.data.prompts.answers import MadeRows


def part(number: int, size: int) -> MadeRows:
    arrays = {"number": 100 * number + np.arange(size, dtype=np.int32)}
    return MadeRows(rows=(Row("number", (), "int32"),), of=str(number), arrays=arrays, batch=4)


MIXED = BatchMixture(parts=(part(0, 40), part(1, 16)), weights=(3, 1))


def test_a_batch_is_of_one_part_and_shares_are_kept() -> None:
    batches = [MIXED.take(np.arange(4 * k, 4 * k + 4))["number"] // 100 for k in range(40)]
    assert all(len(set(own.tolist())) == 1 for own in batches)
    assert sum(int(own[0]) for own in batches) == 10


def test_each_part_sees_its_epochs_whole() -> None:
    numbers = MIXED.take(np.arange(4 * 16))["number"]
    assert sorted(numbers[numbers >= 100].tolist()) == [100 + i for i in range(16)]
    assert MIXED.size() == 4 * 13  # then the eleventh batch of the first part, which has ten


def test_a_batch_is_found_without_those_before_it() -> None:
    whole = MIXED.take(np.arange(200))["number"]
    np.testing.assert_array_equal(MIXED.take(np.arange(150, 170))["number"], whole[150:170])

"""Rows of an artifact follow their records; parts of a source share none."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pytest

from stagejax.data import (
    CausalText,
    Characters,
    Digits,
    Images,
    Portion,
    Row,
    Stdlib,
    for_every_record,
    join,
    join_more,
)
from stagejax.declare import declare, fingerprint


@dataclass(frozen=True)
class Made:
    fingerprint: str
    value: Any


SIZE = len(Digits())
IMAGES = Images(batch=32, seed=3)
INK = Made("f1", {"ink": np.arange(SIZE, dtype=np.float32)})


def test_every_sample_gets_the_row_of_its_record() -> None:
    made = Made("f1", for_every_record(lambda batch: {"mean": batch["image"].mean((1, 2, 3))}, IMAGES))
    data = join(IMAGES, made, Row("mean"))
    with data.batches({"step": SIZE // 32 - 1}) as batches:  # into the second epoch
        for _ in range(3):
            batch = next(batches)
            np.testing.assert_array_equal(batch["mean"], batch["image"].mean((1, 2, 3)))


def test_a_resumed_stream_and_a_shard_read_the_same_rows() -> None:
    data = join(IMAGES, INK, Row("ink"))
    with data.batches() as batches:
        whole = [next(batches)["ink"] for _ in range(4)]
    with data.batches({"step": 2}, shard=(1, 2)) as batches:
        np.testing.assert_array_equal(next(batches)["ink"], whole[2][16:])


def test_several_artifacts() -> None:
    label = Made("f2", {"number": np.arange(SIZE, dtype=np.int32)})
    data = join_more(join(IMAGES, INK, Row("ink")), label, Row("number", dtype="int32"))
    batch = data.take(np.arange(5))
    np.testing.assert_array_equal(batch["ink"], batch["number"])
    assert data.sample_spec()["number"] == jax.ShapeDtypeStruct((), np.int32)


def test_what_was_joined_is_part_of_the_declaration_and_its_bytes_are_not() -> None:
    data, other = (join(IMAGES, made, Row("ink")) for made in (INK, Made("f2", INK.value)))
    assert fingerprint(declare(data)) == fingerprint(declare(replace(data, arrays=None)))
    assert fingerprint(declare(data)) != fingerprint(declare(other))
    assert data.digest() != other.digest()
    assert data.held_out(2) == IMAGES.held_out(2)


def test_planning_needs_no_arrays() -> None:
    data = join(IMAGES, Made("f1", None), Row("ink", (10,)))
    assert data.spec()["ink"].shape == (32, 10)
    with pytest.raises(ValueError, match="holds nothing as 'ink'"):
        data.take(np.arange(2))


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one row for each record"):
        join(IMAGES, Made("f1", {"ink": np.zeros(7, np.float32)}), Row("ink")).take(np.arange(2))
    with pytest.raises(ValueError, match="label"):
        join(IMAGES, INK, Row("label"))
    with pytest.raises(TypeError, match="not records"):
        CausalText(source=Stdlib(), tokenizer=Characters("ab"), batch=2, length=4).records(np.arange(2))


def test_subsets_are_disjoint_and_cover() -> None:
    parts = [Portion(Digits(), stop=500), Portion(Digits(), start=500)]
    pixels = [{record["image"].tobytes() for record in map(part.__getitem__, range(len(part)))} for part in parts]
    assert len(parts[0]) + len(parts[1]) == SIZE
    assert len(pixels[0] | pixels[1]) == len({Digits()[i]["image"].tobytes() for i in range(SIZE)})
    assert abs(np.mean([parts[0][i]["label"] for i in range(500)]) - 4.5) < 0.5  # not the first classes alone


def test_a_subset_holds_out_the_whole_of_another_split() -> None:
    part = Portion(Digits(), stop=500)
    assert Images(source=part, batch=8).held_out(2).source == Digits("test")
    assert part.of_split("train") is part
    assert part.digest() != Portion(Digits(), stop=501).digest()
    with pytest.raises(ValueError, match="not a part"):
        len(Portion(Digits(), stop=SIZE + 1))

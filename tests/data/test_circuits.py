"""Circuits as graphs: side by side without mixing, padded without effect, features as the paper has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.circuits.cells import LinearCells
from stagejax.data.circuits.circuits import (
    AtRandom,
    Circuits,
    InOrder,
    Room,
    arc_tables,
    level_features,
    pin_features,
    routed,
    signal_of,
)
from stagejax.data.circuits.levels import levels_of
from stagejax.data.circuits.logic import Adder
from stagejax.data.circuits.static_timing import Process

DATA = Circuits(circuits=(Adder(3), Adder(5)), room=Room(200, 150, 150, 5))


def sample(data: Circuits, i: int = 0) -> dict[str, np.ndarray]:
    return {name: leaf[0] for name, leaf in data.take(np.array([i])).items()}


def test_circuits_stand_side_by_side() -> None:
    both, alone = sample(DATA), [sample(replace(DATA, circuits=(source,))) for source in DATA.circuits]
    first, second = (int((one["block"] == 0).sum()) for one in alone)
    assert both["block"].tolist() == [0] * first + [1] * second + [4] * (200 - first - second)
    for name in ("pins", "levels", "signal", "begins", "weights", "level", "ends"):
        np.testing.assert_array_equal(both[name][:first], alone[0][name][:first])
        np.testing.assert_array_equal(both[name][first : first + second], alone[1][name][:second])
    for name in ("nets", "arcs"):
        own = [edges[edges[:, 1] < 200] for edges in (one[name] for one in (*alone, both))]
        np.testing.assert_array_equal(own[2], np.concatenate([own[0], own[1] + first]))
    assert both["period"][:2].tolist() == [one["period"][0] for one in alone]


def test_padding_has_no_weight_and_joins_no_pin() -> None:
    one = sample(DATA)
    for name in ("nets", "arcs"):
        there = one[name][:, 1] < 200
        assert 0 < there.sum() < len(there)
        assert (one[name][~there] == 200).all()
        assert not one[f"{name[:-1]}_weights"][~there].any()
    assert not one["weights"][one["block"] == 4].any()
    assert not (one["weights"] * one["begins"]).any()  # what is known is not learned
    edges = np.concatenate([one["nets"], one["arcs"]])
    pins = int((one["block"] < 4).sum())
    np.testing.assert_array_equal(levels_of(pins, edges[edges[:, 1] < 200]), one["level"][:pins])


def test_features_are_those_of_the_paper() -> None:
    circuit, timing = routed(Adder(4), LinearCells(), Process(), 0)
    features = pin_features(circuit, timing)
    np.testing.assert_array_equal(features[:, 0], circuit.port)
    np.testing.assert_array_equal(features[:, 1], circuit.drives)
    assert features[:, 2:6].min() == 0
    assert features[:, 2:6].max() == 1
    np.testing.assert_allclose(features[:, 2] + features[:, 4], 1, rtol=1e-6)
    np.testing.assert_allclose(features[:, 6:], circuit.capacitance[:, None] * np.full(4, 100), rtol=1e-5)
    encoded = level_features(np.array([0, 50, 399]))
    np.testing.assert_allclose(encoded[1], [0.25, np.sin(np.pi / 4), 1, 0, 0, np.cos(np.pi / 4), 0, -1, 1], atol=1e-6)
    library = LinearCells().read()
    tables = arc_tables(library, (0.9, 1.1))
    assert tables.shape[1] * tables.shape[2] == 512
    np.testing.assert_allclose(tables[:, :, 1:8], np.repeat(library.slews[:, None], 8, 1))
    np.testing.assert_allclose(tables[:, 2, 15:], 1.1 * library.tables[:, 0].reshape(-1, 49), rtol=1e-6)
    np.testing.assert_allclose(tables[:, 5, 15:], 0.9 * library.tables[:, 3].reshape(-1, 49), rtol=1e-6)
    np.testing.assert_allclose(signal_of(np.ones((1, 4)), np.full((1, 4), 0.05))[0, 4:], np.log(0.0501) + 3, rtol=1e-6)


def test_a_pin_that_lacks_an_edge_is_not_learned_and_every_other_once() -> None:
    whole = sample(DATA)
    for partition in (InOrder(30, padding=2), AtRandom(30)):
        one = sample(replace(DATA, partition=partition, room=Room(600, 400, 400, 20)))
        into = np.bincount(np.concatenate([one[n][one[n][:, 1] < 600, 1] for n in ("nets", "arcs")]), minlength=600)
        learned = one["weights"] > 0
        assert (into[learned] > 0).all()
        if isinstance(partition, InOrder):
            assert 0.8 * whole["weights"].sum() <= learned.sum() <= whole["weights"].sum()
        else:
            assert learned.sum() < whole["weights"].sum()


def test_parts_are_dealt_out_to_the_samples_of_an_epoch() -> None:
    data = replace(DATA, partition=InOrder(30), batch=3, room=Room(400, 300, 300, 8))
    batch = data.take(np.arange(6))
    np.testing.assert_array_equal(batch["weights"][:3], batch["weights"][3:])
    together = replace(data, batch=1, room=Room(1200, 900, 900, 24))
    assert batch["weights"][:3].sum() == sample(together)["weights"].sum()
    assert {name: leaf.shape[1:] for name, leaf in batch.items()} == {
        name: leaf.shape for name, leaf in data.sample_spec().items()
    }


def test_another_routing_is_another_truth_of_the_same_circuit() -> None:
    one, other = sample(DATA), sample(replace(DATA, routing=1))
    np.testing.assert_array_equal(one["nets"], other["nets"])
    assert not np.array_equal(one["signal"], other["signal"])
    assert DATA.digest() == replace(DATA).digest() != replace(DATA, routing=1).digest()


def test_too_small_a_room_and_another_library_are_named() -> None:
    with pytest.raises(ValueError, match=r"they take Room\(pins="):
        replace(DATA, room=Room(20, 150, 150, 5)).take(np.arange(1))
    with pytest.raises(ValueError, match="set kinds to it, not to 9"):
        replace(DATA, kinds=9).take(np.arange(1))

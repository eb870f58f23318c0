"""Logic, cells and their mapping: BLIF is read as meant, tables are bilinear, a netlist computes what was asked."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stagejax.data.circuits.cells import Cells, LinearCells, Sky130, truth_table
from stagejax.data.circuits.logic import EPFL, Adder, Logic, parse_blif
from stagejax.data.circuits.netlists import FANOUT, Netlist, map_to_cells
from stagejax.data.named import MissingDataset

real = pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")


def settings_of(inputs: int, n: int = 200) -> np.ndarray:
    return np.random.default_rng(inputs).random((inputs, n)) < 0.5


def sinks(netlist: Netlist) -> np.ndarray:
    return np.bincount(np.r_[netlist.reads[netlist.reads >= 0], netlist.outputs])


def test_an_adder_adds() -> None:
    logic = Adder(4).read()
    values = settings_of(8)
    a, b = (sum(values[2 * i + k].astype(int) << i for i in range(4)) for k in (0, 1))
    np.testing.assert_array_equal(sum(out.astype(int) << i for i, out in enumerate(logic.simulate(values))), a + b)


def test_blif_rows_of_ones_and_zeros_are_read_and_constants_left_out() -> None:
    text = ".model m\n.inputs a b\n.outputs \\\n y z c\n.names a b y\n10 1\n"
    text += ".names y b z # or, by its zero\n00 0\n.names c\n1\n.end"
    logic = parse_blif(text)
    a, b = values = np.array([[0, 1, 0, 1], [0, 0, 1, 1]], bool)
    np.testing.assert_array_equal(logic.simulate(values), [a & ~b, (a & ~b) | b])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".inputs a b c\n.names a b c y\n111 1", "is nothing that is read here"),
        (".inputs a b\n.names a b y\n10 1\n11 1", "is nothing that is read here"),
        (".inputs a\n.outputs y\n.names a x y\n10 1", "nothing drives it"),
        (".inputs a\n.outputs y\n.names a x y\n10 1\n.names a x\n1 1", "topological order"),
    ],
)
def test_other_blif_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_blif(text)


def test_a_cone_is_a_part_of_the_logic() -> None:
    whole, part = Adder(5).read(), Adder(5).read().cone(12)
    assert len(part.tables) <= 12
    assert len(part.outputs) == 3  # sums 0 to 2
    values = settings_of(10)
    np.testing.assert_array_equal(part.simulate(values[: part.inputs]), whole.simulate(values)[:3])


def test_between_and_beyond_its_points_a_table_is_bilinear() -> None:
    source = LinearCells()
    library = source.read()
    kinds, rng = np.array([0, 3, 5], np.int32), np.random.default_rng(0)
    slew, load = rng.random(3), 0.2 * rng.random(3)  # loads up to three times the last point
    rise = source.start + source.per_load * load + source.per_slew * slew
    np.testing.assert_allclose(library.look_up(kinds, 0, slew, load), rise, rtol=1e-5)
    np.testing.assert_allclose(library.look_up(kinds, np.array([1, 1, 3]), slew, load), source.fall * rise, rtol=1e-5)


@real
def test_the_points_of_a_real_table_are_kept_and_senses_agree_with_functions() -> None:
    library = Sky130().read()
    kinds = np.arange(len(library.sense), dtype=np.int32)
    for i, j in ((0, 0), (2, 5), (6, 6)):
        found = library.look_up(kinds, 1, library.slews[:, i].astype(float), library.loads[:, j].astype(float))
        np.testing.assert_allclose(found, library.tables[:, 1, i, j], rtol=1e-4)
    for cell in library.cells:
        for pin, arc in cell.arcs:
            rows = [(row, row | 1 << pin) for row in range(2 ** len(cell.pins)) if not row >> pin & 1]
            steps = {(cell.table >> high & 1) - (cell.table >> low & 1) for low, high in rows}
            assert library.sense[arc] in steps, cell.name


def test_a_function_of_other_signs_is_refused() -> None:
    assert truth_table("(A&!B) | (!A&B)", ("A", "B")) == 0b0110
    with pytest.raises(ValueError, match="no function of A"):
        truth_table("A ^ B", ("A", "B"))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_netlist_computes_what_its_logic_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, gates = 4, 15
    fanin = np.array([rng.choice(inputs + i, 2, replace=i % 5 == 4) for i in range(gates)], np.int32)
    tables = rng.choice([1, 2, 4, 6, 7, 8, 9, 11, 13, 14], gates)
    same = fanin[:, 0] == fanin[:, 1]
    tables[same] = rng.choice([0b0111, 0b1000], same.sum())  # an inverter, a buffer
    logic = Logic(inputs, fanin, tables.astype(np.int32), rng.integers(0, inputs + gates, 5).astype(np.int32))
    values = np.array([[row >> i & 1 for row in range(16)] for i in range(4)], bool)
    library = LinearCells().read()
    try:
        netlist = map_to_cells(logic, library)
    except ValueError as error:
        assume("is constant" not in str(error))
        raise
    np.testing.assert_array_equal(netlist.simulate(library, values), logic.simulate(values))


def test_what_reads_a_signal_twice_is_that_signal_or_constant() -> None:
    library = LinearCells().read()
    fanin = np.array([[0, 0], [0, 1], [0, 1]], np.int32)  # not x; what reads x and not x
    logic = Logic(1, fanin, np.array([0b0111, 0b1101, 0b0010], np.int32), np.array([2, 3], np.int32))
    found = map_to_cells(logic, library).simulate(library, np.array([[False, True]]))
    np.testing.assert_array_equal(found, [[True, False], [False, True]])
    with pytest.raises(ValueError, match="signal 2 is constant"):
        map_to_cells(Logic(1, fanin[:2], np.array([0b0111, 0b0110], np.int32), np.array([2], np.int32)), library)


def test_what_drives_too_many_pins_is_buffered() -> None:
    fanin = np.array([[0, i] for i in range(1, 41)], np.int32)
    logic = Logic(41, fanin, np.full(40, 0b0111, np.int32), np.arange(41, 81, dtype=np.int32))
    library = LinearCells().read()
    netlist = map_to_cells(logic, library)
    assert sinks(netlist).max() <= FANOUT
    assert sum(library.cells[c].name == "buf_4" for c in netlist.cells) == 4
    values = settings_of(41)
    np.testing.assert_array_equal(netlist.simulate(library, values), logic.simulate(values))


@real
@pytest.mark.parametrize("source", [EPFL("ctrl"), EPFL("int2float"), EPFL("adder", 200)])
def test_real_logic_becomes_real_cells(source: EPFL) -> None:
    logic, library = source.read(), Sky130().read()
    netlist = map_to_cells(logic, library)
    values = settings_of(logic.inputs)
    np.testing.assert_array_equal(netlist.simulate(library, values), logic.simulate(values))
    assert sinks(netlist).max() <= FANOUT
    assert len({library.cells[c].name for c in netlist.cells}) >= 6
    assert len(netlist.cells) < len(logic.tables)  # several gates in a cell


def test_a_library_that_lacks_a_cell_is_named() -> None:
    logic, library = Adder(2).read(), LinearCells().read()
    few = Cells(library.cells[2:], library.slews, library.loads, library.tables, library.sense)
    with pytest.raises(ValueError, match="no inverter"):
        map_to_cells(logic, few)
    few = Cells(library.cells[:2], library.slews, library.loads, library.tables, library.sense)
    with pytest.raises(ValueError, match="no cell for a gate of the truth table 0110"):
        map_to_cells(logic, few)


def test_missing_files_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGEJAX_DATA", raising=False)
    with pytest.raises(MissingDataset, match=r"epfl_netlists/ctrl\.blif\.gz"):
        EPFL("ctrl").read()
    with pytest.raises(MissingDataset, match=r"cells_sky130/cells\.json\.gz"):
        Sky130().read()

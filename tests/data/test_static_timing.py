"""Static timing by hand: a chain, a reconvergent diamond, wires; levels, parts that keep the order, and schedules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.circuits.cells import LinearCells
from stagejax.data.circuits.levels import levels_of, parts_at_random, parts_in_order, schedule
from stagejax.data.circuits.netlists import Netlist
from stagejax.data.circuits.placement import congestion, place, trunk_trees
from stagejax.data.circuits.static_timing import Circuit, Process, Timing, analyse, circuit_of, slack, wires

SOURCE = LinearCells()
LIBRARY = SOURCE.read()
INV, BUF, NAND, _, XOR = range(5)
PLAIN = Process(corners=(1.0, 1.0), detour=0.0)


def netlist(inputs: int, cells: list[tuple[int, list[int]]], outputs: list[int]) -> Netlist:
    reads = np.array([own + [-1] * (4 - len(own)) for _, own in cells], np.int32).reshape(-1, 4)
    return Netlist(inputs, np.array([c for c, _ in cells], np.int32), reads, np.array(outputs, np.int32))


def timed(net: Netlist, process: Process = PLAIN, at: np.ndarray | None = None) -> tuple[Circuit, Timing]:
    circuit = circuit_of(net, LIBRARY, process.load)
    at = np.zeros((len(circuit.level), 2)) if at is None else at
    return circuit, analyse(circuit, LIBRARY, *wires(circuit, at, process, 0), at, process)


def through(slew: float, load: float) -> tuple[float, float]:
    """Delay and slew of a made-up cell whose output rises; it falls in `fall` times these."""
    rise = SOURCE.start + SOURCE.per_load * load + SOURCE.per_slew * slew
    return rise, rise


def test_a_chain_of_inverters_adds_up_and_swaps_rise_and_fall() -> None:
    circuit, timing = timed(netlist(1, [(INV, [0]), (INV, [1])], [2]))
    first, steep = through(PLAIN.slew, SOURCE.capacitance)
    # the second inverter's output rises after the first's has fallen
    rises = SOURCE.fall * first + through(SOURCE.fall * steep, PLAIN.load)[0]
    falls = first + SOURCE.fall * through(steep, PLAIN.load)[0]
    np.testing.assert_allclose(timing.arrival[-1], [rises, falls, rises, falls], rtol=1e-5)
    assert circuit.level.tolist() == [0, 2, 4, 1, 3, 5]
    assert timing.period == pytest.approx(1.05 * max(rises, falls), rel=1e-5)


def test_where_a_diamond_joins_early_takes_the_first_and_late_the_last() -> None:
    # one way of one inverter, one of three, into a NAND
    cells = [(INV, [0]), (INV, [0]), (INV, [2]), (INV, [3]), (NAND, [1, 4])]
    circuit, timing = timed(netlist(1, cells, [5]))
    ends = [np.flatnonzero(circuit.arcs[:, 1] == 5)[i] for i in (0, 1)]
    out = np.array([timing.arrival[circuit.arcs[a, 0]][[1, 0, 3, 2]] + timing.cell_delay[a] for a in ends])
    np.testing.assert_allclose(timing.arrival[5], [*out.min(0)[:2], *out.max(0)[2:]], rtol=1e-6)
    assert (timing.arrival[5, 2:] > timing.arrival[5, :2] + 0.04).all()
    assert circuit.level[5] == 8  # behind the longer way
    shorter, longer = (timing.slew[circuit.arcs[a, 0]] for a in ends)
    load = circuit.capacitance[circuit.nets[circuit.nets[:, 0] == 5, 1]].sum()
    steep = np.array([through(s, load)[1] for s in (shorter[1], longer[1])])
    np.testing.assert_allclose(timing.slew[5, [0, 2]], [steep.min(), steep.max()], rtol=1e-5)


def test_an_output_that_may_follow_or_oppose_its_input_takes_both_senses() -> None:
    _, timing = timed(netlist(2, [(INV, [0]), (XOR, [2, 1])], [3]))
    circuit = circuit_of(netlist(2, [(INV, [0]), (XOR, [2, 1])], [3]), LIBRARY)
    late = max(
        timing.arrival[source, 2 + (sense < 0)] + timing.cell_delay[arc, 2]
        for arc, ((source, target), sense) in enumerate(zip(circuit.arcs, LIBRARY.sense[circuit.kinds], strict=True))
        if target == 3
    )
    assert timing.arrival[3, 2] == pytest.approx(late, rel=1e-6)


def test_corners_scale_cells_and_wires() -> None:
    _, plain = timed(netlist(1, [(INV, [0])], [1]))
    _, corners = timed(netlist(1, [(INV, [0])], [1]), Process(corners=(0.9, 1.2)))
    np.testing.assert_allclose(corners.cell_delay[0] / plain.cell_delay[0], [0.9, 0.9, 1.2, 1.2], rtol=1e-5)


def test_a_wire_delays_and_flattens() -> None:
    at = np.array([[0.0, 0], [100, 50]])
    process = Process(corners=(1.0, 2.0), detour=0.0)
    _, timing = timed(netlist(1, [], [0]), process, at)
    r, c = process.resistance, process.capacitance
    slow = [
        f * r * (100 * (f * c * 100 / 2 + f * c * 50 + process.load) + 50 * (f * c * 25 + process.load)) for f in (1, 2)
    ]
    np.testing.assert_allclose(timing.net_delay[0], np.repeat(slow, 2), rtol=1e-6)
    flat = np.sqrt(process.slew**2 + (np.log(4) * np.array(slow)) ** 2)
    np.testing.assert_allclose(timing.slew[1], np.repeat(flat, 2), rtol=1e-6)


def test_a_trunk_tree_is_the_same_as_its_chain_of_small_pieces() -> None:
    """Elmore's sum over resistances of the capacitance behind each, with wires cut into small pieces."""
    r, c, cuts = 0.003, 0.0002, 4000
    x, y, pins = [30.0, -20.0, 80.0], [10.0, -5.0, 0.0], [0.002, 0.004, 0.003]
    made = trunk_trees(*(np.array([v]) for v in (x, y, pins, [True] * 3)), r, c)
    for i in range(3):
        side = [j for j in range(3) if np.sign(x[j]) == np.sign(x[i])]
        reach, delay = max(abs(x[j]) for j in side), 0.0
        step = abs(x[i]) / cuts
        along = (np.arange(cuts) + 0.5) * step
        behind = c * (reach - along) + sum((abs(x[j]) >= along) * (c * abs(y[j]) + pins[j]) for j in side)
        delay = (r * step * behind).sum() + r * abs(y[i]) * (c * abs(y[i]) / 2 + pins[i])
        assert made.delay[0, i] == pytest.approx(delay, rel=1e-3)
    assert made.load[0] == pytest.approx(c * (80 + 20 + 15) + sum(pins))
    padded = trunk_trees(*(np.array([[*v, 9.0]]) for v in (x, y, pins)), np.array([[True] * 3 + [False]]), r, c)
    np.testing.assert_allclose(padded.delay[0, :3], made.delay[0])
    assert padded.delay[0, 3] == 0
    assert padded.load[0] == pytest.approx(made.load[0])


def test_crowded_nets_take_detours() -> None:
    low = np.array([[0.0, 0.0]] * 5 + [[6.0, 6.0]])
    found = congestion(low, low + 1.5, 8.0)
    assert found[0] > 2 * found[5]
    net = netlist(1, [(INV, [0]), (INV, [1])], [2])
    at = np.random.default_rng(0).random((6, 2)) * 100
    direct, longer = (timed(net, Process(corners=(1.0, 1.0), detour=d), at)[1].net_delay for d in (0.0, 1.0))
    assert (longer >= direct).all()
    assert (longer > direct).any()


def test_a_placement_goes_from_left_to_right_and_stays_on_the_die() -> None:
    level, reads = np.repeat(np.arange(6), 10), np.full((60, 1), -1)
    reads[10:, 0] = np.arange(50)
    at = place(level, reads, np.ones(60), jitter=0.0, seed=0)
    assert (np.diff(at[::10, 0]) > 0).all()
    moved = place(level, reads, np.ones(60), jitter=0.3, seed=0)
    assert moved.min() >= 0
    assert moved.max() <= np.sqrt(60 / 0.7) + 1e-9
    assert np.corrcoef(at[10:, 1], at[:50, 1])[0, 1] > 0.9  # near what it reads


def test_slack_is_what_is_left_of_the_period() -> None:
    np.testing.assert_allclose(slack(np.array([[0.2, 0.3, 1.0, 2.0]]), 1.5, 0.05), [[0.15, 0.25, 0.5, -0.5]])


# --- order ---


@st.composite
def timed_graphs(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nets and arcs of a random netlist, and levels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs = draw(st.integers(1, 4))
    cells = [(NAND, rng.integers(0, inputs + i, 2).tolist()) for i in range(draw(st.integers(1, 25)))]
    circuit = circuit_of(netlist(inputs, cells, [inputs + len(cells) - 1]), LIBRARY)
    return circuit.nets, circuit.arcs, circuit.level


@given(timed_graphs(), st.integers(1, 30), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_parts_keep_the_order_and_hold_every_node_once(graph: Any, size: int, padding: int) -> None:
    nets, arcs, level = graph
    edges = np.concatenate([nets, arcs])
    assert (level[edges[:, 0]] < level[edges[:, 1]]).all()
    parts = parts_in_order(level, size, padding)
    owned = np.concatenate([part.nodes[part.own] for part in parts])
    assert sorted(owned.tolist()) == list(range(len(level)))
    place = np.empty(len(level), int)
    for i, part in enumerate(parts):
        place[part.nodes[part.own]] = i
        own, all_levels = level[part.nodes[part.own]], level[part.nodes]
        assert all_levels.min() >= own.min() - padding
        assert all_levels.max() <= own.max() + padding + 1
        if i < len(parts) - 1:
            assert part.own.sum() >= size
            assert own.max() < level[parts[i + 1].nodes[parts[i + 1].own]].min()
    assert (place[edges[:, 0]] <= place[edges[:, 1]]).all()  # every edge goes forward


@given(timed_graphs(), st.integers(1, 7), st.integers(2, 7))
@settings(max_examples=60, deadline=None)
def test_a_schedule_takes_every_edge_once_and_after_all_that_it_needs(graph: Any, wide: int, arcs_wide: int) -> None:
    nets, arcs, level = graph
    made = schedule(nets, arcs, level, (wide, arcs_wide))
    for table, edges in zip(made, (nets, arcs), strict=True):
        assert sorted(table[table >= 0].tolist()) == list(range(len(edges)))
    needs = np.bincount(np.concatenate([nets, arcs])[:, 1], minlength=len(level))
    for step in range(len(made.nets)):
        for table, edges in zip(made, (nets, arcs), strict=True):
            own = table[step][table[step] >= 0]
            assert (needs[edges[own, 0]] == 0).all()  # senders are done
            np.subtract.at(needs, edges[own, 1], 1)
            assert (needs[edges[own, 1]] == 0).all()  # receivers have all at once
    assert (needs == 0).all()


def test_random_parts_deal_out_whole_groups() -> None:
    group = np.repeat(np.arange(20), 3)
    parts = parts_at_random(group, 25, seed=1)
    assert len(parts) == 3
    assert sorted(np.concatenate([part.nodes for part in parts]).tolist()) == list(range(60))
    for part in parts:
        assert part.own.all()
        assert set(np.bincount(group[part.nodes])) <= {0, 3}


def test_circles_and_narrow_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        levels_of(3, np.array([[0, 1], [1, 2], [2, 1]]))
    nets, arcs = np.array([[0, 2], [1, 3]]), np.array([[2, 4], [3, 4]])
    with pytest.raises(ValueError, match="widen it"):
        schedule(nets, arcs, np.array([0, 0, 1, 1, 2], np.int32), (4, 1))

"""Static timing analysis: when signals arrive at the pins of a placed circuit, how steep, and with how much slack.

Four channels everywhere: (early, late) x (rise, fall). Early takes the first of several arrivals, late the last; each
has its own corner, a factor on all cell delays, resistances and capacitances of wires. Slews are from 20 % to 80 %.

Units: ns, pF, um. Letters: P pins, E nets (a driver and one of its sinks), A arcs, I inputs.
References: Sapatnekar 2004, Timing; Kashyap et al. 2002, PERI (the slew behind a wire).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32

from stagejax.data.circuits.cells import Cells
from stagejax.data.circuits.levels import levels_of
from stagejax.data.circuits.netlists import Netlist
from stagejax.data.circuits.placement import congestion, place, trunk_trees


@dataclass(frozen=True)
class Process:
    """Wires, corners and borders: how a placed circuit becomes a routed one."""

    resistance: float = 3e-3  # kOhm of a um of wire
    capacitance: float = 2e-4  # pF of a um
    corners: tuple[float, float] = (0.95, 1.05)  # early, late
    detour: float = 0.5  # of a net's lengths, times its congestion, times a uniform draw
    jitter: float = 0.04  # of the placement, in shares of the die's side
    slew: float = 0.05  # ns, at inputs
    load: float = 5e-3  # pF, of outputs
    period: float = 1.05  # of the clock, in the circuit's longest late arrival
    hold: float = 0.05  # ns: required of early arrivals


@dataclass(frozen=True, eq=False)
class Circuit:
    """Pins and what joins them. Signals' drivers come first, in the order of the signals; then sinks."""

    port: Bool[np.ndarray, " P"]  # an input or output of the circuit
    drives: Bool[np.ndarray, " P"]
    capacitance: Float32[np.ndarray, " P"]
    nets: Int32[np.ndarray, "E 2"]
    arcs: Int32[np.ndarray, "A 2"]
    kinds: Int32[np.ndarray, " A"]  # arcs of the library
    level: Int32[np.ndarray, " P"]  # drivers are at even ones, sinks at odd
    owner: Int32[np.ndarray, " P"]  # inputs first, then cells, then outputs: pins of a cell have one


@dataclass(frozen=True, eq=False)
class Timing:
    """What is true of a circuit once it is routed."""

    place: Float32[np.ndarray, "P 2"]
    arrival: Float32[np.ndarray, "P 4"]
    slew: Float32[np.ndarray, "P 4"]
    net_delay: Float32[np.ndarray, "E 4"]
    cell_delay: Float32[np.ndarray, "A 4"]
    period: float


def circuit_of(netlist: Netlist, library: Cells, load: float = 5e-3) -> Circuit:
    """The pins of a netlist; outputs have the capacitance `load`.

    Raises:
      ValueError: see `levels_of`.
    """
    signals = netlist.inputs + len(netlist.cells)
    cell, pin = np.nonzero(netlist.reads >= 0)
    pin_of = np.full(netlist.reads.shape, -1, np.int32)
    pin_of[cell, pin] = signals + np.arange(len(cell))
    pins, outputs = signals + len(cell) + len(netlist.outputs), len(netlist.outputs)
    nets = np.stack([np.r_[netlist.reads[cell, pin], netlist.outputs], np.arange(signals, pins)], 1)
    arcs = [
        (pin_of[i, p], netlist.inputs + i, kind)
        for i, c in enumerate(netlist.cells.tolist())
        for p, kind in library.cells[c].arcs
    ]
    made = np.array(arcs, np.int32).reshape(-1, 3)
    own = [library.cells[c].capacitance[p] for c, p in zip(netlist.cells[cell].tolist(), pin.tolist(), strict=True)]
    number = np.arange(pins)
    return Circuit(
        port=(number < netlist.inputs) | (number >= pins - outputs),
        drives=number < signals,
        capacitance=np.array([0.0] * signals + own + [load] * outputs, np.float32),
        nets=nets.astype(np.int32),
        arcs=made[:, :2],
        kinds=made[:, 2],
        level=levels_of(pins, np.concatenate([nets, made[:, :2]])),
        owner=np.r_[number[:signals], netlist.inputs + cell, signals + np.arange(outputs)].astype(np.int32),
    )


def placed(netlist: Netlist, library: Cells, circuit: Circuit, jitter: float, seed: int) -> Float[np.ndarray, "P 2"]:
    """Where the pins are: those of a cell together, inputs on the left, outputs on the right."""
    signals = netlist.inputs + len(netlist.cells)
    area = np.r_[
        np.zeros(netlist.inputs), [library.cells[c].area for c in netlist.cells], np.zeros(len(netlist.outputs))
    ]
    reads = np.full((len(area), netlist.reads.shape[1]), -1)
    reads[netlist.inputs : signals], reads[signals:, 0] = netlist.reads, netlist.outputs
    level = np.r_[circuit.level[:signals] // 2, np.full(len(netlist.outputs), circuit.level.max() // 2 + 1)]
    return place(level, reads, area, jitter=jitter, seed=seed)[circuit.owner]


def wires(
    circuit: Circuit, at: Float[np.ndarray, "P 2"], process: Process, seed: int
) -> tuple[Float[np.ndarray, "E 2"], Float[np.ndarray, "P 2"]]:
    """The delay of each net, and the load of each driver, at both corners.

    A net's lengths are those of its tree times `1 + detour congestion u`, u uniform in [0, 1].
    """
    drivers = int(circuit.drives.sum())
    order = np.argsort(circuit.nets[:, 0], kind="stable")
    counts = np.bincount(circuit.nets[:, 0], minlength=drivers)
    column = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((drivers, max(1, int(counts.max(initial=0)))), -1)
    table[circuit.nets[order, 0], column] = order
    there, sinks = table >= 0, circuit.nets[table, 1]
    points = np.concatenate([at[:drivers, None], np.where(there[..., None], at[sinks], at[:drivers, None])], 1)
    crowded = congestion(points.min(1), points.max(1), float(at.max()) + 1e-9)
    longer = 1 + process.detour * crowded * np.random.default_rng(seed).random(drivers)
    dx, dy = np.moveaxis((points[:, 1:] - points[:, :1]) * longer[:, None, None], -1, 0)
    delays, loads = np.zeros((len(order), 2)), np.zeros((len(at), 2))
    for corner, factor in enumerate(process.corners):
        r, c = factor * process.resistance, factor * process.capacitance
        tree = trunk_trees(dx, dy, circuit.capacitance[sinks].astype(float), there, r, c)
        delays[table[there], corner], loads[:drivers, corner] = tree.delay[there], tree.load
    return delays, loads


def analyse(
    circuit: Circuit,
    library: Cells,
    delays: Float[np.ndarray, "E 2"],
    loads: Float[np.ndarray, "P 2"],
    at: Float[np.ndarray, "P 2"],
    process: Process = Process(),
) -> Timing:
    """Propagate arrivals and slews level by level.

    A net adds its delay to the driver's arrival; behind it the slew is `sqrt(slew² + (ln 4 delay)²)`. An arc takes the
    transition of its input that its sense says, and adds the tables' delay at the input's slew and the output's load.

    Args:
      delays, loads: of `wires`, at both corners.
      at: where pins are; kept.
    """
    arrival, slew = np.zeros((len(at), 4)), np.full((len(at), 4), process.slew)
    cell_delay = np.zeros((len(circuit.arcs), 4))
    for depth in range(1, int(circuit.level.max(initial=0)) + 1):
        if depth % 2:
            here = np.flatnonzero(circuit.level[circuit.nets[:, 1]] == depth)
            driver, sink = circuit.nets[here].T
            delay = np.repeat(delays[here], 2, 1)
            arrival[sink] = arrival[driver] + delay
            slew[sink] = np.sqrt(slew[driver] ** 2 + (np.log(4) * delay) ** 2)
            continue
        here = np.flatnonzero(circuit.level[circuit.arcs[:, 1]] == depth)
        source, target = circuit.arcs[here].T
        kinds, rising = circuit.kinds[here], library.sense[circuit.kinds[here]] > 0
        for channel in range(4):
            corner, falls = divmod(channel, 2)
            before = np.where(rising, channel, 2 * corner + 1 - falls)
            into, load = slew[source, before], loads[target, corner]
            own = process.corners[corner] * library.look_up(kinds, falls, into, load)
            steep = process.corners[corner] * library.look_up(kinds, 2 + falls, into, load)
            cell_delay[here, channel] = own
            first, worst = (np.minimum, np.inf) if corner == 0 else (np.maximum, -np.inf)
            for values, found in ((arrival, arrival[source, before] + own), (slew, steep)):
                values[target, channel] = worst
                first.at(values[:, channel], target, found)
    ends = circuit.port & ~circuit.drives
    period = process.period * float(arrival[ends, 2:].max(initial=0.0))
    found = (at, arrival, slew, np.repeat(delays, 2, 1), cell_delay)
    return Timing(*(values.astype(np.float32) for values in found), period)


def slack(
    arrival: Float[np.ndarray, "*pins 4"], period: float | Float[np.ndarray, "*pins 1"], hold: float
) -> Float[np.ndarray, "*pins 4"]:
    """`arrival - hold` of early channels, `period - arrival` of late ones; ns.

    >>> slack(np.array([0.2, 0.3, 1.0, 2.0]), 1.5, 0.05).round(2).tolist()
    [0.15, 0.25, 0.5, -0.5]
    """
    return np.concatenate([arrival[..., :2] - hold, period - arrival[..., 2:]], -1)

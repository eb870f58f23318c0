"""Placed circuits as graphs for a network that predicts their timing after routing.

Logic is mapped to cells, placed, routed and analysed (`netlists`, `placement`, `static_timing`); the network sees pins
and offsets, not wires. A sample holds one or several circuits, or parts of them, side by side in one padded graph.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, Float32, Int64

from stagejax.data.circuits.cells import POINTS, Cells, CellSource, LinearCells
from stagejax.data.circuits.levels import Part, Schedule, parts_at_random, parts_in_order, schedule
from stagejax.data.circuits.logic import LogicSource
from stagejax.data.circuits.netlists import map_to_cells
from stagejax.data.circuits.static_timing import Circuit, Process, Timing, analyse, circuit_of, placed, wires
from stagejax.data.pipeline import Batch, Data

#: Features of a pin: port, driver, distances to four edges of the die, four capacitances; level, and its encoding.
FEATURES, LEVEL_FEATURES = 10, 9
#: Numbers of a table as a feature: 1 for its being there, its axes, its entries; eight tables of an arc.
TABLE_FEATURES, ARC_TABLES = 1 + 2 * POINTS + POINTS**2, 8
LOAD, LENGTH, PERIOD = 0.01, 50.0, 200.0  # pF, um and levels that are 1 as a feature


@runtime_checkable
class Partition(Protocol):
    """How a circuit is cut into parts to train on: a frozen dataclass."""

    def __call__(self, circuit: Circuit) -> list[Part]: ...


@dataclass(frozen=True)
class Whole:
    """A circuit as one part."""

    def __call__(self, circuit: Circuit) -> list[Part]:
        pins = np.arange(len(circuit.level))
        return [Part(pins, np.ones(len(pins), bool))]


@dataclass(frozen=True)
class InOrder:
    """`parts_in_order`, of circuits of more than `size` pins."""

    size: int
    padding: int = 4  # levels

    def __call__(self, circuit: Circuit) -> list[Part]:
        whole = len(circuit.level) <= self.size
        return Whole()(circuit) if whole else parts_in_order(circuit.level, self.size, self.padding)


@dataclass(frozen=True)
class AtRandom:
    """`parts_at_random`, of circuits of more than `size` pins; cells stay whole, so that only nets are cut."""

    size: int
    seed: int = 0

    def __call__(self, circuit: Circuit) -> list[Part]:
        return parts_at_random(circuit.owner, self.size, self.seed)


class Room(NamedTuple):
    """What the graph of one sample has room for. One pin and one block are kept for padding."""

    pins: int
    nets: int
    arcs: int
    blocks: int  # circuits or parts


def level_features(level: np.ndarray) -> Float32[np.ndarray, "P 9"]:
    """The level in units of 200, and `sin` and `cos` of `pi 2^k level / 200` for k = 0..3.

    >>> level_features(np.array([100]))[0, :2].tolist()
    [0.5, 1.0]
    """
    turns = np.pi * 2.0 ** np.arange(4) * level[:, None] / PERIOD
    return np.concatenate([level[:, None] / PERIOD, np.sin(turns), np.cos(turns)], 1).astype(np.float32)


def pin_features(circuit: Circuit, timing: Timing) -> Float32[np.ndarray, "P 10"]:
    """Port, driver, distances to the edges of the die (from 0 to 1 in a circuit), capacitances in 0.01 pF."""
    at = timing.place
    share = (at - at.min(0)) / np.maximum(at.max(0) - at.min(0), 1e-8)
    capacitance = np.repeat(circuit.capacitance[:, None] / LOAD, 4, 1)
    parts = (circuit.port[:, None], circuit.drives[:, None], share, 1 - share, capacitance)
    return np.concatenate(parts, 1).astype(np.float32)


def arc_tables(cells: Cells, corners: tuple[float, float]) -> Float32[np.ndarray, "K 8 64"]:
    """The tables of every arc of a library as features: delays of the four channels, then their slews.

    Each is 1, its 7 slews (ns), its 7 loads (0.1 pF), and its 49 entries (ns) at the corner.
    """
    kinds = len(cells.sense)
    axes = np.concatenate([np.ones((kinds, 1)), cells.slews, cells.loads / (10 * LOAD)], 1)
    flat = cells.tables.reshape(kinds, 4, -1)
    tables = np.concatenate([factor * flat[:, pair] for pair in ([0, 1], [2, 3]) for factor in corners], 1)
    return np.concatenate([np.repeat(axes[:, None], ARC_TABLES, 1), tables], -1).astype(np.float32)


def signal_of(arrival: Float[np.ndarray, "P 4"], slew: Float[np.ndarray, "P 4"]) -> Float32[np.ndarray, "P 8"]:
    """What travels along the edges: arrivals in ns, and `log(1e-4 + slew) + 3`."""
    return np.concatenate([arrival, np.log(1e-4 + slew) + 3], 1).astype(np.float32)


@functools.lru_cache(maxsize=64)
def routed(source: LogicSource, cells: CellSource, process: Process, seed: int) -> tuple[Circuit, Timing]:
    """A circuit, and what is true of it after routing."""
    library = cells.read()
    netlist = map_to_cells(source.read(), library)
    circuit = circuit_of(netlist, library, process.load)
    at = placed(netlist, library, circuit, process.jitter, seed)
    return circuit, analyse(circuit, library, *wires(circuit, at, process, seed), at, process)


@dataclass(frozen=True, kw_only=True)
class Circuits(Data):
    """Parts of routed circuits; sample i of an epoch has every `batch`-th part.

    Fields of a sample, for P pins, E nets, A arcs, B blocks and K arcs of the library: `pins` (P, 10), `levels`
    (P, 9), `signal` (P, 8) the truth, `begins` (P) where it is known, `weights` (P) of the loss, `level`, `block`
    (P); `nets` (E, 2), `offset` (E, 2) in 50 um, `net_delay` (E, 4) as `log(1e-4 + ns) + 7.6`, `net_weights` (E);
    `arcs` (A, 2), `kinds` (A), `cell_delay` (A, 4) in ns, `arc_weights` (A); `ends` (P), `period` (B); `tables`
    (K, 8, 64), `sense` (K). The loss looks at a part's own pins that are no inputs of the circuit and have every edge
    that leads to them. Padding joins pin number P, which is not there: what a program gathers for it is the last pin's,
    which is padding too, and what it sums there is dropped.

    Args:
      circuits: logic, each mapped to the cells of `cells`.
      kinds: how many arcs that library has.
      process: of routing.
      room: of a sample.
      partition: into parts.
      routing: seed of placement and routing.
      batch: graphs that the parts are dealt out to; an epoch has one batch.

    Raises:
      ValueError: when it is read, `room` is too small, or `kinds` is not the library's; the error says what it takes.

    >>> from stagejax.data.circuits.logic import Adder
    >>> data = Circuits(circuits=(Adder(3),), room=Room(64, 48, 48, 2))
    >>> batch = data.take(np.arange(1))
    >>> batch["pins"].shape, int(batch["ends"].sum())
    ((1, 64, 10), 4)
    """

    circuits: tuple[LogicSource, ...]
    room: Room
    cells: CellSource = field(default_factory=LinearCells)
    kinds: int = 10
    process: Process = field(default_factory=Process)
    partition: Partition = Whole()
    routing: int = 0
    batch: int = 1
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        f, i = np.float32, np.int32
        p, e, a, b = self.room
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            "pins": ((p, FEATURES), f), "levels": ((p, LEVEL_FEATURES), f), "signal": ((p, 8), f), "begins": ((p,), f),
            "weights": ((p,), f), "level": ((p,), i), "block": ((p,), i), "ends": ((p,), f), "period": ((b,), f),
            "nets": ((e, 2), i), "offset": ((e, 2), f), "net_delay": ((e, 4), f), "net_weights": ((e,), f),
            "arcs": ((a, 2), i), "kinds": ((a,), i), "cell_delay": ((a, 4), f), "arc_weights": ((a,), f),
            "tables": ((self.kinds, ARC_TABLES, TABLE_FEATURES), f), "sense": ((self.kinds,), f),
        }  # fmt: skip
        return {name: jax.ShapeDtypeStruct(*own) for name, own in shapes.items()}

    def size(self) -> int:
        return self.batch

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        samples = _samples(self)
        return {name: np.stack([samples[n % self.batch][name] for n in numbers]) for name in samples[0]}

    def schedule(self, widths: tuple[int, int], sample: int = 0) -> Schedule:
        """In which order the edges of a sample's graph are taken."""
        own, pins = _samples(self)[sample], self.room.pins
        nets, arcs = (own[name][own[name][:, 1] < pins] for name in ("nets", "arcs"))
        return schedule(nets, arcs, own["level"], widths)

    def digest(self) -> str:
        parts = [own[name].tobytes() for own in _samples(self) for name in sorted(own)]
        return hashlib.sha256(b"".join(parts)).hexdigest()


@functools.lru_cache(maxsize=16)
def _samples(data: Circuits) -> list[dict[str, np.ndarray]]:
    """All samples of an epoch."""
    library = data.cells.read()
    if len(library.sense) != data.kinds:
        raise ValueError(f"{data.cells} has {len(library.sense)} arcs: set kinds to it, not to {data.kinds}")
    pieces = []
    for source in data.circuits:
        circuit, timing = routed(source, data.cells, data.process, data.routing)
        features = pin_features(circuit, timing)
        pieces += [_piece(circuit, timing, features, part) for part in data.partition(circuit)]
    shared = {"tables": arc_tables(library, data.process.corners), "sense": library.sense.astype(np.float32)}
    return [_joined(pieces[i :: data.batch], data) | shared for i in range(data.batch)]


def _piece(circuit: Circuit, timing: Timing, features: np.ndarray, part: Part) -> dict[str, np.ndarray]:
    """The fields of one part, without padding."""
    number = np.full(len(circuit.level), -1, np.int32)
    number[part.nodes] = np.arange(len(part.nodes))
    own = np.zeros(len(number), bool)
    own[part.nodes] = part.own
    begins, there = circuit.drives & circuit.port, [(number[e] >= 0).all(1) for e in (circuit.nets, circuit.arcs)]
    for edges, kept in zip((circuit.nets, circuit.arcs), there, strict=True):
        own[edges[~kept, 1]] = False
    nets, arcs = (edges[kept] for edges, kept in zip((circuit.nets, circuit.arcs), there, strict=True))
    offset = (timing.place[circuit.nets[:, 1]] - timing.place[circuit.nets[:, 0]]) / LENGTH
    signal, delay = signal_of(timing.arrival, timing.slew), np.log(1e-4 + timing.net_delay) + 7.6
    pins = {
        "pins": features, "levels": level_features(circuit.level), "signal": signal, "begins": begins,
        "weights": own & ~begins, "level": circuit.level, "ends": circuit.port & ~circuit.drives,
    }  # fmt: skip
    return {name: leaf[part.nodes] for name, leaf in pins.items()} | {
        "nets": number[nets], "offset": offset[there[0]], "net_delay": delay[there[0]],
        "net_weights": own[nets[:, 1]], "arcs": number[arcs], "kinds": circuit.kinds[there[1]],
        "cell_delay": timing.cell_delay[there[1]], "arc_weights": own[arcs[:, 1]],
        "period": np.array([timing.period]),
    }  # fmt: skip


def _joined(pieces: list[dict[str, np.ndarray]], data: Circuits) -> dict[str, np.ndarray]:
    """Pieces side by side, padded to the room."""
    counts = [sum(len(piece[name]) for piece in pieces) for name in ("pins", "nets", "arcs", "period")]
    counts[0], counts[3] = counts[0] + 1, counts[3] + 1
    if any(needed > has for needed, has in zip(counts, data.room, strict=True)):
        raise ValueError(f"{data.room} is too small for a sample of these circuits: they take {Room(*counts)}")
    pins, _, _, blocks = data.room
    spec = data.sample_spec()
    made = {name: np.zeros(s.shape, s.dtype) for name, s in spec.items() if name not in ("tables", "sense")}
    made["nets"][:], made["arcs"][:], made["block"][:] = pins, pins, blocks - 1
    at = {"pins": 0, "nets": 0, "arcs": 0, "blocks": 0}
    groups = {
        "pins": ("pins", "levels", "signal", "begins", "weights", "level", "ends"),
        "nets": ("nets", "offset", "net_delay", "net_weights"),
        "arcs": ("arcs", "kinds", "cell_delay", "arc_weights"),
        "blocks": ("period",),
    }
    for piece in pieces:
        first = at["pins"]
        made["block"][first : first + len(piece["pins"])] = at["blocks"]
        for group, names in groups.items():
            count = len(piece[names[0]])
            for name in names:
                shift = first if name in ("nets", "arcs") else 0
                made[name][at[group] : at[group] + count] = piece[name] + shift
            at[group] += count
    return made

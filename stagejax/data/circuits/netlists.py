"""Technology mapping: logic as a netlist of cells that computes the same, of small area.

Every gate's cuts (sets of at most four signals that it is a function of) are matched with cells by their truth tables;
the cheapest cover by area flow is taken, cells are sized by how many pins they drive, and signals that drive too many
are buffered.

Reference: Mishchenko et al. 2007, Combinational and Sequential Mapping with Priority Cuts.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32

from stagejax.data.circuits.cells import Cells
from stagejax.data.circuits.logic import Logic

#: Most inputs of a cut and of a cell.
MOST_PINS = 4
#: Cuts that are kept of a signal, beside itself.
CUTS = 6
#: Most pins that a signal drives.
FANOUT = 12

Cut = tuple[tuple[int, ...], int]  # the signals, and the function's truth table over them
Literal = tuple[int, int]  # a signal, and 1 where it is negated


@dataclass(frozen=True, eq=False)
class Netlist:
    """Cells and what they read. Signals are numbered: the I inputs, then the cells' outputs in topological order.

    Letters: I inputs, C cells, O outputs.
    """

    inputs: int
    cells: Int32[np.ndarray, " C"]  # numbers in the library
    reads: Int32[np.ndarray, "C 4"]  # the signal at each pin; -1 where the cell has none
    outputs: Int32[np.ndarray, " O"]  # signals

    def simulate(self, library: Cells, values: Bool[np.ndarray, "I n"]) -> Bool[np.ndarray, "O n"]:
        """What the outputs are for n settings of the inputs."""
        signals = [*values]
        for cell, reads in zip(self.cells.tolist(), self.reads.tolist(), strict=True):
            table = np.array([library.cells[cell].table >> i & 1 for i in range(2**MOST_PINS)], bool)
            which = sum(signals[read].astype(np.int32) << i for i, read in enumerate(reads) if read >= 0)
            signals.append(table[which])
        return np.stack([signals[o] for o in self.outputs])


def map_to_cells(logic: Logic, library: Cells) -> Netlist:
    """The netlist of some logic.

    Raises:
      ValueError: the library has no inverter or buffer, or no cell for one of the gates; or a gate that reads one
        signal twice, itself or negated, is constant.
    """
    gates, literals = _without_copies(logic)
    cover = _cover(gates, logic.inputs, library)
    signals, instances = _chosen(cover, [literals[o] for o in logic.outputs.tolist()], library)
    outputs = [signals[literals[o]] for o in logic.outputs.tolist()]
    return _sized(logic.inputs, *_buffered(instances, outputs, library), library)


def _without_copies(logic: Logic) -> tuple[dict[int, tuple[int, int, int]], list[Literal]]:
    """The gates of two inputs, (a, b, table) by signal, and every signal as one of theirs, perhaps negated."""
    literals: list[Literal] = [(i, 0) for i in range(logic.inputs)]
    gates: dict[int, tuple[int, int, int]] = {}
    for reads, table in zip(logic.fanin.tolist(), logic.tables.tolist(), strict=True):
        (a, swap_a), (b, swap_b) = (literals[read] for read in reads)
        turned = sum((table >> (k ^ swap_a ^ 2 * swap_b) & 1) << k for k in range(4))
        if a != b:
            gates[len(literals)] = (a, b, turned)
            literals.append((len(literals), 0))
        elif (turned & 1) == turned >> 3:
            raise ValueError(f"the signal {len(literals)} is constant: no cell makes it")
        else:
            literals.append((a, turned & 1))
    return gates, literals


@functools.lru_cache(maxsize=1 << 16)
def _expanded(table: int, places: tuple[int, ...], pins: int) -> int:
    """A truth table over more inputs, of which its own are those at `places`."""
    return sum(
        (table >> sum((which >> place & 1) << i for i, place in enumerate(places)) & 1) << which
        for which in range(2**pins)
    )


def _merged(gate: tuple[int, int, int], one: list[Cut], other: list[Cut]) -> Iterator[Cut]:
    """The cuts of a gate from those of what it reads."""
    seen = set[tuple[int, ...]]()
    for (x, f), (y, g) in itertools.product(one, other):
        leaves = tuple(sorted({*x, *y}))
        if len(leaves) > MOST_PINS or leaves in seen:
            continue
        seen.add(leaves)
        ones = (1 << 2 ** len(leaves)) - 1
        f, g = (_expanded(t, tuple(map(leaves.index, own)), len(leaves)) for own, t in ((x, f), (y, g)))
        rows = ((~f & ~g), (f & ~g), (~f & g), (f & g))
        yield leaves, sum(((gate[2] >> k & 1) * row) & ones for k, row in enumerate(rows))  # rows are disjoint


@functools.lru_cache(maxsize=8)
def _matches(library: Cells) -> dict[tuple[int, int], list[tuple[int, tuple[int, ...], int]]]:
    """By number of inputs and truth table: which cells compute it, (cell, the input at each pin, negated pins as bits).

    Of several cells for the same, the smallest; of the orders of inputs, the first.
    """
    found: dict[tuple[int, int], dict[int, tuple[int, tuple[int, ...], int]]] = {}
    for number in sorted(range(len(library.cells)), key=lambda i: library.cells[i].area):
        cell = library.cells[number]
        pins = len(cell.pins)
        if not 2 <= pins <= MOST_PINS:
            continue
        for order, mask in itertools.product(itertools.permutations(range(pins)), range(2**pins)):
            table = sum(
                (cell.table >> (sum((which >> order[i] & 1) << i for i in range(pins)) ^ mask) & 1) << which
                for which in range(2**pins)
            )
            leaves = sum(1 << order[i] for i in range(pins) if mask >> i & 1)  # negated, by input
            found.setdefault((pins, table), {}).setdefault(leaves, (number, order, mask))
    return {key: list(own.values()) for key, own in found.items()}


def _cover(gates: dict[int, tuple[int, int, int]], inputs: int, library: Cells) -> dict[Literal, tuple[float, object]]:
    """For each signal, as it is and negated: its area flow, and how it is made: (cell, literals at its pins)."""
    used: dict[int, int] = {}
    for a, b, _ in gates.values():
        used[a], used[b] = used.get(a, 0) + 1, used.get(b, 0) + 1
    inverter, matches = _smallest(library, 0b01), _matches(library)
    area = library.cells[inverter].area
    best: dict[Literal, tuple[float, object]] = {}
    cuts: dict[int, list[Cut]] = {}
    for signal in range(inputs):
        best[signal, 0], best[signal, 1] = (0.0, None), (area, (inverter, ((signal, 0),)))
        cuts[signal] = [((signal,), 0b10)]
    for signal, gate in gates.items():
        own: dict[int, tuple[float, object]] = {}
        ranked: list[tuple[float, Cut]] = []
        for leaves, table in _merged(gate, cuts[gate[0]], cuts[gate[1]]):
            ones, costs = (1 << 2 ** len(leaves)) - 1, []
            for negated in (0, 1):
                for cell, order, mask in matches.get((len(leaves), table ^ (ones * negated)), ()):
                    reads = tuple((leaves[order[i]], mask >> i & 1) for i in range(len(order)))
                    flow = library.cells[cell].area + sum(best[r][0] / max(used.get(r[0], 1), 1) for r in reads)
                    costs.append(flow)
                    if negated not in own or flow < own[negated][0]:
                        own[negated] = (flow, (cell, reads))
            ranked.append((min(costs, default=np.inf), (leaves, table)))
        if not own:
            raise ValueError(f"the library has no cell for a gate of the truth table {gate[2]:04b}")
        for negated in (0, 1):
            other = own.get(1 - negated)
            if other and (negated not in own or other[0] + area < own[negated][0]):
                own[negated] = (other[0] + area, (inverter, ((signal, 1 - negated),)))
            best[signal, negated] = own[negated]
        kept = [cut for _, cut in sorted(ranked, key=lambda pair: pair[0])[:CUTS]]
        cuts[signal] = [((signal,), 0b10), *kept]
    return best


def _smallest(library: Cells, table: int) -> int:
    """The smallest cell of one input with a truth table."""
    own = [i for i, cell in enumerate(library.cells) if len(cell.pins) == 1 and cell.table == table]
    if not own:
        raise ValueError(f"the library has no {'inverter' if table == 1 else 'buffer'}")
    return min(own, key=lambda i: library.cells[i].area)


Instances = list[tuple[int, list[int]]]  # (cell, signals); the output of number k is signal -(k + 1)


def _chosen(
    cover: dict[Literal, tuple[float, object]], wanted: list[Literal], library: Cells
) -> tuple[dict[Literal, int], Instances]:
    """The cells from which the wanted literals come, in topological order, and the signal of every literal."""
    signals: dict[Literal, int] = {}
    made: Instances = []
    todo = wanted[::-1]
    while todo:
        literal = todo[-1]
        how = cover[literal][1]
        if literal in signals:
            todo.pop()
        elif how is None:
            signals[literal] = todo.pop()[0]
        else:
            cell, reads = how  # type: ignore[misc]
            missing = [read for read in reads if read not in signals]
            todo += missing
            if not missing:
                made.append((cell, [signals[read] for read in reads]))
                signals[todo.pop()] = -len(made)
    return signals, made


def _buffered(made: Instances, outputs: list[int], library: Cells) -> tuple[Instances, list[int]]:
    """The same with buffers, so that no signal drives more than FANOUT pins."""
    buffer, made, outputs = _smallest(library, 0b10), [(cell, [*reads]) for cell, reads in made], [*outputs]
    sinks: dict[int, list[tuple[list[int], int]]] = {}
    for reads in [*(own for _, own in made), outputs]:
        for pin, signal in enumerate(reads):
            sinks.setdefault(signal, []).append((reads, pin))
    for signal, own in list(sinks.items()):
        while len(own) > FANOUT:
            groups = [own[i : i + FANOUT] for i in range(0, len(own), FANOUT)]
            own = []
            for group in groups:
                made.append((buffer, [signal]))
                for reads, pin in group:
                    reads[pin] = -len(made)
                own.append((made[-1][1], 0))
    return made, outputs


def _sized(inputs: int, made: Instances, outputs: list[int], library: Cells) -> Netlist:
    """Numbered in topological order, each cell of the strength that suits what it drives."""
    drives = np.bincount(
        [-s - 1 for s in [*outputs, *(s for _, own in made for s in own)] if s < 0], minlength=len(made)
    )
    number: dict[int, int] = {i: i for i in range(inputs)}
    cells: list[int] = []
    rows: list[list[int]] = []
    todo = list(range(len(made)))[::-1]
    while todo:
        cell, reads = made[todo[-1]]
        missing = [-s - 1 for s in reads if s not in number]
        todo += missing
        if not missing:
            at = todo.pop()
            if -at - 1 not in number:
                number[-at - 1] = inputs + len(cells)
                cells.append(_strength(library, cell, int(drives[at])))
                rows.append([number[s] for s in reads] + [-1] * (MOST_PINS - len(reads)))
    outs = np.array([number[s] for s in outputs], np.int32)
    return Netlist(inputs, np.array(cells, np.int32), np.array(rows, np.int32).reshape(-1, MOST_PINS), outs)


@functools.lru_cache(maxsize=4096)
def _strength(library: Cells, cell: int, drives: int) -> int:
    """The cell of the same function that is the next stronger for each doubling of the pins above two."""
    own = library.cells[cell]
    alike = [i for i, c in enumerate(library.cells) if (len(c.pins), c.table) == (len(own.pins), own.table)]
    alike.sort(key=lambda i: library.cells[i].area)
    return alike[min(len(alike) - 1, max(0, int(np.ceil(np.log2(max(drives, 1)))) - 1))]

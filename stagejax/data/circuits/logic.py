"""Combinational logic: networks of two-input gates, read from BLIF, and the truth tables by which one speaks of them.

A truth table of n inputs is an integer of 2^n bits: bit `sum of x_i 2^i` is the output where input i is x_i.
"""

from __future__ import annotations

import functools
import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int32

from stagejax.data.named import MissingDataset


@dataclass(frozen=True, eq=False)
class Logic:
    """A network of gates. Signals are numbered: first the I inputs, then the gates in topological order.

    Letters: I inputs, G gates, O outputs.
    """

    inputs: int
    fanin: Int32[np.ndarray, "G 2"]  # signals; twice the same for a gate of one input
    tables: Int32[np.ndarray, " G"]  # truth tables of two inputs
    outputs: Int32[np.ndarray, " O"]  # signals

    def simulate(self, values: Bool[np.ndarray, "I n"]) -> Bool[np.ndarray, "O n"]:
        """What the outputs are for n settings of the inputs."""
        signals = [*values]
        for (a, b), table in zip(self.fanin.tolist(), self.tables.tolist(), strict=True):
            which = signals[a] + 2 * signals[b].astype(np.int32)
            signals.append((table >> which & 1).astype(bool))
        return np.stack([signals[o] for o in self.outputs])

    def cone(self, gates: int) -> Logic:
        """The logic of the first outputs whose cones have, together, at most `gates` gates; the first output's always.

        An output that is an input is left out, and so is one that another has named before.
        """
        kept: set[int] = set()
        outputs: list[int] = []
        for output in dict.fromkeys(self.outputs.tolist()):
            own, todo = set[int](), [output]
            while todo and (not outputs or len(kept) + len(own) <= gates):
                signal = todo.pop()
                if signal >= self.inputs and signal not in kept and signal not in own:
                    own.add(signal)
                    todo += self.fanin[signal - self.inputs].tolist()
            if output < self.inputs or (outputs and len(kept) + len(own) > gates):
                continue
            kept |= own
            outputs.append(output)
        order = sorted(kept)
        read = sorted({s for gate in order for s in self.fanin[gate - self.inputs].tolist() if s < self.inputs})
        number = {signal: i for i, signal in enumerate([*read, *order])}
        fanin = [[number[s] for s in self.fanin[gate - self.inputs].tolist()] for gate in order]
        tables = self.tables[np.array(order, np.int64) - self.inputs]
        outs = np.array([number[o] for o in outputs], np.int32)
        return Logic(len(read), np.array(fanin, np.int32).reshape(-1, 2), tables, outs)


@runtime_checkable
class LogicSource(Protocol):
    """The declaration of logic: a frozen dataclass."""

    @property
    def name(self) -> str: ...

    def read(self) -> Logic:
        """The logic, read or made once in a process."""
        ...


@dataclass(frozen=True)
class EPFL:
    """A circuit of the EPFL combinational benchmarks in `$STAGEJAX_DATA/epfl_netlists/NAME.blif.gz`.

    Args:
      name: such as "adder", "ctrl" or "sqrt".
      gates: read only the first outputs' cones, of at most so many gates together; None: all of it.

    Reference: Amarú et al. 2015, The EPFL Combinational Benchmark Suite.

    >>> EPFL("ctrl")
    EPFL(name='ctrl', gates=None)
    """

    name: str
    gates: int | None = None

    def read(self) -> Logic:
        """Read the file.

        Raises:
          MissingDataset: it is not there.
        """
        return _read_epfl(self, os.environ.get("STAGEJAX_DATA", ""))


@functools.lru_cache(maxsize=64)
def _read_epfl(source: EPFL, root: str) -> Logic:
    path = Path(root, "epfl_netlists", f"{source.name}.blif.gz")
    if not root or not path.is_file():
        raise MissingDataset(
            f"{source} is looked for in $STAGEJAX_DATA/epfl_netlists/{source.name}.blif.gz, which is not there"
        )
    logic = parse_blif(gzip.decompress(path.read_bytes()).decode())
    return logic if source.gates is None else logic.cone(source.gates)


@dataclass(frozen=True)
class Adder:
    """A made-up ripple-carry adder of two numbers: shallow first sums, a deep last one.

    >>> logic = Adder(2).read()
    >>> logic.inputs, len(logic.tables), len(logic.outputs)
    (4, 7, 3)
    """

    bits: int = 4
    name: str = "ripple"

    def read(self) -> Logic:
        """Make it: XOR, AND, and OR gates; the carry of bit i is `a b + (a ^ b) carry`."""
        gates: list[tuple[int, int, int]] = []
        outputs: list[int] = []

        def gate(a: int, b: int, table: int) -> int:
            gates.append((a, b, table))
            return 2 * self.bits + len(gates) - 1

        carry = None
        for i in range(self.bits):
            a, b = 2 * i, 2 * i + 1
            half, both = gate(a, b, 0b0110), gate(a, b, 0b1000)
            if carry is None:
                outputs, carry = [half], both
            else:
                outputs.append(gate(half, carry, 0b0110))
                carry = gate(gate(half, carry, 0b1000), both, 0b1110)
        made = np.array(gates, np.int32)
        return Logic(2 * self.bits, made[:, :2], made[:, 2], np.array([*outputs, carry], np.int32))


def parse_blif(text: str) -> Logic:
    """The logic of a BLIF file whose `.names` have one or two inputs and one row, as those of the EPFL benchmarks have.

    Outputs that are constant, `.names` without inputs, are left out: no signal arrives there.

    Reference: Berkeley Logic Interchange Format, 1992.

    Raises:
      ValueError: it has something else; the error shows the line.

    >>> parse_blif(".model m\\n.inputs a b\\n.outputs y\\n.names a b y\\n10 1\\n.end").tables.tolist()
    [2]
    """
    inputs: list[str] = []
    outputs: list[str] = []
    gates: list[tuple[list[str], str, int]] = []
    constants: set[str] = set()
    head: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == ".inputs":
            inputs += words[1:]
        elif words[0] == ".outputs":
            outputs += words[1:]
        elif words[0] == ".names":
            head = words[1:]
            constants |= set(head) if len(head) == 1 else set()
        elif (len(head) == 1 and words in (["0"], ["1"])) or words[0] in (".model", ".end"):
            head = []
        elif len(words) == 2 and head and len(words[0]) == len(head) - 1 and len(head) in (2, 3):
            gates.append((head[:-1], head[-1], _table(*words)))
            head = []
        else:
            raise ValueError(f"{line!r} is nothing that is read here: .names of one or two inputs, with a single row")
    numbers = {name: i for i, name in enumerate([*inputs, *(name for _, name, _ in gates)])}
    try:
        fanin = [[numbers[own[0]], numbers[own[-1]]] for own, _, _ in gates]
        outs = [numbers[name] for name in outputs if name not in constants]
    except KeyError as error:
        raise ValueError(f"the signal {error} is read, but nothing drives it") from error
    made = np.array(fanin, np.int32).reshape(-1, 2)
    if (made >= len(inputs) + np.arange(len(made))[:, None]).any():
        raise ValueError("a gate stands before one that it reads: gates are to be in topological order")
    return Logic(len(inputs), made, np.array([t for _, _, t in gates], np.int32), np.array(outs, np.int32))


def _table(pattern: str, output: str) -> int:
    """The truth table, of two inputs, of one row such as `10 1`."""
    pattern = pattern if len(pattern) == 2 else pattern * 2
    table = 0
    for which in range(4):
        said = all(p in ("-", str(which >> i & 1)) for i, p in enumerate(pattern))
        table |= (said == (output == "1")) << which
    return table

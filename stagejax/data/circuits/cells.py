"""Standard cells with tables of delay and slew (NLDM): real ones, and made-up ones whose tables are linear.

Units: ns, pF, kOhm and um. A table is of one transition of the output: rows are slews of the input, columns are loads.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int32

from stagejax.data.named import MissingDataset

#: Slews and loads of a table.
POINTS = 7
#: What the four tables of an arc are of.
TABLES = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")


class Cell(NamedTuple):
    """A gate of one output."""

    name: str
    area: float  # um2
    pins: tuple[str, ...]  # inputs
    table: int  # truth table over the pins, see `logic`
    capacitance: tuple[float, ...]  # of each pin, pF
    arcs: tuple[tuple[int, int], ...]  # (pin, number of the arc in the library)


@dataclass(frozen=True, eq=False)
class Cells:
    """A library. Letters: K arcs, S slews and C loads of a table (7 each)."""

    cells: tuple[Cell, ...]
    slews: Float32[np.ndarray, "K S"]  # ns
    loads: Float32[np.ndarray, "K C"]  # pF
    tables: Float32[np.ndarray, "K 4 S C"]  # ns; TABLES
    sense: Int32[np.ndarray, " K"]  # 1: the output rises when the input rises; -1: when it falls

    def look_up(
        self,
        kinds: Int32[np.ndarray, " n"],
        which: int | np.ndarray,
        slew: Float[np.ndarray, " n"],
        load: Float[np.ndarray, " n"],
    ) -> Float[np.ndarray, " n"]:
        """Entries of tables between and beyond their points: bilinear in slew and load.

        Args:
          kinds: numbers of arcs.
          which: of TABLES, one for all or one each.
          slew, load: where.
        """
        (i, u), (j, v) = _place(self.slews[kinds], slew), _place(self.loads[kinds], load)
        at = [[self.tables[kinds, which, i + a, j + b] for b in (0, 1)] for a in (0, 1)]
        return (1 - u) * ((1 - v) * at[0][0] + v * at[0][1]) + u * ((1 - v) * at[1][0] + v * at[1][1])


def _place(axes: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interval of each axis that a value is in, and how far: below 0 and above 1 beyond the ends."""
    low = np.clip((axes[:, 1:-1] <= at[:, None]).sum(1), 0, axes.shape[1] - 2)
    rows = np.arange(len(axes))
    begin, end = axes[rows, low], axes[rows, low + 1]
    return low, (at - begin) / (end - begin)


@runtime_checkable
class CellSource(Protocol):
    """The declaration of a library: a frozen dataclass."""

    def read(self) -> Cells:
        """The library, read or made once in a process."""
        ...


@dataclass(frozen=True)
class Sky130:
    """Cells of one output of the SkyWater 130 nm high-density library: `$STAGEJAX_DATA/cells_sky130/cells.json.gz`.

    >>> Sky130()
    Sky130()
    """

    def read(self) -> Cells:
        """Read the file.

        Raises:
          MissingDataset: it is not there.
        """
        return _read_sky130(os.environ.get("STAGEJAX_DATA", ""))


@functools.lru_cache(maxsize=2)
def _read_sky130(root: str) -> Cells:
    path = Path(root, "cells_sky130", "cells.json.gz")
    if not root or not path.is_file():
        raise MissingDataset(f"{Sky130()} is looked for in $STAGEJAX_DATA/{path.relative_to(root)}, which is not there")
    found = json.loads(gzip.decompress(path.read_bytes()))["cells"]
    return _library({name: cell for name, cell in found.items() if len(cell["outputs"]) == 1})


def _library(found: dict[str, Any]) -> Cells:
    """From the entries of the file."""
    cells: list[Cell] = []
    arcs: list[dict[str, Any]] = []
    for name, entry in found.items():
        pins, (output,) = tuple(entry["inputs"]), entry["outputs"].values()
        own = tuple((pins.index(arc["related_pin"]), len(arcs) + i) for i, arc in enumerate(output["arcs"]))
        arcs += output["arcs"]
        capacitance = tuple(pin["cap_pF"] for pin in entry["inputs"].values())
        cells.append(Cell(name, entry["area"], pins, truth_table(output["function"], pins), capacitance, own))
    return Cells(
        tuple(cells),
        np.array([arc["input_transition_ns"] for arc in arcs], np.float32),
        np.array([arc["load_pF"] for arc in arcs], np.float32),
        np.array([[arc[table] for table in TABLES] for arc in arcs], np.float32),
        np.array([1 if arc["sense"] == "positive_unate" else -1 for arc in arcs], np.int32),
    )


def truth_table(function: str, pins: tuple[str, ...]) -> int:
    """The truth table of a Liberty function of `!`, `&` and `|` over pins.

    Raises:
      ValueError: it has other signs or names.

    >>> bin(truth_table("(!A) | (!B)", ("A", "B")))
    '0b111'
    """
    words = re.findall(r"\w+|\S", function)
    if any(word not in (*pins, "!", "&", "|", "(", ")") for word in words):
        raise ValueError(f"{function!r} is no function of {', '.join(pins)} by !, & and |")
    text = " ".join({"!": "not", "&": "and", "|": "or"}.get(word, word) for word in words)
    code = compile(text, "function", "eval")

    def value(which: int) -> bool:
        return eval(code, {"__builtins__": {}}, {pin: bool(which >> i & 1) for i, pin in enumerate(pins)})

    return sum(value(which) << which for which in range(2 ** len(pins)))


@dataclass(frozen=True)
class LinearCells:
    """Made-up cells for which timing can be done by hand: every table is `start + per_load load + per_slew slew`.

    Falling takes `fall` times as long as rising. Every input pin has the same capacitance.

    >>> cells = LinearCells().read()
    >>> [cell.name for cell in cells.cells]
    ['inv_1', 'buf_4', 'nand2_1', 'nor2_1', 'xor2_1']
    """

    start: float = 0.02  # ns
    per_load: float = 2.0  # ns / pF
    per_slew: float = 0.1
    fall: float = 0.75
    capacitance: float = 0.002  # pF

    def read(self) -> Cells:
        """Make the library."""
        return _linear(self)


@functools.lru_cache(maxsize=8)
def _linear(c: LinearCells) -> Cells:
    functions = {"inv_1": (1, 0b01), "buf_4": (1, 0b10), "nand2_1": (2, 0b0111), "nor2_1": (2, 0b0001)}
    functions["xor2_1"] = (2, 0b0110)
    senses = {"buf_4": (1,), "xor2_1": (1, -1)}
    cells: list[Cell] = []
    sense: list[int] = []
    for name, (pins, table) in functions.items():
        own = [(pin, s) for pin in range(pins) for s in senses.get(name, (-1,))]
        arcs = tuple((pin, len(sense) + i) for i, (pin, _) in enumerate(own))
        sense += [s for _, s in own]
        cells.append(Cell(name, 4.0 * pins, tuple("AB"[:pins]), table, (c.capacitance,) * pins, arcs))
    slews, loads = np.linspace(0.0, 0.6, POINTS), np.linspace(0.0, 0.06, POINTS)
    rise = c.start + c.per_load * loads[None] + c.per_slew * slews[:, None]
    tables = np.stack([rise, c.fall * rise, rise, c.fall * rise])
    repeated = [np.repeat(a[None].astype(np.float32), len(sense), 0) for a in (slews, loads, tables)]
    return Cells(tuple(cells), *repeated, np.array(sense, np.int32))

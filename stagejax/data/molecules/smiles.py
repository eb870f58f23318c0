"""SMILES: molecules as strings. Their tokens, a tokenizer, and a parser of the grammar.

Whether a string that parses can be a molecule, by its valences and aromatic rings, is asked in
`data.molecules.valence`.

References: Weininger 1988, https://doi.org/10.1021/ci00057a005; OpenSMILES 1.0, http://opensmiles.org/opensmiles.html.
"""

from __future__ import annotations

import functools
import hashlib
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer

TOKEN = re.compile(r"\[[^\[\]]*\]|Br|Cl|%\d\d|.", re.DOTALL)
BRACKET = re.compile(
    r"\[(?P<isotope>\d+)?(?P<symbol>[A-Z][a-z]?|se|as|te|[bcnops])(?P<chiral>@@?)?(?P<hydrogens>H\d?)?"
    r"(?P<charge>\+\d|-\d|\++|-+)?(?P<label>:\d+)?\]"
)
ELEMENTS = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc",
    "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr",
    "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr",
    "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt",
    "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",
)  # fmt: skip
ORGANIC = frozenset(("B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I", "b", "c", "n", "o", "p", "s"))
ORDERS = {"-": 1, "/": 1, "\\": 1, "=": 2, "#": 3, "$": 4, ":": 1}


class BadSmiles(ValueError):
    """A string that is no molecule; the message says why."""


class Atom(NamedTuple):
    """An atom: its element, whether it is written as aromatic, and what a bracket says of it."""

    element: str
    aromatic: bool
    charge: int
    hydrogens: int | None  # None: no bracket, so as many as its valence leaves
    token: int  # its number in the string


class Bond(NamedTuple):
    """A bond between two atoms."""

    first: int
    second: int
    order: int  # 1 where it is aromatic
    aromatic: bool  # written so, or nothing is written between two aromatic atoms
    token: int  # that which a bond symbol would stand before: the atom's, or the ring number's where it opens
    written: bool  # whether there is a symbol before that token


class Molecule(NamedTuple):
    """Atoms and bonds, in the order of the string."""

    atoms: tuple[Atom, ...]
    bonds: tuple[Bond, ...]
    in_ring: tuple[bool, ...]  # of each bond


def tokens(smiles: str) -> list[str]:
    """Atoms (those in brackets whole), bonds, branches and ring numbers of a string.

    >>> tokens("C[C@H](Br)C%10")
    ['C', '[C@H]', '(', 'Br', ')', 'C', '%10']
    """
    return TOKEN.findall(smiles)


@functools.lru_cache(maxsize=4096)
def parse(smiles: str) -> Molecule:
    """The graph that a string says, by the grammar alone.

    Raises:
      BadSmiles: a token is none, something is not closed, a bond or a ring has one end, a branch is empty.

    >>> molecule = parse("C1CC1=O")
    >>> [(bond.first, bond.second, bond.order) for bond in molecule.bonds], molecule.in_ring
    ([(0, 1, 1), (1, 2, 1), (0, 2, 1), (2, 3, 2)], (True, True, True, False))
    >>> parse("C1CC(")
    Traceback (most recent call last):
    ...
    stagejax.data.molecules.smiles.BadSmiles: 'C1CC(' ends where an atom should follow
    """
    atoms: list[Atom] = []
    bonds: list[Bond] = []
    branches: list[int] = []
    rings: dict[str, tuple[int, str | None, int]] = {}
    joined: set[tuple[int, int]] = set()
    last: int | None = None
    symbol: str | None = None  # of a bond whose second end is to come
    waits = True  # for an atom
    empty = False  # the branch that is open

    def bad(what: str) -> BadSmiles:
        return BadSmiles(f"{smiles!r} {what}")

    def bond(first: int, second: int, symbol: str | None, token: int) -> None:
        pair = (min(first, second), max(first, second))
        if pair in joined or first == second:
            raise bad(f"joins atoms {first} and {second} twice, or an atom with itself")
        joined.add(pair)
        both = atoms[first].aromatic and atoms[second].aromatic
        aromatic = symbol == ":" or (symbol is None and both)
        bonds.append(Bond(first, second, ORDERS[symbol or "-"], aromatic, token, symbol is not None))

    for at, token in enumerate(tokens(smiles)):
        if token in ORGANIC or token[0] == "[":
            atoms.append(_atom(token, at, smiles))
            if last is not None:
                bond(last, len(atoms) - 1, symbol, at)
            last, symbol, waits, empty = len(atoms) - 1, None, False, False
        elif token in ORDERS:
            if symbol is not None or last is None:
                raise bad(f"has a bond {token!r} without a first atom (token {at})")
            symbol, waits = token, True
        elif token == "(":
            if waits or last is None:
                raise bad(f"opens a branch behind no atom (token {at})")
            branches.append(last)
            waits = empty = True
        elif token == ")":
            if waits or not branches:
                raise bad(f"closes a branch that is empty or was not opened (token {at})")
            last = branches.pop()
        elif token == ".":
            if waits or branches:
                raise bad(f"has a dot inside a branch or behind no atom (token {at})")
            last, waits = None, True
        elif token.isdecimal() or (token[0] == "%" and len(token) == 3):
            if last is None or empty or (waits and symbol is None):
                raise bad(f"has a ring number behind no atom (token {at})")
            number = token.lstrip("%").lstrip("0")
            if number in rings:
                start, other, opened = rings.pop(number)
                if symbol is not None and other is not None and ORDERS[symbol] != ORDERS[other]:
                    raise bad(f"gives ring {number} two bonds, {other!r} and {symbol!r}")
                bond(start, last, other or symbol, opened)
                if other is None and symbol is not None:  # written where it closes
                    bonds[-1] = bonds[-1]._replace(token=at)
            else:
                rings[number] = last, symbol, at
            symbol, waits = None, False
        else:
            raise bad(f"has the token {token!r}, which means nothing")
    if waits:
        raise bad("ends where an atom should follow")
    if branches or rings:
        raise bad(f"leaves {'a branch' if branches else f'ring {min(rings)}'} open")
    return Molecule(tuple(atoms), tuple(bonds), _in_ring(len(atoms), bonds))


def _atom(token: str, at: int, smiles: str) -> Atom:
    """An atom of the organic subset, or one in brackets."""
    if token in ORGANIC:
        return Atom(token.capitalize(), token.islower(), 0, None, at)
    found = BRACKET.fullmatch(token)
    if found is None or found["symbol"].capitalize() not in ELEMENTS:
        raise BadSmiles(f"{smiles!r} has the atom {token!r}, which is none")
    sign, hydrogens = found["charge"] or "", found["hydrogens"] or ""
    size = int(sign[1:]) if sign[1:].isdecimal() else len(sign)
    own = int(hydrogens[1:] or 1) if hydrogens else 0
    return Atom(found["symbol"].capitalize(), found["symbol"].islower(), -size if "-" in sign else size, own, at)


def _in_ring(atoms: int, bonds: Sequence[Bond]) -> tuple[bool, ...]:
    """Whether each bond is in a ring: outside of a tree of bonds, or on the path through the tree between such ends."""
    around: list[list[tuple[int, int]]] = [[] for _ in range(atoms)]
    for number, bond in enumerate(bonds):
        around[bond.first].append((bond.second, number))
        around[bond.second].append((bond.first, number))
    place: dict[int, int] = {}  # of atoms, in an order in which each comes after the one above it
    above: dict[int, tuple[int, int]] = {}  # the atom and the bond
    for root in range(atoms):
        waiting = [] if root in place else [root]
        place.setdefault(root, len(place))
        for atom in waiting:
            for other, number in around[atom]:
                if other not in place:
                    place[other], above[other] = len(place), (atom, number)
                    waiting.append(other)
    tree = {number for _, number in above.values()}
    rings = np.zeros(len(bonds), bool)
    for number in set(range(len(bonds))) - tree:
        rings[number] = True
        first, second = bonds[number][:2]
        while first != second:
            first, second = sorted((first, second), key=place.__getitem__)
            second, through = above[second]
            rings[through] = True
    return tuple(rings.tolist())


#: Atoms in brackets that are one token each: those of drug-like molecules that need them often.
BRACKETS = (
    "[nH]", "[N+]", "[O-]", "[NH+]", "[NH2+]", "[NH3+]", "[n+]", "[N-]", "[C-]", "[S+]", "[Cl-]", "[Br-]", "[Na+]",
    "[C@H]", "[C@@H]", "[C@]", "[C@@]",
)  # fmt: skip
_LETTERS = string.ascii_letters + string.digits + "()[]=#$-+:/\\.@%*~"


@dataclass(frozen=True)
class SmilesTokens(Tokenizer, Codec):
    """One token an atom, bond, branch or ring number; what is no such token is spelled, so any SMILES can be said.

    Args:
      brackets: atoms in brackets that are one token; all others are spelled, letter by letter.

    >>> code = SmilesTokens()
    >>> len(code.encode(["C[N+](C)(C)Cl"])[0]), code.decode(code.encode(["C[13CH3]"])[0])
    (9, 'C[13CH3]')
    """

    brackets: tuple[str, ...] = BRACKETS

    @property
    def pieces(self) -> tuple[str, ...]:
        """What each id from `SPECIAL` on says."""
        return (*_LETTERS, "Br", "Cl", *(f"%{number}" for number in range(10, 20)), *self.brackets)

    @property
    def vocab(self) -> int:  # type: ignore[override]
        return SPECIAL + len(self.pieces)

    def train(self, texts: Iterator[str]) -> Codec:
        return self

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        ids = _numbers(self.pieces)
        try:
            return [
                np.array([ids[p] for t in tokens(text) for p in ((t,) if t in ids else t)], np.int32) for text in texts
            ]
        except KeyError as error:
            raise ValueError(f"the character {error.args[0]!r} is in no SMILES") from None

    def decode(self, ids: Ids) -> str:
        pieces = self.pieces
        return "".join(pieces[int(i) - SPECIAL] for i in ids if i >= SPECIAL)

    def digest(self) -> str:
        return hashlib.sha256(" ".join(self.pieces).encode()).hexdigest()


@functools.lru_cache(maxsize=8)
def _numbers(pieces: tuple[str, ...]) -> dict[str, int]:
    return {piece: number + SPECIAL for number, piece in enumerate(pieces)}

"""Whether a string can be a molecule: valences, and double bonds for all aromatic rings; and it without such rings.

"Syntactic-valence validity": no geometry, no stability, and no check of stereochemistry, whose marks may mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stagejax.data.molecules.smiles import BadSmiles, Molecule, parse, tokens

#: Outer electrons of the elements whose valences are checked; others may have any number of bonds.
ELECTRONS = {
    "H": 1, "B": 3, "C": 4, "Si": 4, "N": 5, "P": 5, "As": 5, "O": 6, "S": 6, "Se": 6, "Te": 6,
    "F": 7, "Cl": 7, "Br": 7, "I": 7,
}  # fmt: skip
#: Those of them that may have more than eight around them.
HEAVY = frozenset(("P", "As", "S", "Se", "Te"))


def valences(element: str, charge: int) -> tuple[int, ...] | None:
    """How many bonds an atom may have, smallest first; None: any number.

    An ion binds as the neutral atom with its number of electrons: N+ as carbon, O- as fluorine.

    >>> valences("N", 0), valences("N", 1), valences("S", 0), valences("O", -1), valences("Na", 1)
    ((3,), (4,), (2, 4, 6), (1,), None)
    """
    if element not in ELECTRONS:
        return None
    outer = ELECTRONS[element] - charge
    least = outer if outer <= 4 else 8 - outer
    if least < 0 or outer < 0:
        return (0,)
    return tuple(range(least, outer + 1, 2)) if element in HEAVY and outer > 4 else (least,)


def double_bonds(molecule: Molecule) -> frozenset[int]:
    """Which of the aromatic bonds are double in one Kekulé structure, by number.

    Every aromatic atom must be in a ring, and every one that has a valence left must have exactly one double bond.

    Raises:
      BadSmiles: there is no such structure, or an atom has too many bonds as it is.

    >>> sorted(double_bonds(parse("c1cc[nH]c1")))
    [1, 4]
    >>> double_bonds(parse("c1cccc1"))
    Traceback (most recent call last):
    ...
    stagejax.data.molecules.smiles.BadSmiles: the aromatic atoms 0, 1, 2, 3, 4 cannot all have a double bond
    """
    ringed = {end for bond, ring in zip(molecule.bonds, molecule.in_ring, strict=True) if ring for end in bond[:2]}
    outside = [number for number, atom in enumerate(molecule.atoms) if atom.aromatic and number not in ringed]
    if outside:
        raise BadSmiles(f"the aromatic atom {outside[0]} is in no ring")
    open_to: dict[int, dict[int, int]] = {}
    for number, (atom, left) in enumerate(zip(molecule.atoms, _left(molecule, bonded(molecule)), strict=True)):
        if atom.aromatic and left:
            open_to[number] = {}
    for number, (bond, ring) in enumerate(zip(molecule.bonds, molecule.in_ring, strict=True)):
        if bond.aromatic and ring and bond.first in open_to and bond.second in open_to:
            open_to[bond.first][bond.second] = open_to[bond.second][bond.first] = number
    found = _matched(open_to)
    if found is None:
        raise BadSmiles(f"the aromatic atoms {', '.join(map(str, open_to))} cannot all have a double bond")
    return found


def bonded(molecule: Molecule) -> list[int]:
    """The orders of each atom's bonds together, aromatic ones counted as single, and the hydrogens in its brackets."""
    used = [atom.hydrogens or 0 for atom in molecule.atoms]
    for bond in molecule.bonds:
        used[bond.first] += bond.order
        used[bond.second] += bond.order
    return used


def _left(molecule: Molecule, used: Sequence[int]) -> list[int]:
    """By how much the next valence of each atom is more than what is used of it.

    A neutral nitrogen may have five bonds where one is double to an oxygen, as nitro groups are often written.
    """
    oxidised = set()
    for bond in molecule.bonds:
        for atom, other in (bond[:2], bond[1::-1]):
            if bond.order == 2 and molecule.atoms[other].element == "O":
                oxidised.add(atom)
    found = []
    for number, (atom, own) in enumerate(zip(molecule.atoms, used, strict=True)):
        may = valences(atom.element, atom.charge)
        if (atom.element, atom.charge) == ("N", 0) and number in oxidised and own == 5 - atom.aromatic:
            may = (5,)
        if may is not None and own > may[-1]:
            raise BadSmiles(f"atom {number}, {atom.element} with charge {atom.charge:+d}, has {own} bonds, not {may}")
        found.append(0 if may is None else next(valence for valence in may if valence >= own) - own)
    return found


def _matched(edges: Mapping[int, Mapping[int, int]]) -> frozenset[int] | None:
    """Edges of a perfect matching, by number; None where there is none. Vertices with the fewest choices go first."""
    chosen: list[int] = []

    def match(free: frozenset[int]) -> bool:
        if not free:
            return True
        vertex = min(free, key=lambda v: sum(other in free for other in edges[v]))
        for other, number in edges[vertex].items():
            if other in free:
                chosen.append(number)
                if match(free - {vertex, other}):
                    return True
                chosen.pop()
        return False

    for part in _components(edges):
        if len(part) % 2 or not match(part):
            return None
    return frozenset(chosen)


def _components(edges: Mapping[int, Mapping[int, int]]) -> list[frozenset[int]]:
    """The vertices that hang together."""
    left, found = set(edges), []
    while left:
        stack, part = [min(left)], set()
        while stack:
            vertex = stack.pop()
            if vertex not in part:
                part.add(vertex)
                stack += edges[vertex]
        left -= part
        found.append(frozenset(part))
    return found


def checked(smiles: str) -> tuple[Molecule, tuple[int, ...], tuple[int, ...]]:
    """A molecule without aromatic bonds: it, the order of each bond, and the hydrogens of each atom.

    Raises:
      BadSmiles: the string does not parse, an atom has more bonds than its valence, an aromatic atom is in no ring, or
        aromatic rings have no Kekulé structure.

    >>> checked("c1ccccc1C")[1:]
    ((2, 1, 2, 1, 2, 1, 1), (1, 1, 1, 1, 1, 0, 3))
    >>> checked("C=O=C")
    Traceback (most recent call last):
    ...
    stagejax.data.molecules.smiles.BadSmiles: atom 1, O with charge +0, has 4 bonds, not (2,)
    """
    molecule = parse(smiles)
    double = double_bonds(molecule)
    orders = tuple(bond.order + (number in double) for number, bond in enumerate(molecule.bonds))
    used = bonded(molecule)
    for number in double:
        for end in molecule.bonds[number][:2]:
            used[end] += 1
    filled = _left(molecule._replace(atoms=tuple(atom._replace(aromatic=False) for atom in molecule.atoms)), used)
    own = zip(molecule.atoms, filled, strict=True)
    return molecule, orders, tuple(left if atom.hydrogens is None else atom.hydrogens for atom, left in own)


def valid(smiles: str) -> bool:
    """Whether a string passes `checked`.

    >>> [valid(smiles) for smiles in ("CC(=O)Oc1ccccc1C(=O)O", "CC(=O", "C1CC", "c1cccc1", "CF(C)C", "")]
    [True, False, False, False, False, False]
    """
    try:
        checked(smiles)
    except BadSmiles:
        return False
    return True


def kekulized(smiles: str) -> str:
    """The same molecule, in the same order, without aromatic atoms.

    Raises:
      BadSmiles: as `checked`.

    >>> kekulized("Cc1ccc[nH]1"), kekulized("c1ccccc1-c1ccccn1")
    ('CC1=CC=CN1', 'C1=CC=CC=C1-C1=CC=CC=N1')
    """
    molecule, orders, _ = checked(smiles)
    pieces, aromatic = tokens(smiles), {atom.token for atom in molecule.atoms if atom.aromatic}
    for at in aromatic:
        own = pieces[at]
        symbol = own if own[0] != "[" else own.lstrip("[").lstrip("0123456789")[: 2 if own[1:3] in ("se", "as") else 1]
        pieces[at] = "N" if own == "[nH]" else own.replace(symbol, symbol.capitalize(), 1)
    for bond, order in zip(molecule.bonds, orders, strict=True):
        if bond.aromatic:
            if bond.written:
                pieces[bond.token - 1] = ""
            pieces[bond.token] = ("=" if order == 2 else "") + pieces[bond.token]
    return "".join(pieces)

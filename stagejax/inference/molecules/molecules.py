"""What generated molecules are worth: valid, unique, novel, diverse, and near to known ones, by graphs alone.

Validity is that of `data.molecules.valence`, fingerprints are hashed circular substructures; neither is a chemistry
toolkit's.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8

from stagejax.data.molecules.smiles import ELEMENTS, BadSmiles
from stagejax.data.molecules.valence import checked

#: The label of bonds between two atoms of which each has a double bond in a ring: the same in all Kekulé structures.
RESONANT = 5


@dataclass(frozen=True)
class Molecular:
    """A molecule in numbers that do not depend on the order, nor the Kekulé structure, in which it is written."""

    identity: int  # molecules of another identity are other molecules; the reverse can fail for very regular ones
    circles: tuple[int, ...]  # what is seen from each atom within the radius, each once


@functools.lru_cache(maxsize=1 << 16)
def molecular(smiles: str, radius: int = 2) -> Molecular:
    """Circular substructures of a molecule, and its identity after as many rounds as it has atoms, at most 12.

    An atom begins as (element, charge, hydrogens, neighbours, whether it is in a ring), and in every round takes in the
    bonds to its neighbours and what those were. Isotopes and stereochemistry are not looked at.

    Raises:
      BadSmiles: the string is no valid molecule.

    References: Morgan 1965, https://doi.org/10.1021/c160017a018; Rogers and Hahn 2010 (extended-connectivity
    fingerprints), https://doi.org/10.1021/ci100050t.

    >>> molecular("Cc1ccccc1N").identity == molecular("NC1=CC=CC=C1C").identity != molecular("Cc1cccc(N)c1").identity
    True
    """
    molecule, orders, hydrogens = checked(smiles)
    ringed, unsaturated = set(), set()
    for bond, order, ring in zip(molecule.bonds, orders, molecule.in_ring, strict=True):
        if ring:
            ringed |= {bond.first, bond.second}
            unsaturated |= {bond.first, bond.second} if order == 2 else set()
    around: list[list[tuple[int, int]]] = [[] for _ in molecule.atoms]
    for bond, order, ring in zip(molecule.bonds, orders, molecule.in_ring, strict=True):
        ends = bond.first, bond.second
        label = RESONANT if ring and unsaturated.issuperset(ends) else order
        for end, other in (ends, ends[::-1]):
            around[end].append((label, other))
    codes = [
        _hash((ELEMENTS.index(atom.element), atom.charge, own, len(around[number]), number in ringed))
        for number, (atom, own) in enumerate(zip(molecule.atoms, hydrogens, strict=True))
    ]
    seen = set(codes)
    for turn in range(max(radius, min(len(codes), 12))):
        codes = [
            _hash((code, *sorted((label, codes[other]) for label, other in around[number])))
            for number, code in enumerate(codes)
        ]
        if turn < radius:
            seen.update(codes)
    return Molecular(_hash(tuple(sorted(codes))), tuple(sorted(seen)))


def _hash(value: tuple[object, ...]) -> int:
    return zlib.crc32(repr(value).encode())


def fingerprints(smiles: Sequence[str], bits: int = 2048, radius: int = 2) -> UInt8[np.ndarray, "n bits"]:
    """1 where a molecule has a circular substructure with that number, modulo `bits`.

    Raises:
      BadSmiles: a string is no valid molecule.

    >>> one, same, other = fingerprints(["CCO", "OCC", "CCN"])
    >>> bool((one == same).all()), bool((one == other).all())
    (True, False)
    """
    found = np.zeros((len(smiles), bits), np.uint8)
    for row, one in zip(found, smiles, strict=True):
        row[np.array(molecular(one, radius).circles, np.int64) % bits] = 1
    return found


def tanimoto(first: UInt8[np.ndarray, "n bits"], second: UInt8[np.ndarray, "m bits"]) -> Float[np.ndarray, "n m"]:
    """|A and B| / |A or B| of all pairs of fingerprints; 0 where both are empty.

    >>> tanimoto(np.array([[1, 1, 0]], np.uint8), np.array([[1, 1, 0], [1, 0, 1], [0, 0, 1]], np.uint8)).round(2)
    array([[1.  , 0.33, 0.  ]], dtype=float32)
    """
    both = first.astype(np.float32) @ second.astype(np.float32).T
    either = first.sum(1, dtype=np.float32)[:, None] + second.sum(1, dtype=np.float32) - both
    return both / np.maximum(either, 1)


def are_valid(smiles: Sequence[str]) -> Bool[np.ndarray, " n"]:
    """Which strings are valid molecules.

    >>> are_valid(["CCO", "CC(", "FF(F)"]).tolist()
    [True, False, False]
    """

    def one(text: str) -> bool:
        try:
            molecular(text)
        except BadSmiles:
            return False
        return True

    return np.array([one(text) for text in smiles], bool)


def valid_share(smiles: Sequence[str]) -> float:
    """Which share of strings is valid."""
    return float(are_valid(smiles).mean()) if len(smiles) else 0.0


def unique_share(smiles: Sequence[str]) -> float:
    """Different molecules for each of these valid ones; NaN without any.

    >>> unique_share(["CCO", "OCC", "CCN", "C(O)C"])
    0.5
    """
    return len({molecular(one).identity for one in smiles}) / len(smiles) if len(smiles) else float("nan")


def novel_share(smiles: Sequence[str], known: frozenset[int]) -> float:
    """Which share of the different molecules among these valid ones has no known identity; NaN without any.

    >>> novel_share(["CCO", "OCC", "CCN"], frozenset({molecular("C(C)O").identity}))
    0.5
    """
    found = {molecular(one).identity for one in smiles}
    return len(found - known) / len(found) if found else float("nan")


def internal_diversity(smiles: Sequence[str]) -> float:
    """1 - the mean Tanimoto similarity of all pairs of these valid molecules, each with itself among them.

    Reference: Polykovskiy et al. 2020 (MOSES), https://arxiv.org/abs/1811.12823, IntDiv_1.

    >>> internal_diversity(["CCO", "OCC"])
    0.0
    """
    made = fingerprints(smiles)
    return float(1 - tanimoto(made, made).mean()) if len(smiles) else float("nan")


def nearest_similarity(smiles: Sequence[str], known: Sequence[str]) -> float:
    """The mean Tanimoto similarity of each valid molecule to the nearest known one (MOSES's SNN); NaN without any.

    >>> nearest_similarity(["CCO"], ["CCN", "OCC"])
    1.0
    """
    if not len(smiles) or not len(known):
        return float("nan")
    return float(tanimoto(fingerprints(smiles), fingerprints(known)).max(1).mean())


def judged(said: Sequence[Sequence[str]], known: Sequence[Sequence[str]], trained: frozenset[int]) -> dict[str, float]:
    """All of these of what was generated for each of several targets.

    Validity is over all strings; the rest are means over the targets that have a valid one.

    Args:
      said: generated strings of each target.
      known: its true ligands.
      trained: identities of the molecules that are not novel.

    >>> judged([["CCO", "CC("]], [["CCO"]], frozenset())["valid"]
    0.5
    """
    kept = [[one for one, good in zip(own, are_valid(own), strict=True) if good] for own in said]
    rows: list[Float64[np.ndarray, " 4"]] = [
        np.array([
            unique_share(own), novel_share(own, trained), internal_diversity(own), nearest_similarity(own, true)
        ])
        for own, true in zip(kept, known, strict=True)
        if own
    ]  # fmt: skip
    found = np.mean(rows, 0) if rows else np.full(4, np.nan)
    names = ("unique", "novel", "diversity", "nearest")
    everything = [one for own in said for one in own]
    return {"valid": valid_share(everything)} | dict(zip(names, found.tolist(), strict=True))

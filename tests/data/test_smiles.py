"""SMILES: known good and bad strings, all real molecules, a toolkit's verdicts, and Kekulé forms of one molecule."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Dataset
from stagejax.data.molecules.smiles import BadSmiles, SmilesTokens, parse, tokens
from stagejax.data.molecules.valence import checked, double_bonds, kekulized, valences, valid
from stagejax.inference.molecules.molecules import molecular

GOOD = (
    "C", "CCO", "C#N", "[NH4+]", "[Na+].[Cl-]", "C1CC1", "C%10CC%10", "C1CC1C1CC1", "C=1CCC1", "C(F)(F)(F)F",
    "OS(=O)(=O)O", "CN(=O)=O", "C[N+](=O)[O-]", "c1ccccc1", "c1ccncc1", "c1cc[nH]c1", "c1ccoc1", "c1ccsc1",
    "Cn1cccc1", "c1ccc2ccccc2c1", "c1ccccc1-c1ccccc1", "c1ccccc1c1ccccc1", "O=c1cc[nH]cc1", "C[n+]1ccccc1",
    "CC(=O)Oc1ccccc1C(=O)O", "F/C=C/F", "N[C@@H](C)C(=O)O", "[13CH4]", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "FP(F)(F)(F)F",
    "c1ccc2c(c1)[nH]c1ccccc12",
)  # fmt: skip
BAD = {
    "": "ends", "C(": "ends", "C)": "closes", "C1CC": "open", "C=": "ends", "=C": "first atom", "C==C": "first atom",
    "C()C": "closes", "((C))": "opens", "C(1CC1)": "ring number", "C(=1)CC1": "ring number", "1CC1": "ring number",
    "C11": "twice", "C12CC12": "twice", "C-1CC=1": "two bonds", "C..C": "dot", ".C": "dot", "C.": "ends",
    "C(.C)C": "dot", "CX": "means nothing", "C C": "means nothing", "[C": "which is none", "[Xx]": "which is none",
    "[CH": "which is none", "C(C)(C)(C)(C)C": "5 bonds", "FF(F)": "bonds", "C=O=C": "4 bonds", "C#C#C": "6 bonds",
    "N(C)(C)(C)C": "4 bonds", "N(C)(C)(C)(C)C": "5 bonds", "[CH5]": "5 bonds", "[O-](C)C": "2 bonds",
    "CCl(C)": "2 bonds", "C=F": "2 bonds", "cc": "in no ring", "Cc": "in no ring", "c1cccc1": "double bond",
    "c1ccnc1": "double bond", "c1ccccc1=O": "double bond", "n1ccnnc1C(c)": "in no ring",
}  # fmt: skip


@pytest.mark.parametrize("smiles", GOOD)
def test_molecules_are_valid_and_stay_so_without_aromatic_atoms(smiles: str) -> None:
    assert valid(smiles)
    plain = kekulized(smiles)
    assert valid(plain)
    assert not any(atom.aromatic for atom in parse(plain).atoms)
    assert molecular(plain) == molecular(smiles)


@pytest.mark.parametrize(("smiles", "why"), BAD.items())
def test_what_is_no_molecule_is_refused_with_the_reason(smiles: str, why: str) -> None:
    assert not valid(smiles)
    with pytest.raises(BadSmiles, match=why):
        checked(smiles)


def test_hydrogens_and_valences() -> None:
    assert checked("CC#N")[2] == (3, 0, 0)
    assert checked("CS(=O)(=O)N")[2] == (3, 0, 0, 0, 2)
    assert checked("c1cc[nH]c1")[2] == (1, 1, 1, 1, 1)
    assert checked("C[N+](C)(C)C")[2][1] == 0
    assert [valences(*ion) for ion in (("B", -1), ("C", 1), ("S", 1), ("P", -1), ("Cl", -1), ("H", 1))] == [
        (4,), (3,), (3, 5), (2, 4, 6), (0,), (0,)
    ]  # fmt: skip


def test_rings_are_found() -> None:
    molecule = parse("C1CC1CC2CCC2")
    assert [n for n, ring in enumerate(molecule.in_ring) if not ring] == [3, 4]
    assert parse("C1.C1").in_ring == (False,)  # the number joins two parts, in no ring
    assert all(parse("C12.C1C2").in_ring)


def test_every_aromatic_atom_with_a_free_valence_has_one_double_bond() -> None:
    for smiles in ("c1ccc2ccccc2c1", "c1ccc2[nH]ccc2c1", "Cn1cnc2c1c(=O)n(C)c(=O)n2C"):
        molecule = parse(smiles)
        ends = [end for number in double_bonds(molecule) for end in molecule.bonds[number][:2]]
        assert len(ends) == len(set(ends))


#: Words of which strings like molecules, and mostly none, are drawn.
PIECES = ("C", "N", "O", "c", "n", "[nH]", "(", ")", "1", "2", "=", "#", "-", "F", "Cl", ".", "%11", "[O-]", "s")


@given(st.lists(st.sampled_from(PIECES), max_size=14))
@settings(max_examples=300, deadline=None)
def test_any_string_is_a_molecule_or_refused(pieces: list[str]) -> None:
    smiles = "".join(pieces)
    assert "".join(tokens(smiles)) == smiles
    code = SmilesTokens()
    assert code.decode(code.encode([smiles])[0]) == smiles
    if valid(smiles):
        molecule, orders, hydrogens = checked(kekulized(smiles))
        used = np.array(hydrogens)
        for bond, order in zip(molecule.bonds, orders, strict=True):
            used[[bond.first, bond.second]] += order
        for atom, own in zip(molecule.atoms, used, strict=True):
            assert own in (5, *(valences(atom.element, atom.charge) or ())) or atom.hydrogens is not None


def test_atoms_are_one_token_each() -> None:
    code = SmilesTokens()
    assert [len(code.encode([smiles])[0]) for smiles in ("CBr", "CCl", "[nH]", "C%12", "[13C]")] == [2, 2, 1, 2, 5]
    assert len({*code.pieces}) == len(code.pieces) == code.vocab - 4
    with pytest.raises(ValueError, match="'é' is in no SMILES"):
        code.encode(["Cé"])


real = pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")
#: Molecules of MoleculeNet whose nitrogens have four bonds and no charge: toolkits refuse them too.
OVERBONDED = 11


@real
def test_real_molecules_are_valid() -> None:
    source = Dataset("qm9_smiles", split="test", lines=True)
    assert all(valid(source[i]["text"]) for i in range(0, len(source), 20))


@real
@pytest.mark.slow
def test_real_molecules_are_valid_but_those_that_no_toolkit_reads() -> None:
    source = Dataset("qm9_smiles", lines=True)
    assert all(valid(source[i]["text"]) for i in range(0, len(source), 20))
    sets = [
        Dataset("molnet", split=s, part=p)
        for p in ("bace", "bbbp", "esol", "freesolv", "lipo")
        for s in ("train", "test")
    ]
    bad = [record["smiles"] for source in sets for record in source if not valid(record["smiles"])]
    assert len(bad) == OVERBONDED
    for smiles in bad:
        with pytest.raises(BadSmiles, match=r"N with charge \+0, has 4 bonds"):
            checked(smiles)


@real
@pytest.mark.slow
def test_nothing_is_valid_that_a_toolkit_refuses() -> None:
    chem = pytest.importorskip("rdkit.Chem")
    draw = np.random.default_rng(0)
    source = Dataset("molnet", part="lipo")
    pieces = [piece for i in range(200) for piece in tokens(source[i]["smiles"])]
    for i in range(1000):
        broken = tokens(source[i % len(source)]["smiles"])
        for _ in range(draw.integers(1, 4)):
            broken[draw.integers(len(broken))] = pieces[draw.integers(len(pieces))]
        smiles = "".join(broken)
        assert not valid(smiles) or chem.MolFromSmiles(smiles) is not None, smiles

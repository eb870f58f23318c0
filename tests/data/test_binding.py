"""Binding pairs: no form of a protein on two sides, cuts as declared, the paper's rule for measures, and batches."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

import numpy as np
import pytest

from stagejax.data import CLS, PAD, SEP, Bytes, Characters, Dataset
from stagejax.data.molecules.binding import (
    KinaseBinders,
    MeasuredBinders,
    RandomBinders,
    Sequences,
    TargetToMolecule,
    affinity,
)
from stagejax.data.molecules.molecules import Molecules, RandomMolecules
from stagejax.data.molecules.proteins import RESIDUES, Kinases, RandomFamilies
from stagejax.data.molecules.smiles import SmilesTokens, tokens
from stagejax.data.molecules.valence import valid
from stagejax.data.sources import Record, Source

FAMILIES = RandomFamilies(3, 8, length=20)
PAIRS = RandomBinders(FAMILIES, 5)
SPLITS = ("train", "validation", "test")
real = pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")


def test_a_protein_is_in_one_split_in_pairs_and_in_text() -> None:
    names = [{pair.protein for pair in PAIRS.of_split(split).own()} for split in SPLITS]  # type: ignore[attr-defined]
    texts = [{record["name"] for record in Sequences(FAMILIES, 4, split)} for split in SPLITS]
    assert names == texts
    assert sum(map(len, names)) == len(set.union(*names)) == 24
    with pytest.raises(ValueError, match="split='dev'"):
        len(PAIRS.of_split("dev"))


@pytest.mark.slow
@real
def test_kinases_and_their_forms_are_in_one_split() -> None:
    source = KinaseBinders(longest=60)
    forms = {protein.sequence: protein.parent for protein in Kinases().read()}
    own = [{pair.protein for pair in source.of_split(split).own()} for split in SPLITS]  # type: ignore[attr-defined]
    assert not own[0] & (own[1] | own[2])
    assert not own[1] & own[2]
    texts = [{forms[record["sequence"]] for record in Sequences(Kinases(), split=split)} for split in SPLITS]
    assert all(few <= many for few, many in zip(own, texts, strict=True))
    assert not texts[0] & (texts[1] | texts[2])
    pairs = source.pairs()
    assert len({pair[::2] for pair in pairs}) == len({(pair.protein, pair.smiles) for pair in pairs}) == len(pairs)
    assert all(len(pair.sequence) <= 126 and len(tokens(pair.smiles)) <= 60 for pair in pairs)
    assert all(valid(pair.smiles) and not any(c in pair.smiles for c in "cnos") for pair in pairs[::50])


@real
@pytest.mark.slow
def test_cuts_are_of_affinity() -> None:
    few, more = (len(KinaseBinders(davis=cut, kiba=99.0).pairs()) for cut in (8.0, 7.0))
    table = Dataset("deepdta", split="davis")
    assert 0 < few < more <= sum(record["affinity"] >= 7 for record in table)
    assert len(KinaseBinders(davis=99.0, kiba=16.0).pairs()) > 0


def test_measures_are_averaged_as_in_the_paper() -> None:
    assert affinity([("IC50", 10.0), ("IC50", 1000.0)]) == pytest.approx(100)
    assert affinity([("Kd", 30.0)]) == affinity([("Ki", 30.0)]) == pytest.approx(60)
    assert affinity([("Ki", 20.0), ("EC50", 10.0)]) == pytest.approx(math.sqrt(40 * 10))
    with pytest.raises(KeyError):
        affinity([("pKd", 7.0)])


@dataclass(frozen=True)
class Measured(Source):
    split: str = "train"

    def __len__(self) -> int:
        return 80

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < 80:
            raise IndexError
        protein, repeat = divmod(index, 4)
        record = {
            "protein": f"P{protein}",
            "family": f"F{protein // 2}",
            "sequence": "MKV" * 9,
            "smiles": "C" * (1 + repeat // 2),
        }
        return record | {"measure": ("IC50", "Kd")[index % 2], "nanomolar": (40.0, 60.0, 90.0, 90.0)[repeat]}

    def digest(self) -> str:
        return ""


def test_a_table_of_measurements_gives_its_strong_binders() -> None:
    source = MeasuredBinders(Measured(), window=8, folds=5)
    pairs = source.pairs()
    assert {pair.smiles for pair in pairs} == {"C"}  # sqrt(40 * 120) < 100 <= sqrt(90 * 180)
    assert len(pairs) == 20
    assert {len(pair.sequence) for pair in pairs} == {8}
    folds: dict[str, set[int]] = {}
    for pair in pairs:
        folds.setdefault(f"F{int(pair.protein[1:]) // 2}", set()).add(pair.fold)
    assert all(len(own) == 1 for own in folds.values())  # a family is in one split


def test_batches_hold_the_pair_and_begin_with_the_end_of_another() -> None:
    data = TargetToMolecule(
        source=PAIRS, residues=Characters(RESIDUES), atoms=SmilesTokens(), batch=4, inputs=12, outputs=40, seed=3
    )
    batch = data.take(np.arange(data.size()))
    pairs = {(pair.sequence[:11], pair.smiles) for pair in PAIRS.own()}
    for inputs, tokens_T, targets, weights in zip(
        *(batch[n] for n in ("inputs", "tokens", "targets", "weights")), strict=True
    ):
        count = int(weights.sum())
        assert (inputs[0], tokens_T[0], targets[count - 1]) == (CLS, SEP, SEP)
        np.testing.assert_array_equal(tokens_T[1:count], targets[: count - 1])
        assert not targets[count:].any()
        assert (data.residues.decode(inputs), data.atoms.decode(targets)) in pairs  # type: ignore[attr-defined]
    np.testing.assert_array_equal(batch["mask"], batch["inputs"] != PAD)
    again = replace(data, seed=4).take(np.arange(data.size()))
    assert not np.array_equal(again["targets"], batch["targets"])
    assert sorted(map(tuple, again["targets"].tolist())) == sorted(map(tuple, batch["targets"].tolist()))
    np.testing.assert_array_equal(data.read([PAIRS.own()[0].sequence])["inputs"][0, 0], CLS)


def test_long_texts_are_cut_with_an_end() -> None:
    data = TargetToMolecule(source=PAIRS, residues=Bytes(), atoms=Bytes(), batch=4, inputs=4, outputs=5)
    batch = data.take(np.arange(8))
    assert batch["mask"].all()
    assert (batch["targets"][:, -1] == SEP).all()


def test_molecules_are_kept_if_valid_and_short() -> None:
    made = Molecules(RandomMolecules(50), longest=11)
    texts = [record["smiles"] for record in made]
    assert 0 < len(texts) < 50
    assert all(valid(text) and len(tokens(text)) <= 11 for text in texts)
    assert made.of_split("test").split == "test"
    assert made.digest() != replace(made, longest=12).digest()

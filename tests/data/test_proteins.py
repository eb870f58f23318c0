"""Proteins: names and families, forms of one protein, windows, folds, instructions in both directions, mutants."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.data.molecules.mutants import GB1, RandomLandscape, mutated
from stagejax.data.molecules.protein_tasks import ProteinInstructions, ProteinText, of_fold
from stagejax.data.molecules.proteins import LOOP, RESIDUES, Kinases, Protein, RandomFamilies, core, folded, parents
from stagejax.data.named import MissingDataset
from stagejax.data.prompts.answers import Answers
from stagejax.data.tokenizers import Bytes

MADE = RandomFamilies(3, 9, length=30)
needs_files = pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")
sequences = st.text(RESIDUES, min_size=1, max_size=40)


@given(sequences, st.integers(1, 50), st.integers(-60, 60))
def test_a_window_is_a_piece_of_its_sequence(sequence: str, window: int, shift: int) -> None:
    found = core(sequence, window, shift)
    assert found in sequence
    assert len(found) == min(window, len(sequence))


@given(st.text(RESIDUES, min_size=20, max_size=40), st.integers(0, 39), st.sampled_from(RESIDUES))
def test_forms_do_not_depend_on_the_other_proteins(sequence: str, place: int, letter: str) -> None:
    mutant = mutated(sequence, {place: letter})
    assert parents(["P", "P"], [sequence, mutant]) == ["P", "P"]
    assert parents(["P", "Q"], [sequence, sequence[:-1]])[1] == "P"


def test_forms_of_forms_are_forms() -> None:
    found = parents(["A", "B", "C", "B"], ["AAAAAAAA", "CCCCCCCC", "DDDDDDDD", "AAAAAAAA"])
    assert found == ["A", "A", "C", "A"]


def test_every_fold_holds_a_share_of_every_family_and_no_two_share_a_protein() -> None:
    folds = folded(MADE, 4)
    families = [protein.family for protein in MADE.read()]
    for label in set(families):
        counts = np.bincount([fold for fold, own in zip(folds, families, strict=True) if own == label], minlength=4)
        assert counts.max() - counts.min() <= 1
    parts = [{p.name for p in of_fold(MADE, 4, fold, "test")} for fold in range(4)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(MADE.read())
    assert not parts[1] & {p.name for p in of_fold(MADE, 4, 1, "train")}


def test_a_fold_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="fold 4 of 4"):
        len(ProteinText(MADE, 4, 4))


def test_every_window_is_used_in_both_directions() -> None:
    source = ProteinInstructions(MADE, 4, 1, window=12, shifts=(-1, 0))
    records = [source[i] for i in range(len(source))]
    assert len(records) == 2 * 2 * len(of_fold(MADE, 4, 1, "train"))
    for told, made in zip(records[::2], records[1::2], strict=True):
        assert told["question"] == f"[Determine family] Seq=<{told['sequence']}>"
        assert made["solution"] == f"Seq=<{told['sequence']}>"
        assert told["solution"] in made["question"]
    one = ProteinInstructions(MADE, 4, 1, window=12, shifts=(-1, 0), tasks="generate")
    assert [one[i] for i in range(len(one))] == records[1::2]
    assert source.digest() != one.digest() != source.of_split("test").digest()


class Twins:
    """Two proteins of one window, and others."""

    def read(self) -> tuple[Protein, ...]:
        pieces = (("A", "KLMNPQ"), ("C", "KLMNPQ"), ("D", "RSTVWY"), ("E", "GHIKLM"))
        return tuple(Protein(10 * end, 10 * end + middle + 10 * end, "F", 10 * end) for end, middle in pieces)


def test_a_test_window_that_a_training_sequence_has_is_left_out() -> None:
    def found(fold: int) -> list[str]:
        source = ProteinInstructions(Twins(), 4, fold, "test", window=6, tasks="determine")
        return [source[i]["sequence"] for i in range(len(source))]

    assert sorted(window for fold in range(4) for window in found(fold)) == ["GHIKLM", "RSTVWY"]
    none = ProteinInstructions(Twins(), 4, next(fold for fold in range(4) if not found(fold)), "test", window=6)
    with pytest.raises(ValueError, match=r"Twins.* has no records to answer: choose another split"):
        Answers(source=none, tokenizer=Bytes(), batch=2, length=20).take(np.arange(2))


@needs_files
def test_no_window_of_held_out_kinases_is_in_a_training_sequence() -> None:
    for fold in range(4):
        source = ProteinInstructions(Kinases(), 4, fold, "test", window=48, shifts=(-2, 0, 2), tasks="determine")
        read = " ".join(protein.sequence for protein in of_fold(Kinases(), 4, fold, "train"))
        assert len(source) > 50
        assert not any(source[i]["sequence"] in read for i in range(len(source)))


def test_a_generated_landscape_falls_with_every_change() -> None:
    wild, mutants, fitness = RandomLandscape(12, 20).read()
    changed = [sum(a != b for a, b in zip(wild, mutant, strict=True)) for mutant in mutants]
    assert all(few <= -value for few, value in zip(changed, fitness, strict=True))
    assert changed[0] == 0


@pytest.mark.slow
@needs_files
def test_the_kinases_are_those_of_the_files() -> None:
    own = Kinases().read()
    names = {protein.parent: protein.family for protein in own}
    assert len(own) == 429
    assert len(names) == 407
    assert {label: list(names.values()).count(label) for label in sorted(set(names.values()) - {""})} == {
        "CAMK": 10, "CDK": 12, "CSNK": 9, "EPH": 13, "MAP": 11, "NEK": 9, "PIK": 10, "PRK": 15,
    }  # fmt: skip
    assert names["FGFR1"] == ""  # a family of four
    assert sum(protein.parent == "ABL1" for protein in own) == 2  # a mutant is its parent, as is KIBA's isoform
    assert all(LOOP.search(p.sequence) for p in own if p.family and p.parent not in ("EPHA6", "EPHB2", "EPHB6"))


@needs_files
def test_gb1_is_mutated_at_its_four_sites() -> None:
    wild, mutants, fitness = GB1(count=20).read()
    sites = {at for mutant in mutants for at, (a, b) in enumerate(zip(wild, mutant, strict=True)) if a != b}
    assert sites <= {38, 39, 40, 53}
    assert (len(wild), len(mutants), fitness.shape) == (56, 20, (20,))


def test_files_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGEJAX_DATA", raising=False)
    with pytest.raises(MissingDataset, match="davis"):
        Kinases(members=7).read()
    with pytest.raises(MissingDataset, match="flip_gb1"):
        GB1(count=3).read()

"""Proteins as text: sequences to be continued, and instructions in both directions between a sequence and its family.

Residues are plain letters. `Seq=<...>` and `Family=<...>` mark what is what, so that a text model needs no new token.

Reference: Lv et al. 2024, ProLLaMA, https://arxiv.org/abs/2402.16445.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from stagejax.data.molecules.proteins import Protein, Proteins, core, folded
from stagejax.data.sources import Record, Source

Task = Literal["both", "determine", "generate"]


def sequence_text(sequence: str) -> str:
    """A sequence as text.

    >>> sequence_text("MKV")
    'Seq=<MKV>'
    """
    return f"Seq=<{sequence}>"


def family_text(family: str) -> str:
    """A family as text.

    >>> family_text("EPH")
    'Family=<EPH>'
    """
    return f"Family=<{family}>"


def determine(sequence: str) -> str:
    """The instruction to name the family of a sequence.

    >>> determine("MKV")
    '[Determine family] Seq=<MKV>'
    """
    return f"[Determine family] {sequence_text(sequence)}"


def generate(family: str) -> str:
    """The instruction to give a sequence of a family.

    >>> generate("EPH")
    '[Generate by family] Family=<EPH>'
    """
    return f"[Generate by family] {family_text(family)}"


def of_fold(proteins: Proteins, folds: int, fold: int, split: str) -> tuple[Protein, ...]:
    """The proteins of one fold ("test"), or those of all others.

    Raises:
      ValueError: there is no such split or fold.
    """
    if split not in ("train", "test") or not 0 <= fold < folds:
        raise ValueError(f"fold {fold} of {folds} has the splits 'train' and 'test', not split={split!r}")
    rows = zip(proteins.read(), folded(proteins, folds), strict=True)
    return tuple(protein for protein, own in rows if (own == fold) == (split == "test"))


@dataclass(frozen=True)
class ProteinText(Source):
    """Bare sequences, one a document: {"name", "text"}.

    Args:
      fold: which of `folds` parts is the test split (see `proteins.folded`).

    >>> from stagejax.data.molecules.proteins import RandomFamilies
    >>> len(ProteinText(RandomFamilies(2, 8), 4)), len(ProteinText(RandomFamilies(2, 8), 4, split="test"))
    (12, 4)
    """

    proteins: Proteins
    folds: int = 4
    fold: int = 0
    split: str = "train"

    def _chosen(self) -> tuple[Protein, ...]:
        return of_fold(self.proteins, self.folds, self.fold, self.split)

    def __len__(self) -> int:
        return len(self._chosen())

    def __getitem__(self, index: int) -> Record:
        protein = self._chosen()[index]
        return {"name": protein.name, "text": sequence_text(protein.sequence)}

    def digest(self) -> str:
        return _digest([protein[:2] for protein in self._chosen()])


@dataclass(frozen=True)
class ProteinInstructions(Source):
    """Instructions about the proteins that have a family: {"question", "solution", "sequence", "family"}.

    Of all forms of a protein the first stands for it. It gives a record for each task and each shift of its window, so
    in training every window is used in both directions. A test window that stands in a training sequence as it is, of a
    relative with the same catalytic loop, is left out.

    Args:
      window: residues of a sequence, around its catalytic loop (see `proteins.core`).
      shifts: of the window.
      tasks: "determine" the family of a sequence, "generate" a sequence of a family, or both.

    >>> from stagejax.data.molecules.proteins import RandomFamilies
    >>> source = ProteinInstructions(RandomFamilies(2, 8), window=4)
    >>> len(source), source[1]["question"], source[1]["solution"] == sequence_text(source[0]["sequence"])
    (24, '[Generate by family] Family=<FA>', True)
    """

    proteins: Proteins
    folds: int = 4
    fold: int = 0
    split: str = "train"
    window: int = 80
    shifts: tuple[int, ...] = (0,)
    tasks: Task = "both"

    def _records(self) -> tuple[dict[str, str], ...]:
        return _instructions(self)

    def __len__(self) -> int:
        return len(self._records())

    def __getitem__(self, index: int) -> Record:
        return self._records()[index]

    def digest(self) -> str:
        return _digest(self._records())


@functools.lru_cache(maxsize=32)
def _instructions(source: ProteinInstructions) -> tuple[dict[str, str], ...]:
    found: dict[str, Protein] = {}
    for protein in of_fold(source.proteins, source.folds, source.fold, source.split):
        if protein.family:
            found.setdefault(protein.parent, protein)
    made, read = [], ""
    if source.split == "test":
        read = " ".join(own.sequence for own in of_fold(source.proteins, source.folds, source.fold, "train"))
    for protein in found.values():
        for shift in source.shifts:
            sequence = core(protein.sequence, source.window, shift)
            if sequence in read:
                continue
            label, beside = protein.family, {"sequence": sequence, "family": protein.family}
            if source.tasks != "generate":
                made.append({"question": determine(sequence), "solution": family_text(label)} | beside)
            if source.tasks != "determine":
                made.append({"question": generate(label), "solution": sequence_text(sequence)} | beside)
    return tuple(made)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
